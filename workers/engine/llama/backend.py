"""A context over a model: the KV cache of all slots, one batch, the samplers' logits."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from nightjar.config.counting import how_many
from nightjar.config.errors import EngineError, ModelError
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.backend import Drawn
from nightjar.workers.engine.continuation import continued
from nightjar.workers.engine.grammar.held import held_to, known_grammar
from nightjar.workers.engine.grammar.matcher import GrammarMatcher, Mask, allowed_ids
from nightjar.workers.engine.guide import Guide
from nightjar.workers.engine.llama.abort_text import AbortText, decode_error
from nightjar.workers.engine.llama.batch import Batch
from nightjar.workers.engine.llama.context import ContextSettings, open_context
from nightjar.workers.engine.llama.guided import GuidedSampler
from nightjar.workers.engine.llama.library import recent_errors
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.llama.sampler import Candidates, Chain, Chains, Shortlist, top_logprobs
from nightjar.workers.engine.llama.score_device import LlamaScoreDevice
from nightjar.workers.engine.request import Request
from nightjar.workers.engine.sampling import stages
from nightjar.workers.engine.slots import Copy, DeviceLimits, Move, Piece, Trim, Work, by_slot

_NOBODY = Work("nobody", ())
"""Whose tokens belong to no request: texts to embed, and what fills holes."""
SHORTLIST_ROWS = 4
"""Rows of a step from which shortlists pay: the first one finds all that it needs gone from the caches, and takes
0.11 ms where llama.cpp's own pass over 32,000 logits takes 0.07; each further one 0.04 and 0.055."""
GREEDY_K = 64
"""Of so many of the likeliest tokens, at least, the best that a mask lets through is the best of all those."""
_logits_address: Any = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(
    ctypes.cast(llama.llama_get_logits, ctypes.c_void_p).value or 0
)
"""`llama_get_logits` as a number, without a pointer object for each step."""


