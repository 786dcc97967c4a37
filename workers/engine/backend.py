"""The seam between the engine and what computes: llama.cpp (`llama/`) or a script (`fake.py`). Pure.

All methods are called from the engine's thread only, except the tokenizer's, which may be called from any, and those
of samplers: between two decodes each is called from one thread, but several of them from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from nightjar.jobs.parameters import FinishReason, Parameters
from nightjar.workers.engine.request import Request, Tokenizer, TokenLogprob
from nightjar.workers.engine.score_layouts import ScoreCache
from nightjar.workers.engine.score_rows import Logits
from nightjar.workers.engine.score_texts import TreeCell
from nightjar.workers.engine.slots import DeviceLimits, Move, Piece


class Drawn(NamedTuple):
    """A sampled token, and what its grammar makes of the reply."""

    token: int | None
    """None where the grammar lets none come."""
    logprob: TokenLogprob | None = None
    """Of the unmodified logits, the most likely ids first; if the request asks for it. Nothing is forced then: each
    token waits for its row."""
    forced: tuple[int, ...] = ()
    """Tokens that follow whatever the model would say; the sampler has taken them."""
    ends: FinishReason | None = None
    """Why the reply ends with these, if it does: it is complete, or the grammar's engine is at its limits."""


class Sampler(Protocol):
    """One request's sampling state: its random numbers, penalties and grammar belong to it alone."""

    @property
    def slow(self) -> bool:
        """Whether drawing looks at the whole vocabulary, outside the interpreter's lock: other threads can help."""

    @property
    def guided(self) -> bool:
        """Whether `prepare` has anything to do."""

    def prepare(self) -> None:
        """Does what the next draw needs and needs no logits; called while the device computes, from another thread."""

    def draw(self, row: int) -> Drawn:
        """The next token from the logits of a row that `Backend.decode` named."""

    def close(self) -> None: ...


class ScoreDevice(ScoreCache, Protocol):
    """A second context of the same model, for given texts alone."""

    def decode(self, run: Sequence[TreeCell]) -> Logits:
        """Computes the cells in one call; a row of logits for each cell with readings, in their order, which is valid
        until the next decode.

        Raises EngineError; what the cache holds is then unknown until `clear`.
        """

    def clear(self) -> None:
        """Empties the cache."""

    def set_threads(self, count: int) -> None: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """One loaded model on its device: the KV cache, the decode call, and samplers over its logits."""

    @property
    def limits(self) -> DeviceLimits: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def vocabulary(self) -> int:
        """Logits of a row."""

    def move(self, moves: Sequence[Move]) -> None: ...

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        """Computes all pieces in one call; for each piece the row of its last id's logits.

        Raises EngineError; what the cache holds is then unknown until `clear`.
        """

    def clear(self) -> None:
        """Empties the cache of every slot."""

    def set_threads(self, count: int) -> None:
        """How many threads compute from the next decode on."""

    def abort(self) -> None:
        """Asks a running decode to give up; from any thread. No effect if the device cannot."""

    def ready(self, parameters: Parameters) -> bool:
        """Whether `sampler` need not wait for a grammar to be built; from any thread."""

    def prepare(self, parameters: Parameters) -> None:
        """Builds the request's grammar or schema, which may take seconds; from any thread.

        Raises ParameterError if it cannot be used.
        """

    def sampler(self, request: Request) -> Sampler:
        """Raises ParameterError if the request's grammar or schema cannot be used."""

    def pieces(self, request: Request) -> Callable[[int], bytes]:
        """What tokens add to this reply's text: nothing for control tokens, unless they are its reasoning markers."""

    def is_end(self, token: int) -> bool:
        """Whether the token ends a reply."""

    def whole(self, text: str) -> list[int]:
        """Ids of a plain text with the control tokens that the model wants around one; from any thread."""

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """Pooled embeddings as unit vectors, in one call: no more texts than slots, and all of them fit a batch.

        Raises ModelError if it cannot.
        """

    def score_device(self) -> ScoreDevice:
        """A new one, to be closed before this is. `abort` reaches it, too. Raises ModelFitError if there is no room."""

    def close(self) -> None: ...
