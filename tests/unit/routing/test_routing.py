"""A policy is learnt from pairs: what it knows, what it leaves to the default, and how rarely it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from nightjar.jobs.routing.policies import PolicyKind, RoutingPolicy, TagRule
from nightjar.pipeline.routing.learn import LEAST_PAIRS, RouteCandidates, SequenceEvidence, learn_rules, learn_tag
from nightjar.pipeline.routing.route import CandidateHealth, RequestFeatures, choose_by_tags, route
from nightjar.pipeline.routing.validate import split_evidence, validate_rules
from tests.paired_worlds import paired_scores

LOCAL, CLOUD = "local", "cloud"
CHOICE = RouteCandidates(names=(LOCAL, CLOUD), default=CLOUD, margin=0.05)


def evidence(local: list[float], cloud: list[float], tag: str = "t") -> list[SequenceEvidence]:
    pairs = zip(local, cloud, strict=True)
    return [
        SequenceEvidence(id=f"{tag}{n}", tags=(tag,), scores={LOCAL: a, CLOUD: b}) for n, (a, b) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("local", "cloud", "model", "says"),
    [
        ([1.0] * 10, [0.0] * 10, None, "unknown: 10 sequences"),
        ([1.0] * 200, [1.0] * 200, LOCAL, "the best"),  # equal: the cheaper one
        ([1.0] * 30, [1.0] * 30, None, "do not tell"),  # equal so far
        ([0.5] * 200, [0.9] * 200, CLOUD, "the best"),
        ([0.9] * 200, [0.91] * 200, LOCAL, "not worse than cloud by more than 0.05"),
        ([1.0] * 24, [1.0] * 23 + [0.0], None, "do not tell"),  # it looks like the best, which may be luck
    ],
)
def test_the_cheapest_that_is_not_worse_answers_a_tag(
    local: list[float], cloud: list[float], model: str | None, says: str
) -> None:
    rule = learn_tag("t", evidence(local, cloud), CHOICE)
    assert rule.model == model
    assert says in rule.reason


def test_a_tag_is_learnt_by_itself() -> None:
    both = evidence([0.9] * 60, [0.9] * 60, "easy") + evidence([0.2] * 60, [0.9] * 60, "hard") + evidence([1], [1], "x")
    assert {rule.tag: rule.model for rule in learn_rules(both, CHOICE)} == {"easy": LOCAL, "hard": CLOUD, "x": None}


RULES = [
    TagRule(tag="easy", model=LOCAL, best=CLOUD, pairs=50, reason="fine"),
    TagRule(tag="hard", model=CLOUD, best=CLOUD, pairs=50, reason="better"),
    TagRule(tag="new", model=None, best=CLOUD, pairs=3, reason="unknown"),
]


@pytest.mark.parametrize(
    ("tags", "model"),
    [
        (("easy",), LOCAL),
        (("hard",), CLOUD),
        (("new",), CLOUD),
        (("easy", "hard"), CLOUD),  # the cautious one decides
        (("easy", "new"), CLOUD),
        (("easy", "never seen"), LOCAL),
        (("never seen",), CLOUD),
        ((), CLOUD),
    ],
)
def test_what_is_not_known_goes_to_the_default(tags: tuple[str, ...], model: str) -> None:
    assert choose_by_tags(RULES, CLOUD, tags)[0] == model


def policy(kind: PolicyKind) -> RoutingPolicy:
    made: RoutingPolicy = RoutingPolicy.model_construct(
        id="x",
        kind=kind,
        name="n",
        version=1,
        candidates=[LOCAL, CLOUD],
        default=CLOUD,
        rules=RULES,
        created_at=datetime.now(UTC),
    )
    return made


@pytest.mark.parametrize(
    ("kind", "tags", "served", "allowed", "models"),
    [
        (PolicyKind.ALIAS, (), {LOCAL, CLOUD}, {LOCAL, CLOUD}, (LOCAL, CLOUD)),
        (PolicyKind.ALIAS, (), {CLOUD}, {LOCAL, CLOUD}, (CLOUD, LOCAL)),  # who is there goes first
        (PolicyKind.ALIAS, (), set(), {LOCAL, CLOUD}, (LOCAL, CLOUD)),
        (PolicyKind.ALIAS, (), {LOCAL, CLOUD}, {CLOUD}, (CLOUD,)),
        (PolicyKind.ROUTER, ("easy",), {LOCAL, CLOUD}, {LOCAL, CLOUD}, (LOCAL, CLOUD)),
        (PolicyKind.ROUTER, ("hard",), {LOCAL, CLOUD}, {LOCAL, CLOUD}, (CLOUD, LOCAL)),
        (PolicyKind.ROUTER, ("hard",), {LOCAL, CLOUD}, {LOCAL}, (LOCAL,)),  # local_only
    ],
)
def test_whom_to_ask_in_order(
    kind: PolicyKind, tags: tuple[str, ...], served: set[str], allowed: set[str], models: tuple[str, ...]
) -> None:
    health = CandidateHealth(served=served, allowed=allowed)
    assert route(policy(kind), RequestFeatures(tags=tags), health).models == models


def test_held_out_sequences_are_always_the_same_and_about_a_third() -> None:
    everything = evidence([1.0] * 300, [1.0] * 300)
    learn, held = split_evidence(everything)
    assert split_evidence(everything) == (learn, held)
    assert {each.id for each in learn}.isdisjoint(each.id for each in held)
    assert 70 < len(held) < 130


def test_a_policy_that_knows_something_beats_the_mix_and_one_that_does_not_says_so() -> None:
    held = evidence([0.9] * 50, [0.9] * 50, "easy") + evidence([0.1] * 50, [0.9] * 50, "hard")
    knows = validate_rules(RULES, held, CHOICE, {LOCAL: 0.0, CLOUD: 0.01})
    assert knows is not None
    assert knows.beats_mix
    assert knows.share_cheapest == 0.5
    assert [knows.policy, knows.cheapest, knows.best] == pytest.approx([0.9, 0.5, 0.9])
    assert knows.usd == pytest.approx(0.005)
    nothing = validate_rules([], held, CHOICE, {LOCAL: None, CLOUD: 0.01})
    assert nothing is not None
    assert not nothing.beats_mix


def test_in_a_thousand_worlds_few_tags_go_to_a_model_that_is_worse_by_the_margin() -> None:
    """Each world: a tag at the margin exactly, one below it, and one with too few pairs; binary or graded scores."""
    random = np.random.default_rng(23)
    worlds, wrong, harmless = 1_000, 0, 0
    for world in range(worlds):
        pairs = int(random.integers(LEAST_PAIRS, 120))
        cloud, local = paired_scores(random, pairs, worse_by=CHOICE.margin, graded=bool(world % 2))
        at_margin = learn_tag("t", evidence(local, cloud), CHOICE)
        cloud, local = paired_scores(random, pairs, worse_by=2 * CHOICE.margin, graded=bool(world % 2))
        far_below = learn_tag("t", evidence(local, cloud), CHOICE)
        too_few = learn_tag("t", evidence([1.0] * (LEAST_PAIRS - 1), [0.0] * (LEAST_PAIRS - 1)), CHOICE)
        assert too_few.model is None
        wrong += LOCAL in (at_margin.model, far_below.model)
        cloud, local = paired_scores(random, 400, worse_by=0.0, graded=True)
        harmless += learn_tag("t", evidence(local, cloud), CHOICE).model == LOCAL
    upper = stats.binomtest(wrong, worlds).proportion_ci(confidence_level=0.90, method="exact").high
    assert upper <= 0.065, f"{wrong} of {worlds}"
    assert harmless > 0.8 * worlds, "with enough pairs an equal model is used"
