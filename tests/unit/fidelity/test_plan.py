"""Which FIDELITY jobs a run needs, and what becomes of their results."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nightjar.jobs.fidelity import Deviations, LoadedSide
from nightjar.jobs.fidelity_results import FidelityResultPart, MeasuredConversation, read_part
from nightjar.pipeline.fidelity import plan
from nightjar.pipeline.fidelity.plan import ReadJob, candidates_of, chosen, plan_fidelity, replies_of
from nightjar.pipeline.fidelity.read_results import together
from tests.factories import load_facts, model_facts


def read_job(number: int, tokens: int = 10) -> ReadJob:
    return ReadJob(
        id=f"job{number}",
        sequence=f"s{number}",
        sequence_digest="d",
        sequence_document="d",
        repeat=0,
        order=number,
        chain=f"chain{number}",
        tokens=tokens,
    )


@pytest.mark.parametrize(
    ("models", "reference", "owner", "candidates"),
    [
        (["a", "b", "c"], "b", "b", ["a", "c"]),  # the reference's own words where it has some
        (["a", "b"], "other", "a", ["a", "b"]),
    ],
)
def test_whose_replies_are_read_by_whom(models: list[str], reference: str, owner: str, candidates: list[str]) -> None:
    assert replies_of(models, reference) == owner
    assert candidates_of(models, reference) == candidates


def test_conversations_are_read_in_batches_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job ends with the conversation that fills it; those of an earlier plan are not planned again."""
    monkeypatch.setattr(plan, "BATCH_TOKENS", 25)
    jobs = [read_job(number) for number in range(7)]
    specs = list(plan_fidelity("run", jobs, "q4", "f16", covered=()))
    assert [[job.id for job in spec.jobs] for spec in specs] == [
        ["job0", "job1", "job2"],
        ["job3", "job4", "job5"],
        ["job6"],
    ]
    assert [spec.id for spec in plan_fidelity("run", jobs, "q4", "f16", covered=())] == [spec.id for spec in specs]
    assert {spec.id for spec in plan_fidelity("run", jobs, "q8", "f16", covered=())}.isdisjoint(s.id for s in specs)
    covered = [job.id for spec in specs[:2] for job in spec.jobs]
    assert [spec.id for spec in plan_fidelity("run", jobs, "q4", "f16", covered)] == [specs[2].id]
    assert list(plan_fidelity("run", jobs, "q4", "f16", covered=[job.id for job in jobs])) == []


def test_a_long_run_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw over the whole run, not its beginning; one that is longer than all is read alone."""
    monkeypatch.setattr(plan, "MOST_TOKENS", 100)
    kept = chosen("run", [read_job(number) for number in range(100)])
    orders = [job.order for job in kept]
    assert len(kept) == 10
    assert orders == sorted(orders)
    assert orders[-1] > 50
    assert [job.id for job in chosen("run", [read_job(0, tokens=500)])] == ["job0"]


def part(jobs: list[str], kl: list[float], *, exact: bool = True, sequence: str = "s") -> FidelityResultPart:
    """Conversations of two tokens each."""
    values = np.asarray(kl)
    side = LoadedSide(label="q4", facts=model_facts("q4"), load=load_facts(1.0), cache_bytes=1)
    return FidelityResultPart(
        reference=side,
        candidate=side,
        conversations=tuple(
            MeasuredConversation(job=job, sequence=f"{sequence}{job}", spans=((3, 5),), digest=job) for job in jobs
        ),
        deviations=Deviations(
            kl=values,
            kl_variance=None if exact else values / 100,
            same_top=values < 0.5,
            reference_logprob=-values,
            candidate_logprob=-2 * values,
        ),
        left_out={"gone": 1},
    )


def test_a_result_comes_back_from_its_document() -> None:
    """As JSON holds it, to single precision."""
    for one in (part(["a", "b"], [0.1, 0.2, 0.7, 0.4]), part(["a"], [0.1, 0.2], exact=False)):
        again = read_part(json.loads(json.dumps(one.stored())))
        assert (again.conversations, again.left_out, again.reference) == (
            one.conversations,
            one.left_out,
            one.reference,
        )
        assert (again.deviations.same_top == one.deviations.same_top).all()
        assert again.deviations.kl == pytest.approx(one.deviations.kl, rel=1e-6)
        assert again.deviations.exact is one.deviations.exact


def test_results_of_several_jobs_are_one() -> None:
    """A conversation that was read twice counts once; where one part is estimated, the whole is."""
    first, second = part(["a", "b"], [0.1, 0.2, 0.7, 0.4]), part(["b", "c"], [9.0, 9.0, 0.3, 0.3], exact=False)
    whole = together([first, second])
    assert list(whole.deviations.kl) == [0.1, 0.2, 0.7, 0.4, 0.3, 0.3]
    assert whole.deviations.kl_variance is not None
    assert list(whole.deviations.kl_variance[:4]) == [0, 0, 0, 0]
    assert list(whole.places.text) == [0, 0, 1, 1, 2, 2]
    assert list(whole.places.span) == [0, 0, 1, 1, 2, 2]
    assert list(whole.places.position) == [0, 1] * 3
    assert list(whole.places.depth) == [3, 4] * 3
    assert whole.left_out == {"gone": 2}
