"""What a job of a policy says of itself: who answered which turn, what the next candidate is given, what it sums to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nightjar.jobs.routing.policies import PolicyKind, TagRule
from nightjar.jobs.routing.routed import FrozenPolicy, JobRoute, RouteStep, asked_as, asked_query
from nightjar.jobs.sequences import Sequence, TurnSpec
from nightjar.pipeline.report.data.routes import candidate_shares
from nightjar.pipeline.routing.route import SCHEMA_TAG, CandidateHealth, RequestFeatures, route
from nightjar.pipeline.routing.run_savings import LEAST_KNOWN, SavingsEvidence, run_savings
from nightjar.pipeline.transcripts import RouteRow
from nightjar.workers.conversation.handed_over import taken_over
from tests import factories
from tests.documents import a_job, a_turn

AT = datetime(2026, 11, 30, tzinfo=UTC)


def steps(*given: tuple[str, int]) -> JobRoute:
    """Candidates with the first turn of each."""
    made = [RouteStep(model=model, reason=f"for {model}", turn=turn, at=AT) for model, turn in given]
    return JobRoute(asked_as="router:r", policy="router:r@1", order=[given[0][0]], left=[], steps=made)


@pytest.mark.parametrize(
    ("given", "who"),
    [
        ([("a", 0)], ["a", "a", "a"]),
        ([("a", 0), ("b", 1)], ["a", "b", "b"]),
        ([("a", 0), ("b", 0)], ["b", "b", "b"]),  # the first gave no reply at all
        ([("a", 0), ("b", 2), ("a", 2)], ["a", "a", "a"]),  # tried again before the other had said anything
    ],
)
def test_who_answered_which_turn(given: list[tuple[str, int]], who: list[str]) -> None:
    routed = steps(*given)
    assert [routed.who(turn) for turn in range(3)] == who
    row = RouteRow(policy=routed.policy, steps=tuple((step.model, step.reason, step.turn) for step in routed.steps))
    assert [row.who(turn) for turn in range(3)] == who, "reports say the same"


def test_what_others_said_is_text_for_the_next() -> None:
    """Token ids and reasoning of another model mean nothing to it; its own turns stay as they are."""
    turns = [a_turn(n, reply=f"r{n}", raw_text=f"<think>hm</think>r{n}", reply_ids=(1, 2, 3)) for n in range(2)]
    job = a_job(model="b", routed=steps(("a", 0), ("b", 1)), turns=turns)
    first, second = taken_over(job).turns
    assert (first.draw.reply_ids, first.draw.reply_tokens, first.draw.raw_text) == (None, 3, "r0")
    assert second == turns[1]
    assert job.turns == turns, "what is stored stays"
    plain = a_job(turns=turns)
    assert taken_over(plain) is plain
    stayed = a_job(model="a", routed=steps(("a", 0)), turns=turns)
    assert taken_over(stayed) is stayed


def test_a_job_is_its_policys() -> None:
    job = a_job(model="b", variant="short", routed=steps(("a", 0), ("b", 1)))
    assert job.contestant == "router:r+short"
    assert asked_as({"model": "b", "routed": {"asked_as": "router:r"}}) == "router:r"
    assert asked_as({"model": "b"}) == asked_as({"model": "b", "routed": None}) == "b"
    assert asked_query("router:r") == {"routed.asked_as": "router:r"}
    assert asked_query("b") == {"model": "b", "routed": None}


POLICY = FrozenPolicy(
    id="router:r@1",
    kind=PolicyKind.ROUTER,
    version=1,
    candidates=["small", "large"],
    default="large",
    rules=[
        TagRule(tag="easy", model="small", best="large", pairs=50, reason="fine"),
        TagRule(tag=SCHEMA_TAG, model="large", best="large", pairs=50, reason="better"),
    ],
)


@pytest.mark.parametrize(
    ("features", "contexts", "first", "says"),
    [
        (RequestFeatures(tags=("easy",)), {}, "small", "tag easy"),
        (RequestFeatures(tags=("easy",), tokens=100), {"small": 4096}, "small", "tag easy"),
        (RequestFeatures(tags=("easy",), tokens=5000), {"small": 4096}, "large", "small does not hold the about 5000"),
        (RequestFeatures(tags=("easy",), tokens=5000), {"small": 10, "large": 10}, "small", "tag easy"),  # nobody does
        (RequestFeatures(tags=("easy",), schema=True), {}, "large", "better"),  # its form is a tag, and more cautious
        (RequestFeatures(schema=True), {}, "large", "tag json_schema"),
        (RequestFeatures(), {}, "large", "shows no tag"),
    ],
)
def test_what_a_request_shows_decides(
    features: RequestFeatures, contexts: dict[str, int], first: str, says: str
) -> None:
    everybody = frozenset(POLICY.candidates)
    routed = route(POLICY, features, CandidateHealth(served=everybody, allowed=everybody, contexts=contexts))
    assert routed.models[0] == first
    assert set(routed.models) == everybody, "the other is asked where it fails"
    assert says in routed.reason


def test_shares_of_candidates() -> None:
    """A conversation counts for who was chosen, its turns for who answered them."""
    whole = RouteRow(policy="router:r@1", steps=(("a", "tag easy", 0),))
    handed = RouteRow(policy="router:r@1", steps=(("a", "tag easy", 0), ("b", "a gave none: paused", 1)))
    story = Sequence(id="s", turns=(TurnSpec(prompt="one"), TurnSpec(prompt="two")))
    of_policy = factories.row(story, ["A reply.", "Another."], model="router:r")
    jobs = [replace(of_policy, route=whole), replace(of_policy, route=handed), replace(of_policy, model="plain")]
    first, second = candidate_shares(jobs)
    assert (first.model, first.chosen, first.handed_on, first.taken_over, first.turns) == ("a", 2, 1, 0, 3)
    assert first.reasons == {"tag easy": 2}
    assert (second.model, second.chosen, second.handed_on, second.taken_over, second.turns) == ("b", 0, 0, 1, 1)


@pytest.mark.parametrize(
    ("changes", "usd", "says"),
    [
        ({}, 9.0, "Counterfactual: had large answered the 100 conversations"),
        ({"paid_usd": 12.0}, -2.0, "is taken off"),  # it may have cost more
        ({"elsewhere": 0}, None, "No conversation went to another"),
        ({"paid_usd": None}, None, "Nobody knows the price"),
        ({"known": LEAST_KNOWN - 1}, None, "fewer than 20 give no interval"),
        ({"known": 0, "deviation_usd": None}, None, "0 conversations of large"),
    ],
)
def test_savings_have_an_interval_or_a_reason(changes: dict[str, float | None], usd: float | None, says: str) -> None:
    fields = {"elsewhere": 100, "paid_usd": 1.0, "known": 50, "mean_usd": 0.1, "deviation_usd": 0.05} | changes
    found = run_savings(SavingsEvidence(default="large", **fields))  # type: ignore[arg-type]
    assert found.usd == (None if usd is None else pytest.approx(usd))
    assert says in found.words
    if found.usd is None:
        assert found.text == "unknown"
    else:
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.usd < found.high
