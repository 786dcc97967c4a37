"""A model's vocabulary as llguidance reads it: made in a thread of its own, while the weights load."""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import llama_cpp as llama
from llguidance import LLTokenizer

from nightjar.config.errors import EngineError, ParameterError
from nightjar.workers.engine.grammar.matcher import GrammarMatcher
from nightjar.workers.engine.llama.tokenizer import LlamaTokenizer

SPECIAL = b"\xff"
"""Before an entry that stands for no text."""
MOST_GRAMMARS = 32
"""Grammars that are kept ready to be copied: a copy takes 0.02 ms, a new one 0.5 ms and far more where it is large."""


class LoadedVocabulary(Protocol):
    """A model file of which only the vocabulary was loaded."""

    vocab: Any
    tokenizer: LlamaTokenizer

    def close(self) -> None: ...


class GrammarVocabulary:
    """Makes matchers for one vocabulary. `ready` and `prepare` may be called from any thread."""

    def __init__(self, open_vocabulary: Callable[[], LoadedVocabulary]) -> None:
        """`open_vocabulary` loads the vocabulary and nothing else: llguidance keeps pointing into it."""
        self._model: LoadedVocabulary | None = None
        self._open = open_vocabulary
        self._tokenizer: Future[LLTokenizer] = Future()
        self._made: OrderedDict[str, GrammarMatcher] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._make, name="grammar-vocabulary", daemon=True)
        self._thread.start()

    def ready(self, grammar: str) -> bool:
        return grammar in self._made

    def prepare(self, grammar: str) -> None:
        """Builds a grammar, which may take long. Raises ParameterError, EngineError."""
        try:
            tokenizer = self._tokenizer.result()
        except Exception as error:  # what llguidance raises has no class of its own
            raise EngineError(f"llguidance cannot read this model's vocabulary: {error}.") from error
        with self._lock:
            if grammar in self._made:
                return
            matcher = GrammarMatcher.of(tokenizer, grammar)
            if matcher.error:
                raise ParameterError(f"The grammar cannot be used with this model's vocabulary: {matcher.error}.")
            self._made[grammar] = matcher
            if len(self._made) > MOST_GRAMMARS:
                self._made.popitem(last=False)

    def matcher(self, grammar: str) -> GrammarMatcher:
        """A fresh one. Raises what `prepare` raises."""
        if (made := self._made.get(grammar)) is None:
            self.prepare(grammar)
            made = self._made[grammar]
        return made.copy()

    def close(self) -> None:
        """Frees it before the vocabulary that it points into; waits for one that is being made. Idempotent."""
        self._thread.join()
        self._made.clear()
        self._tokenizer = Future()
        self._tokenizer.set_exception(EngineError("the model is closed"))
        if self._model is not None:
            self._model.close()
            self._model = None

    def _make(self) -> None:
        try:
            self._model = self._open()
            self._tokenizer.set_result(_tokenizer(self._model))
        except Exception as error:  # told to whoever wants a grammar
            self._tokenizer.set_exception(error)


def _tokenizer(model: LoadedVocabulary) -> LLTokenizer:
    """As `llguidance.llamacpp` does it, which asks llama.cpp by a name that is going away."""
    ends = sorted(model.tokenizer.ends)
    entries = [_entry(model, token) for token in range(model.tokenizer.size)]
    if not ends:  # one beyond the vocabulary, which is never drawn
        ends = [len(entries)]
        entries.append(SPECIAL)
    library: Any = llama.llama_cpp._lib
    made: LLTokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]  # not in its stubs
        tokens=entries,
        vocab_ptr=model.vocab,
        tokenize_fptr=ctypes.cast(library.llama_tokenize, ctypes.c_void_p).value,
        eos_token=ends,
        slices=None,
    )
    return made


def _entry(model: LoadedVocabulary, token: int) -> bytes:
    text = model.tokenizer.written(token)
    kind = llama.llama_vocab_get_attr(model.vocab, token)
    looks_like_one = kind & llama.LLAMA_TOKEN_ATTR_USER_DEFINED and text.startswith(b"<") and text.endswith(b">")
    return SPECIAL + text if kind & llama.LLAMA_TOKEN_ATTR_CONTROL or looks_like_one else text
