"""The model's own tokenizer."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import llama_cpp as llama

from nightjar.config.errors import EngineError
from nightjar.workers.engine.llama.deep_stack import with_room_for


class LlamaTokenizer:
    """The model's own tokenizer; safe from any thread, also while the model is being closed."""

    def __init__(self, vocab: Any, *, guessed: frozenset[int] = frozenset()) -> None:
        """`guessed`: ids that llama.cpp takes for BOS or EOS although the file does not say so."""
        self._handle = vocab
        self._guessed = guessed
        self._in_use = threading.RLock()
        self.size = int(llama.llama_vocab_n_tokens(vocab))
        self._pieces: list[bytes | None] = [None] * self.size

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._ids(text, add_special=False, parse_special=parse_special)

    def whole(self, text: str) -> list[int]:
        """Ids of a plain text with the control tokens the model wants around one (BOS; CLS and SEP)."""
        return self._ids(text, add_special=True, parse_special=False)

    def _ids(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 16
        while True:
            buffer = (llama.llama_token * room)()

            def tokenize(buffer: Any = buffer, room: int = room) -> int:
                with self._vocab() as vocab:
                    return int(llama.llama_tokenize(vocab, data, len(data), buffer, room, add_special, parse_special))

            count = with_room_for(text, tokenize)
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def detokenize(self, ids: Sequence[int]) -> str:
        return b"".join(self.piece(token) for token in ids).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """What the token adds to the text; nothing for control tokens."""
        known = self._pieces[token]
        if known is None:
            known = self._pieces[token] = self._render(token, special=False)
        return known

    def written(self, token: int) -> bytes:
        """The token's text, control tokens written out."""
        return self._render(token, special=True)

    def entries(self) -> tuple[bytes, ...]:
        """The vocabulary as the file writes it, in the order of its ids."""
        with self._vocab() as vocab:
            return tuple(llama.llama_vocab_get_text(vocab, token) for token in range(self.size))

    def is_end(self, token: int) -> bool:
        return token in self.ends

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end a reply."""
        with self._vocab() as vocab:
            ends = frozenset(i for i in range(self.size) if llama.llama_vocab_is_eog(vocab, i))
        return ends - self._guessed

    @cached_property
    def bos(self) -> int | None:
        with self._vocab() as vocab:
            bos = _token_or_none(llama.llama_vocab_bos(vocab)) if llama.llama_vocab_get_add_bos(vocab) else None
        return None if bos in self._guessed else bos

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        parsed = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN  # what parse_special recognises
        with self._vocab() as vocab:
            controls = [i for i in range(self.size) if llama.llama_vocab_get_attr(vocab, i) & parsed]
        return tuple(text for i in controls if (text := self.written(i).decode("utf-8", "replace")))

    @cached_property
    def bos_text(self) -> str:
        return self._text_of(llama.llama_vocab_bos)

    @cached_property
    def eos_text(self) -> str:
        return self._text_of(llama.llama_vocab_eos)

    def _text_of(self, which: Callable[[Any], int]) -> str:
        with self._vocab() as vocab:
            token = which(vocab)
        return (
            ""
            if _token_or_none(token) is None or token in self._guessed
            else self.written(token).decode("utf-8", "replace")
        )

    def close(self) -> None:
        """The model is about to be freed."""
        with self._in_use:
            self._handle = None

    @contextmanager
    def _vocab(self) -> Iterator[Any]:
        """The vocabulary, which stays as long as this is used. Raises EngineError if it is gone."""
        with self._in_use:
            if self._handle is None:
                raise EngineError("The model is closed; load it again.")
            yield self._handle

    def _render(self, token: int, special: bool) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            with self._vocab() as vocab:
                count = llama.llama_token_to_piece(vocab, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count


def _token_or_none(token: int) -> int | None:
    return int(token) if token >= 0 else None
