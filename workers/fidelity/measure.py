"""Measures deviations: two contexts fed the same tokens side by side, or one after the other with a file between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nightjar.config.counting import how_many
from nightjar.config.errors import ModelError
from nightjar.jobs.fidelity import Deviations
from nightjar.workers.fidelity.passages import Passage
from nightjar.workers.fidelity.rows import RowNumbers, RowsOfLogits, compare_rows
from nightjar.workers.fidelity.sketch import RECORD, estimate_rows, sketch_rows

T = TypeVar("T")
MOST_ROWS = 256
"""Rows of logits that a context holds at a time."""
ROWS_BYTES = 2**27
"""And their memory: a large vocabulary gets fewer."""
BLOCK_BYTES = 2**22
"""What a thread reduces at a time, of each side."""


class Reader(Protocol):
    """Reads tokens and hands out rows of logits (`workers.engine.llama.logits.LogitsContext`)."""

    vocabulary: int

    def begin(self) -> None: ...

    def extend(self, ids: Sequence[int], wanted: Sequence[bool]) -> RowsOfLogits: ...


class StoppedError(Exception):
    """Nobody wants the measurement any more."""


@dataclass
class MeasureProgress:
    """How far a measurement is, in tokens computed; read by one thread and written by another."""

    total: int = 0
    done: int = 0
    given_up: bool = False

    def step(self, tokens: int) -> None:
        """Raises StoppedError where nobody wants the rest."""
        self.done += tokens
        if self.given_up:
            raise StoppedError


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Tokens of one decode. `right`: the tokens that follow those whose rows are wanted."""

    begins: bool
    """It is the first of its passage."""
    ids: tuple[int, ...]
    wanted: tuple[bool, ...]
    right: NDArray[np.int64]


def rows_at_a_time(vocabulary: int) -> int:
    """How many tokens a decode computes, each with a row of logits."""
    return max(1, min(MOST_ROWS, ROWS_BYTES // (4 * vocabulary)))


def chunks(passages: Sequence[Passage], size: int) -> Iterator[Chunk]:
    """The passages in pieces of at most so many tokens."""
    for passage in passages:
        read, rows, right = passage.read, passage.rows, passage.right
        for start in range(0, len(read), size):
            ids = read[start : start + size]
            inside = (rows >= start) & (rows < start + len(ids))
            flags = np.zeros(len(ids), bool)
            flags[rows[inside] - start] = True
            yield Chunk(begins=start == 0, ids=ids, wanted=tuple(flags.tolist()), right=right[inside])


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is read, and by how many threads it is reduced."""

    passages: Sequence[Passage]
    threads: int
    seed: int
    progress: MeasureProgress = field(default_factory=MeasureProgress)

    @property
    def tokens(self) -> int:
        """That each side computes."""
        return sum(len(passage.read) for passage in self.passages)

    @property
    def scored(self) -> int:
        return sum(passage.scored for passage in self.passages)

    def side_by_side(self, reference: Reader, candidate: Reader) -> Deviations:
        """Exact: both read each chunk, and their rows are reduced before the next. Raises ModelError, StoppedError."""
        parts: list[RowNumbers] = []
        with ThreadPoolExecutor(self.threads) as pool:
            for chunk in chunks(self.passages, rows_at_a_time(reference.vocabulary)):
                p = _read(reference, chunk)
                q = _read(candidate, chunk)
                self.progress.step(2 * len(chunk.ids))
                parts += _in_blocks(pool, compare_rows, p, q, chunk.right)
        return _deviations(parts)

    def keep(self, reference: Reader, file: IO[bytes]) -> None:
        """Writes a record of each of the reference's rows. Raises EngineError, StoppedError, OSError."""
        written = 0
        with ThreadPoolExecutor(self.threads) as pool:
            for chunk in chunks(self.passages, rows_at_a_time(reference.vocabulary)):
                p = _read(reference, chunk)
                self.progress.step(len(chunk.ids))

                numbers = np.arange(written, written + len(p))
                for block in _in_blocks(pool, self._sketched, p, chunk.right, numbers):
                    file.write(block)
                written += len(p)
        file.flush()

    def against_kept(self, file: IO[bytes], candidate: Reader) -> Deviations:
        """The candidate against what `keep` wrote: its divergences are estimates. Raises ModelError, StoppedError."""
        parts: list[RowNumbers] = []
        file.seek(0)
        with ThreadPoolExecutor(self.threads) as pool:
            for chunk in chunks(self.passages, rows_at_a_time(candidate.vocabulary)):
                q = _read(candidate, chunk)
                self.progress.step(len(chunk.ids))
                kept = np.frombuffer(file.read(len(q) * RECORD.itemsize), RECORD)
                parts += _in_blocks(pool, estimate_rows, kept, q, chunk.right)
        return _deviations(parts)

    def _sketched(self, rows: RowsOfLogits, right: NDArray[np.int64], numbers: NDArray[np.int64]) -> bytes:
        """Records of some rows. What is drawn depends on the seed and the first row's number alone."""
        source = np.random.default_rng([self.seed, int(numbers[0])])
        return sketch_rows(rows, right, source).tobytes()


def _read(reader: Reader, chunk: Chunk) -> RowsOfLogits:
    if chunk.begins:
        reader.begin()
    return reader.extend(chunk.ids, chunk.wanted)


def _in_blocks(pool: ThreadPoolExecutor, work: Callable[..., T], *arrays: NDArray[Any]) -> list[T]:
    """The work on each block of the arrays' rows, in order: few at a time stay in the caches and take little memory."""
    width = max(array.shape[1] for array in arrays if array.ndim == 2)
    size = max(1, BLOCK_BYTES // (4 * width))
    starts = range(0, len(arrays[0]), size)
    return list(pool.map(lambda at: work(*(array[at : at + size] for array in arrays)), starts))


def _deviations(parts: list[RowNumbers]) -> Deviations:
    rows = RowNumbers.joined(parts)
    _check_finite("reference", rows.reference_logprob)
    _check_finite("candidate", rows.candidate_logprob + rows.kl)
    return Deviations(
        kl=rows.kl,
        kl_variance=rows.kl_variance,
        same_top=rows.same_top,
        reference_logprob=rows.reference_logprob,
        candidate_logprob=rows.candidate_logprob,
    )


def _check_finite(side: str, values: NDArray[Any]) -> None:
    """A limit is never above what is no number, so that a gate would pass a broken file."""
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise ModelError(
            f"The {side}'s logits are not finite after {how_many(broken, 'token')} of {len(values):,} that are scored: "
            "its file is damaged, or its numbers overflow. Quantise it again, or try it with flash_attention=false."
        )
