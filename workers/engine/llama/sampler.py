"""Samplers: llama.cpp's chains, and the candidates that they work on."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from nightjar.workers.engine.grammar.matcher import Mask
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.request import Request, TokenLogprob
from nightjar.workers.engine.sampling import Stage, remembered_tokens, stages

Key = TypeVar("Key", bound=Hashable)
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_MOST_ROWS, _LEAST_COLUMNS = 128, 500
_LARGE_VOCABULARY = 8_000
MOST_PATTERNS = 32


class Chain:
    """A llama.cpp sampler (or chain of them) that this object owns."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def accept(self, token: int) -> None:
        llama.llama_sampler_accept(self.handle, token)

    def copy(self) -> Chain:
        return Chain(llama.llama_sampler_clone(self.handle))

    def close(self) -> None:
        if self.handle:
            llama.llama_sampler_free(self.handle)
            self.handle = None


class Patterns(Generic[Key]):
    """Chains that take long to make, kept to be copied: the oldest goes first."""

    def __init__(self, make: Callable[[Key], Chain]) -> None:
        self._make = make
        self._kept: dict[Key, Chain] = {}

    def copy(self, key: Key) -> Chain:
        """A fresh one. Raises what `make` raises."""
        if key not in self._kept:
            made = self._make(key)
            if len(self._kept) >= MOST_PATTERNS:
                self._kept.pop(next(iter(self._kept))).close()
            self._kept[key] = made
        return self._kept[key].copy()

    def close(self) -> None:
        for chain in self._kept.values():
            chain.close()
        self._kept.clear()


class Candidates:
    """Some entries of the vocabulary with their logits, for llama.cpp's samplers."""

    def __init__(self, most: int) -> None:
        self._data = np.zeros(most, dtype=_CANDIDATE)
        self._ids, self._logits = self._data["id"], self._data["logit"]
        self._array = llama.llama_token_data_array()
        self._pointer = ctypes.cast(self._data.ctypes.data, llama.llama_token_data_p)

    @property
    def most(self) -> int:
        return len(self._data)

    def draw(self, ids: npt.NDArray[np.intp], logits: npt.NDArray[np.float32], chain: Chain) -> int:
        """What the chain selects of these entries of a row; it is not accepted yet."""
        count = len(ids)
        self._ids[:count] = ids
        self._logits[:count] = logits[ids]
        self._array.data, self._array.size = self._pointer, count  # samplers may have moved the pointer
        self._array.selected, self._array.sorted = -1, False
        llama.llama_sampler_apply(chain.handle, ctypes.byref(self._array))
        assert self._array.selected >= 0, "the last sampler of a chain selects"
        return int(self._array.data[self._array.selected].id)


class Shortlist:
    """Draws for a chain that begins with top-k, or chooses greedily, without handing it the whole vocabulary.

    The logits are laid out in rows under each other. Of the columns' highest entries the k-th is a bound that at least
    k logits reach, and seldom many more: they hold the k likeliest, so the chain draws the same token from them, in
    half the time over 32,000 logits. Those that a mask lets through are the likeliest of the allowed ones too, if there
    are `needed` of them. Where a flat distribution lets too many pass, there is no shortlist.
    """

    def __init__(self, k: int, vocabulary: int, *, needed: int | None = None) -> None:
        self._k = k
        self._needed = k if needed is None else needed
        self._rows = min(_MOST_ROWS, vocabulary // max(4 * k, _LEAST_COLUMNS))
        self._laid = vocabulary // self._rows * self._rows
        self._candidates = Candidates(16 * k)

    @staticmethod
    def pays(k: int, vocabulary: int) -> bool:
        return k > 0 and vocabulary >= max(_LARGE_VOCABULARY, 64 * k)

    def pick(self, logits: npt.NDArray[np.float32], chain: Chain, mask: Mask | None = None) -> int | None:
        """The token, not accepted yet; None if there is no shortlist."""
        highest = logits[: self._laid].reshape(self._rows, -1).max(axis=0)
        highest.partition(-self._k)
        (ids,) = (logits >= highest[-self._k]).nonzero()
        if len(ids) > self._candidates.most:
            return None
        if mask is not None:
            ids = ids[(mask[ids >> 5] >> (ids & 31).astype(np.uint32) & 1).astype(bool)]
        if len(ids) < self._needed:  # without a mask: they are no numbers
            return None
        return self._candidates.draw(ids, logits, chain)

    def draw(self, logits: npt.NDArray[np.float32], chain: Chain) -> int | None:
        """The token, accepted; None if there is no shortlist."""
        token = self.pick(logits, chain)
        if token is not None:
            chain.accept(token)
        return token


class Chains:
    """Makes requests' sampler chains for one model."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        # Making one tokenises its sequence breakers, which takes milliseconds.
        self._dry: Patterns[Stage] = Patterns(lambda stage: Chain(_sampler(stage, model)))

    def of(self, request: Request, context: int) -> Chain:
        """A chain that has seen the prompt, as far as its penalties look back."""
        params = llama.llama_sampler_chain_default_params()
        params.no_perf = True
        chain = Chain(llama.llama_sampler_chain_init(params))
        for stage in stages(request.parameters, request.seed, context):
            made = self._dry.copy(stage).handle if stage.name == "dry" else _sampler(stage, self._model)
            llama.llama_sampler_chain_add(chain.handle, made)
        remembered = remembered_tokens(request.parameters, context)
        for token in request.prompt[-remembered:] if remembered else ():
            chain.accept(token)
        return chain

    def close(self) -> None:
        self._dry.close()


def top_logprobs(logits: npt.NDArray[np.float32], token: int, top: int) -> TokenLogprob:
    """Natural logarithms of the softmax of unmodified logits."""
    peak = float(logits.max())
    normaliser = peak + float(np.log(np.exp(logits - peak, dtype=np.float32).sum(dtype=np.float64)))
    count = min(top, len(logits))
    best = np.argpartition(logits, -count)[-count:]
    best = best[np.lexsort((best, -logits[best]))]
    return TokenLogprob(
        token=token,
        logprob=float(logits[token]) - normaliser,
        top=tuple((int(i), float(logits[i]) - normaliser) for i in best),
    )


def _sampler(stage: Stage, model: LlamaModel) -> Any:
    arguments: tuple[Any, ...] = stage.arguments
    if stage.name == "logit_bias":
        (pairs,) = arguments
        biases = (llama.llama_logit_bias * len(pairs))(*(llama.llama_logit_bias(*pair) for pair in pairs))
        return llama.llama_sampler_init_logit_bias(model.tokenizer.size, len(pairs), biases)
    if stage.name == "penalties":
        return llama.llama_sampler_init_penalties(model.tokenizer.size, *arguments)
    if stage.name == "dry":
        *numbers, texts = arguments
        breakers = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
        return llama.llama_sampler_init_dry(model.vocab, *numbers, breakers, len(texts))
    return getattr(llama, f"llama_sampler_init_{stage.name}")(*arguments)