class LlamaBackend:
    """A context over a model: the KV cache of all slots, one batch, the samplers' logits. See `Backend`."""

    def __init__(self, model: LlamaModel, settings: ContextSettings) -> None:
        """Raises ModelFitError if the context cannot be had."""
        self.model = model
        self._settings = settings
        self.tokenizer = model.tokenizer
        self.is_end = model.tokenizer.is_end
        self.limits = DeviceLimits(
            slots=settings.slots,
            context=settings.context,
            n_batch=settings.n_batch,
            can_copy=model.can_share and settings.slots > 1,
            can_trim=model.can_share,
            min_copy=settings.min_copy,
        )
        self._ctx, self.flash_attention = open_context(model, settings)
        self._memory = llama.llama_get_memory(self._ctx)
        self._batch = Batch(settings.n_batch)
        self.vocabulary = model.tokenizer.size
        self._embeds = settings.embeddings
        self._row = ctypes.c_float * self.vocabulary
        self._logits = np.empty((0, self.vocabulary), np.float32)
        self._logits_at = (0, 0)
        """Address and rows of `_logits`: mostly those of the last step."""
        self._rows: list[int] = []
        self._places: dict[int, int] = {}
        self._by_hand = threading.local()
        """Room for the whole vocabulary, in each thread that draws."""
        self._all_ids = np.arange(self.vocabulary)
        self.chains = Chains(model)
        self._abort_text = AbortText()
        self._abort_text.heard_by(self._ctx)

    def move(self, moves: Sequence[Move]) -> None:
        for move in moves:
            if isinstance(move, Copy):
                # Copies between streams are whole; a partial range would abort the process.
                llama.llama_memory_seq_cp(self._memory, move.source, move.target, -1, -1)
                slot = move.target
            else:
                slot = move.slot
            if not llama.llama_memory_seq_rm(self._memory, slot, move.keep or -1, -1):
                raise EngineError(f"The cache of slot {slot} cannot be trimmed to {move.keep} tokens.")

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        fillers = self._fillers(pieces)
        together = sorted([*pieces, *fillers], key=by_slot) if fillers else pieces
        rows = self._batch.fill(together)
        self._abort_text.clear()
        code = llama.llama_decode(self._ctx, self._batch.struct)
        if code == 0:
            self._find_logits([row for piece, row in zip(together, rows, strict=True) if piece.output])
            if not fillers:
                return rows
            self.move([Trim(slot=filler.slot, keep=filler.start) for filler in fillers])
            return [row for piece, row in zip(together, rows, strict=True) if piece.work is not _NOBODY]
        tokens, slots = how_many(self._batch.struct.n_tokens, "token"), how_many(len(pieces), "slot")
        raise decode_error(code, f"{tokens} in {slots}")

    def _fillers(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Throwaway tokens for slots that lie alone between two that decode: llama.cpp computes only neighbouring slots
        together, so that such a hole would cost another pass over the weights. They are dropped after the decode."""
        if pieces[-1].slot - pieces[0].slot < len(pieces):  # side by side, as at most steps
            return []
        holes = [
            before.slot + 1
            for before, after in pairwise(pieces)
            if after.slot - before.slot == 2 and len(before.ids) == len(after.ids) == 1
        ]
        if not holes or not self.limits.can_trim:
            return []
        room = self.limits.n_batch - sum(len(piece.ids) for piece in pieces)
        starts = [(hole, llama.llama_memory_seq_pos_max(self._memory, hole) + 1) for hole in holes[:room]]
        return [
            Piece(slot=hole, start=start, ids=(0,), output=False, work=_NOBODY)
            for hole, start in starts
            if start < self.limits.context
        ]

    def _find_logits(self, rows: list[int]) -> None:
        """Where the logits of these rows of the batch are: one after the other. Asking waits for the device and puts
        them in that order, once, so that several threads may read them now."""
        address = _logits_address(self._ctx)
        if rows and not address:
            raise EngineError("llama.cpp has no logits after decoding.")
        if rows and (place := (address, len(rows))) != self._logits_at:
            values: Any = (self._row * len(rows)).from_address(address)
            self._logits = np.frombuffer(values, np.float32).reshape(len(rows), self.vocabulary)
            self._logits_at = place
        if rows != self._rows:
            self._rows = rows
            self._places = {row: place for place, row in enumerate(rows)}

    def clear(self) -> None:
        llama.llama_memory_clear(self._memory, False)

    def set_threads(self, count: int) -> None:
        llama.llama_set_n_threads(self._ctx, count, count)
        self._settings = replace(self._settings, threads=count)

    def abort(self) -> None:
        self._abort_text.abort()

    def sampler(self, request: Request) -> LlamaSampler:
        return LlamaSampler(self, request)

    def ready(self, parameters: Parameters) -> bool:
        if parameters.grammar is None and parameters.json_schema is None:
            return True
        grammar = known_grammar(parameters.grammar, parameters.json_schema)
        return grammar is not None and self.model.grammar_vocabulary.ready(grammar)

    def prepare(self, parameters: Parameters) -> None:
        grammar = held_to(parameters.grammar, parameters.json_schema)
        if grammar is not None:
            self.model.grammar_vocabulary.prepare(grammar)

    def matcher(self, parameters: Parameters) -> GrammarMatcher | None:
        """A fresh one for the request's grammar. Raises ParameterError."""
        grammar = held_to(parameters.grammar, parameters.json_schema)
        return None if grammar is None else self.model.grammar_vocabulary.matcher(grammar)

    def pieces(self, request: Request) -> Callable[[int], bytes]:
        """What tokens add to the text; reasoning markers and stop strings show even where they are control tokens."""
        hidden = {
            token: self.tokenizer.written(token)
            for text in (*(request.reasoning.atoms if request.reasoning else ()), *request.parameters.stop)
            for token in self.tokenizer.tokenize(text, parse_special=True)
            if not self.tokenizer.piece(token)
        }
        if not hidden:
            return self.tokenizer.piece
        return lambda token: hidden.get(token) or self.tokenizer.piece(token)

    def pick(self, chain: Chain, row: int, shortlist: Shortlist | None, mask: Mask | None) -> int | None:
        """Draws the next token among those of the mask, without accepting it; None if there are none."""
        logits = self.logits(row)
        if shortlist is not None:
            token = shortlist.pick(logits, chain, mask)
            if token is not None:
                return token
        ids = self._all_ids if mask is None else allowed_ids(mask, self.vocabulary)
        if not len(ids):
            return None
        if not hasattr(self._by_hand, "candidates"):
            self._by_hand.candidates = Candidates(self.vocabulary)
        candidates: Candidates = self._by_hand.candidates
        return candidates.draw(ids, logits, chain)

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """The logits of a row of the batch, in place: valid until the next decode."""
        row_logits: npt.NDArray[np.float32] = self._logits[self._places[row]]
        return row_logits

    def sample(self, chain: Chain, row: int, shortlist: Shortlist | None) -> int:
        """Draws and accepts the next token."""
        if shortlist is not None and len(self._places) >= SHORTLIST_ROWS:
            token = shortlist.draw(self.logits(row), chain)
            if token is not None:
                return token
        return int(llama.llama_sampler_sample(chain.handle, self._ctx, row))

    def whole(self, text: str) -> list[int]:
        return self.tokenizer.whole(text)

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        if not self._embeds:
            raise ModelError("This model generates text; embeddings need an embedding model.")
        if self._memory:
            self.clear()
        self._batch.fill(
            [Piece(slot=n, start=0, ids=tuple(ids), output=True, work=_NOBODY) for n, ids in enumerate(texts)]
        )
        self._batch.want_all()
        self._abort_text.clear()
        compute = llama.llama_decode if self._memory and not self.model.only_encodes else llama.llama_encode
        code = compute(self._ctx, self._batch.struct)
        if code != 0:
            raise EngineError(
                f"Embedding {how_many(len(texts), 'text')} failed with code {code}. {recent_errors()}".rstrip()
            )
        return [self._vector(slot) for slot in range(len(texts))]

    def _vector(self, slot: int) -> list[float]:
        """The pooled embedding as a unit vector."""
        pointer = llama.llama_get_embeddings_seq(self._ctx, slot)
        if not pointer:
            raise ModelError("The model's metadata names no pooling (mean, cls or last); it cannot embed texts.")
        vector = np.ctypeslib.as_array(pointer, shape=(self.model.embedding_width,)).astype(np.float64)
        return [float(value) for value in vector / (np.linalg.norm(vector) or 1.0)]

    def score_device(self) -> LlamaScoreDevice:
        return LlamaScoreDevice(self.model, self._settings, self._abort_text)

    def close(self) -> None:
        self.free()
        self.model.close()

    def free(self) -> None:
        """Frees the context; the model stays."""
        self.chains.close()
        if self._ctx:
            llama.llama_free(self._ctx)
            self._ctx = None


class LlamaSampler:
    """One request's sampling: a chain of llama.cpp's samplers, guided where a grammar or a budget asks for it."""

    def __init__(self, backend: LlamaBackend, request: Request) -> None:
        """Raises ParameterError if the grammar or schema cannot be used."""
        self._backend = backend
        self._top = request.parameters.top_logprobs
        matcher = backend.matcher(request.parameters)
        self._chain = backend.chains.of(request, backend.limits.context)
        self._shortlist = _shortlist(request, backend, guided=matcher is not None)
        self._guided: GuidedSampler | None = None
        if matcher is not None or (request.reasoning and request.parameters.reasoning_budget is not None):
            tokenizer = backend.tokenizer
            self._guided = GuidedSampler(
                self._chain,
                matcher,
                Guide(request.reasoning, opened=request.reasoning_open, budget=request.parameters.reasoning_budget),
                piece=backend.pieces(request),
                is_end=backend.is_end,
                tokenize=lambda text: continued(tokenizer, text.decode("utf-8", "replace")),
            )
        self.guided = matcher is not None
        self.slow = self._shortlist is None or self._top > 0

    def prepare(self) -> None:
        if self._guided is not None:
            self._guided.prepare()

    def draw(self, row: int) -> Drawn:
        if self._guided is None:
            drawn = Drawn(self._backend.sample(self._chain, row, self._shortlist))
        else:
            drawn = self._guided.draw(
                lambda mask: self._backend.pick(self._chain, row, self._shortlist, mask), one=self._top > 0
            )
        if not self._top or drawn.token is None:
            return drawn
        return drawn._replace(logprob=top_logprobs(self._backend.logits(row), drawn.token, self._top))

    def close(self) -> None:
        if self._guided is not None:
            self._guided.close()
        else:
            self._chain.close()


def _shortlist(request: Request, backend: LlamaBackend, *, guided: bool) -> Shortlist | None:
    first = stages(request.parameters, request.seed, backend.limits.context)[0]
    if first.name == "greedy" and guided and Shortlist.pays(GREEDY_K, backend.vocabulary):
        return Shortlist(GREEDY_K, backend.vocabulary, needed=1)
    k = request.parameters.top_k if first.name == "top_k" else 0
    return Shortlist(k, backend.vocabulary) if Shortlist.pays(k, backend.vocabulary) else None
