"""Two readers fed the same tokens, exactly and through a file; what is read at a time, and what is scored."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from nightjar.config.errors import ModelError
from nightjar.workers.fidelity.measure import Measurement, MeasureProgress, StoppedError, chunks, rows_at_a_time
from nightjar.workers.fidelity.passages import Passage, WindowLayout, cut_windows, places_of

VOCABULARY = 500
TABLE = np.random.default_rng(1).normal(0, 2, (VOCABULARY, VOCABULARY)).astype(np.float32)


class Bigrams:
    """Logits that depend on the token and on how many came before it; every read is noted."""

    vocabulary = VOCABULARY

    def __init__(self, noise: float = 0.0) -> None:
        self._table = TABLE + np.random.default_rng(2).normal(0, noise, TABLE.shape).astype(np.float32)
        self.read: list[list[int]] = []

    def begin(self) -> None:
        self.read.append([])

    def extend(self, ids: Sequence[int], wanted: Sequence[bool]) -> NDArray[np.float32]:
        before = len(self.read[-1])
        self.read[-1] += ids
        rows = [self._table[token] * (1 + (before + at) / 1000) for at, token in enumerate(ids) if wanted[at]]
        return np.array(rows, np.float32).reshape(len(rows), VOCABULARY)


def text(tokens: int, seed: int = 3) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(1, VOCABULARY, tokens).tolist())


PASSAGES = (
    Passage(ids=text(700), spans=((1, 700),), text=0),
    Passage(ids=text(600, 4), spans=((3, 10), (300, 600)), text=1),
)


def measurement(**changes: object) -> Measurement:
    fields: dict[str, object] = {"passages": PASSAGES, "threads": 2, "seed": 1}
    return Measurement(**{**fields, **changes})  # type: ignore[arg-type]


def test_side_by_side_both_read_each_passage_once_and_what_is_scored_is_reduced() -> None:
    reference, candidate = Bigrams(), Bigrams(0.3)
    work = measurement()
    deviations = work.side_by_side(reference, candidate)
    assert reference.read == candidate.read == [list(passage.ids[:-1]) for passage in PASSAGES]
    assert len(deviations.kl) == work.scored == 699 + 7 + 300
    assert deviations.exact
    row = TABLE[PASSAGES[1].ids[2]] * (1 + 2 / 1000)
    expected = row[PASSAGES[1].ids[3]] - np.log(np.exp(row.astype(np.float64)).sum())
    assert deviations.reference_logprob[699] == pytest.approx(expected, abs=1e-5)
    assert (work.progress.done, work.tokens) == (2 * work.tokens, 699 + 599)


def test_apart_says_what_side_by_side_says() -> None:
    """Within the standard error of the estimate; the same seed draws the same, whatever the threads."""
    exact = measurement().side_by_side(Bigrams(), Bigrams(0.3))
    runs = []
    for threads in (1, 3):
        file, work = io.BytesIO(), measurement(threads=threads)
        work.keep(Bigrams(), file)
        runs.append(work.against_kept(file, Bigrams(0.3)))
    first, again = runs
    assert first.kl_variance is not None
    error = float(np.sqrt(first.kl_variance.sum())) / len(first.kl)
    assert abs(first.kl.mean() - exact.kl.mean()) < 4 * error
    assert error < 0.05 * exact.kl.mean()
    assert (first.kl == again.kl).all()
    assert (first.same_top == exact.same_top).all()


def test_it_ends_where_nobody_wants_the_rest() -> None:
    progress = MeasureProgress(given_up=True)
    with pytest.raises(StoppedError):
        measurement(progress=progress).side_by_side(Bigrams(), Bigrams())


class Broken(Bigrams):
    """From its third row on an entry is no number, as where a half-precision product overflows."""

    def extend(self, ids: Sequence[int], wanted: Sequence[bool]) -> NDArray[np.float32]:
        rows = super().extend(ids, wanted)
        rows[2:, 7] = np.nan
        return rows


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_logits_that_are_no_numbers_are_an_error(side: str, apart: bool) -> None:
    """A gate would pass what is no number."""
    reference = Broken() if side == "reference" else Bigrams()
    candidate = Broken() if side == "candidate" else Bigrams(0.3)
    work, file = measurement(), io.BytesIO()
    if apart:
        work.keep(reference, file)
    with pytest.raises(ModelError, match=f"The {side}'s logits are not finite after [0-9,]+ tokens of 1,006"):
        work.against_kept(file, candidate) if apart else work.side_by_side(reference, candidate)


@pytest.mark.parametrize(
    ("vocabulary", "rows"),
    [(1_024, 256), (49_152, 256), (151_936, 220), (262_144, 128), (2**30, 1)],
)
def test_rows_that_are_held_take_at_most_128_mib(vocabulary: int, rows: int) -> None:
    assert rows_at_a_time(vocabulary) == rows


def test_a_chunk_flags_the_rows_that_foretell_a_scored_token() -> None:
    [passage] = PASSAGES[1:]
    cut = list(chunks([passage], 256))
    assert [len(chunk.ids) for chunk in cut] == [256, 256, 87]
    assert [sum(chunk.wanted) for chunk in cut] == [7, 213, 87]
    assert [at for at, flag in enumerate(cut[0].wanted) if flag] == [2, 3, 4, 5, 6, 7, 8]
    assert np.concatenate([chunk.right for chunk in cut]).tolist() == [*passage.ids[3:10], *passage.ids[300:600]]
    assert [chunk.begins for chunk in cut] == [True, False, False]


@pytest.mark.parametrize(
    ("tokens", "bos", "layout", "windows"),
    [
        # (tokens of a window, what is scored): one after another, the last shorter
        (20, None, "nightjar", [(8, (1, 8)), (8, (1, 8)), (4, (1, 4))]),
        (20, 0, "nightjar", [(8, (1, 8)), (8, (1, 8)), (7, (1, 7))]),
        (9, None, "nightjar", [(8, (1, 8))]),  # a single token has none before it
        (1, 0, "nightjar", [(2, (1, 2))]),
        (1, None, "nightjar", []),
        (0, 0, "nightjar", []),
        # whole windows only, their second half
        (20, None, "llama-perplexity", [(8, (5, 8)), (8, (5, 8))]),
        (23, 0, "llama-perplexity", [(8, (5, 8)), (8, (5, 8)), (8, (5, 8))]),  # with BOS before the text there are 24
        (7, None, "llama-perplexity", []),
    ],
)
def test_windows(tokens: int, bos: int | None, layout: str, windows: list[tuple[int, tuple[int, int]]]) -> None:
    ids = text(tokens)
    passages = list(cut_windows(ids, bos, 8, WindowLayout(layout), text=5))
    assert [(len(passage.ids), passage.spans[0]) for passage in passages] == windows
    if bos is not None:
        assert all(passage.ids[0] == bos and bos not in passage.ids[1:] for passage in passages)
    if layout == "nightjar" and passages:
        read = [token for passage in passages for token in passage.ids[bos is not None :]]
        assert read == list(ids[: len(read)])
    assert {passage.text for passage in passages} <= {5}


def test_places_count_positions_in_the_span_and_depth_in_the_context() -> None:
    places = places_of(PASSAGES)
    assert len(places) == 1006
    assert places.span[[0, 698, 699, 705, 706]].tolist() == [0, 0, 1, 1, 2]
    assert places.position[[0, 698, 699, 706]].tolist() == [0, 698, 0, 0]
    assert places.depth[[0, 699, 706, 1005]].tolist() == [1, 3, 300, 599]
    assert places.text[[0, 699]].tolist() == [0, 1]
