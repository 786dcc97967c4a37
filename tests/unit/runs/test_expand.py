"""Expansion: deterministic ids and order, lazily."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.documents import SequenceRef
from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Mode
from nightjar.jobs.variants import Contestant
from nightjar.pipeline.runs.expand import expand, expand_waves

REFS = [SequenceRef(id=i, digest=i * 2, document=i * 3, turns=n, mode=Mode.CHAT) for n, i in enumerate("abc", start=1)]


def plain(*models: str) -> list[Contestant]:
    return [Contestant(model=model) for model in models]


@given(st.integers(1, 3), st.lists(st.sampled_from("mnop"), min_size=1, max_size=4, unique=True), st.integers(1, 5))
def test_every_combination_once_in_the_same_order_every_time(size: int, models: list[str], repeats: int) -> None:
    for variants in ([None], ["terse", "wordy"]):
        contestants = [Contestant(model=model, variant=variant) for model in models for variant in variants]
        specs = list(expand("run", REFS[:size], contestants, repeats))
        assert specs == list(expand("run", REFS[:size], contestants, repeats))
        assert len(specs) == size * len(contestants) * repeats
        assert len({spec.id for spec in specs}) == len(specs)
        assert len({(spec.contestant, spec.sequence.id, spec.repeat) for spec in specs}) == len(specs)


def test_without_variants_the_ids_are_those_of_before_there_were_any() -> None:
    """Pinned: what a run of an earlier version wrote is found again when it grows or is repeated elsewhere."""
    specs = list(expand("run", REFS[:2], plain("m"), 2))
    assert [spec.id for spec in specs] == [
        digest("job", "run", "reply", sequence, "m", repeat) for sequence in "ab" for repeat in (0, 1)
    ]
    assert specs[0].id == "50b345f9a7e6d89b001c4be7ec8108e0"
    other = next(expand("run", REFS, [Contestant(model="m", variant="terse")], 2))
    assert other.id != specs[0].id
    assert other.order == specs[0].order  # beside its model's other variants, not after them all


def test_the_order_puts_the_repeats_of_a_sequence_next_to_each_other() -> None:
    specs = [spec for spec in expand("run", REFS, plain("m", "n"), 3) if spec.contestant.model == "n"]
    found = [(spec.sequence.id, spec.repeat) for spec in sorted(specs, key=lambda spec: spec.order)]
    assert found == [(identity, repeat) for identity in "abc" for repeat in range(3)]


def test_growing_keeps_ids_and_order_of_the_jobs_that_are_there() -> None:
    before = {spec.id: spec.order for spec in expand("run", REFS, plain("m"), 2)}
    after = {spec.id: spec.order for spec in expand("run", REFS, plain("m", "n"), 5)}
    assert before.items() <= after.items()


def test_another_run_has_other_jobs() -> None:
    one, other = ({spec.id for spec in expand(run, REFS, plain("m"), 2)} for run in ("run", "other"))
    assert not one & other


def test_expansion_is_lazy() -> None:
    """A million repeats of very many models take no time until they are asked for."""
    endless = (Contestant(model=f"m{n}") for n in iter(int, 1))
    assert [spec.repeat for spec in islice(expand("run", REFS, endless, 10**6), 3)] == [0, 1, 2]


def test_waves_are_expanded_one_behind_the_other_from_any_number_on() -> None:
    """The jobs are those of the run without waves, ids and order alike; only when they are written differs."""
    waves, positions = [[REFS[2]], [REFS[0], REFS[1]]], {"a": 0, "b": 1, "c": 2}
    whole = list(expand_waves("run", waves, plain("m", "n"), 2, positions=positions))
    assert [spec.sequence.id for spec in whole] == list("ccccaabbaabb")
    assert {(spec.id, spec.order) for spec in whole} == {
        (spec.id, spec.order) for spec in expand("run", REFS, plain("m", "n"), 2)
    }
    for start in range(len(whole) + 1):
        assert list(expand_waves("run", waves, plain("m", "n"), 2, positions=positions, start=start)) == whole[start:]
    assert list(expand_waves("run", waves[:1], plain("m", "n"), 2, positions=positions)) == whole[:4]
