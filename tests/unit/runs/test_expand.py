"""Expansion: deterministic ids and order, lazily."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.documents import SequenceRef
from nightjar.jobs.sequences import Mode
from nightjar.pipeline.runs.expand import expand

REFS = [SequenceRef(id=i, digest=i * 2, document=i * 3, turns=n, mode=Mode.CHAT) for n, i in enumerate("abc", start=1)]


@given(st.integers(1, 3), st.lists(st.sampled_from("mnop"), min_size=1, max_size=4, unique=True), st.integers(1, 5))
def test_every_combination_once_in_the_same_order_every_time(size: int, models: list[str], repeats: int) -> None:
    specs = list(expand("run", REFS[:size], models, repeats))
    assert specs == list(expand("run", REFS[:size], models, repeats))
    assert len(specs) == size * len(models) * repeats
    assert len({spec.id for spec in specs}) == len(specs)
    assert len({(spec.model, spec.sequence.id, spec.repeat) for spec in specs}) == len(specs)


def test_the_order_puts_the_repeats_of_a_sequence_next_to_each_other() -> None:
    specs = [spec for spec in expand("run", REFS, ["m", "n"], 3) if spec.model == "n"]
    found = [(spec.sequence.id, spec.repeat) for spec in sorted(specs, key=lambda spec: spec.order)]
    assert found == [(identity, repeat) for identity in "abc" for repeat in range(3)]


def test_growing_keeps_ids_and_order_of_the_jobs_that_are_there() -> None:
    before = {spec.id: spec.order for spec in expand("run", REFS, ["m"], 2)}
    after = {spec.id: spec.order for spec in expand("run", REFS, ["m", "n"], 5)}
    assert before.items() <= after.items()


def test_another_run_has_other_jobs() -> None:
    one, other = ({spec.id for spec in expand(run, REFS, ["m"], 2)} for run in ("run", "other"))
    assert not one & other


def test_expansion_is_lazy() -> None:
    """A million repeats of very many models take no time until they are asked for."""
    endless = (f"m{n}" for n in iter(int, 1))
    assert [spec.repeat for spec in islice(expand("run", REFS, endless, 10**6), 3)] == [0, 1, 2]
