"""A policy by nearest prompts: what it knows, what it leaves to the default, and how rarely it is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from nightjar.config.errors import UsageError
from nightjar.jobs.models import ModelFacts, ModelKind, ModelSource
from nightjar.jobs.routing.policies import PolicyKind, RoutingPolicy
from nightjar.jobs.sequences import FixedMessage, MessageRole
from nightjar.pipeline.routing.learn import LEAST_PAIRS, RouteCandidates, SequenceEvidence
from nightjar.pipeline.routing.learn_nearest import learn_nearest, validate_nearest
from nightjar.pipeline.routing.nearest import (
    NearestPrompts,
    check_policy_embedder,
    choose_by_nearest,
    distances,
    opening_prompt,
    prompts_of,
)
from nightjar.pipeline.routing.read_evidence import Evidence
from nightjar.pipeline.routing.route import CandidateHealth, RequestFeatures, route
from tests.paired_worlds import paired_scores

if TYPE_CHECKING:
    from nightjar.jobs.search.text_embedder import Vectors

LOCAL, CLOUD = "local", "cloud"
CHOICE = RouteCandidates(names=(LOCAL, CLOUD), default=CLOUD, margin=0.05)
WIDTH = 32
Scores = list[tuple[float, float]]


def facts(digest: str = "a" * 64) -> ModelFacts:
    return ModelFacts(name="words", source=ModelSource.REMOTE, digest=digest, kind=ModelKind.EMBEDDING)


def sort_of(number: int, count: int, random: np.random.Generator) -> Vectors:
    """Prompts of one sort: near each other, and far from those of another."""
    middle = np.zeros(WIDTH, np.float32)
    middle[number] = 1.0
    vectors = middle + random.normal(scale=0.08, size=(count, WIDTH)).astype(np.float32)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def learnt(sorts: list[tuple[Vectors, Scores]], neighbours: int = 100) -> NearestPrompts:
    pairs = [pair for _, scores in sorts for pair in scores]
    sequences = [
        SequenceEvidence(id=str(number), tags=(), scores={LOCAL: local, CLOUD: cloud})
        for number, (local, cloud) in enumerate(pairs)
    ]
    vectors = np.concatenate([vectors for vectors, _ in sorts])
    found = learn_nearest(sequences, vectors, CHOICE, facts(), neighbours)
    return prompts_of(found.rule, found.outcomes, CLOUD)


@pytest.mark.parametrize(
    ("count", "local", "cloud", "model", "says"),
    [
        (100, 1.0, 1.0, LOCAL, "nearest 100 prompts: local is the best of them, at 95 %"),  # equal: the cheaper one
        (100, 0.9, 0.92, LOCAL, "not worse than cloud by more than 0.05"),
        (100, 0.2, 0.9, CLOUD, "cloud is the best"),
        (100, 0.86, 0.9, CLOUD, "cloud is the best"),  # worse by less than the margin, and not by so much less
        (30, 1.0, 1.0, CLOUD, "default: unknown: the nearest 30 prompts do not tell"),  # equal so far
        (LEAST_PAIRS - 1, 1.0, 0.0, CLOUD, "default: unknown: 19 prompts of the evidence near"),
    ],
)
def test_the_nearest_prompts_say_who_answers(count: int, local: float, cloud: float, model: str, says: str) -> None:
    random = np.random.default_rng(1)
    far = (sort_of(0, 300, random), [(0.0, 1.0)] * 300)
    prompts = learnt([(sort_of(1, count, random), [(local, cloud)] * count), far])
    chosen, reason = choose_by_nearest(prompts, sort_of(1, 1, random)[0])
    assert chosen == model
    assert says in reason


def test_a_request_like_none_of_them_goes_to_the_default() -> None:
    random = np.random.default_rng(2)
    prompts = learnt([(sort_of(0, 300, random), [(1.0, 1.0)] * 300)])
    assert choose_by_nearest(prompts, sort_of(0, 1, random)[0])[0] == LOCAL
    assert choose_by_nearest(prompts, sort_of(5, 1, random)[0]) == (
        CLOUD,
        "default: unknown: 0 prompts of the evidence near, and fewer than 20 say nothing",
    )


def test_the_nearest_have_a_word_where_others_outnumber_them() -> None:
    """All of one sort for the embedder, but those nearest to the request are what the local model cannot do."""
    random = np.random.default_rng(3)
    vectors = sort_of(0, 400, random)
    request = vectors[0]
    order = np.argsort(-(vectors @ request))
    scores: Scores = [(1.0, 1.0)] * 400
    for row in order[:LEAST_PAIRS]:
        scores[row] = (0.8, 1.0)
    chosen, reason = choose_by_nearest(learnt([(vectors, scores)], neighbours=300), request)
    assert chosen == CLOUD, reason


def test_what_is_near_is_said_by_the_evidence_itself() -> None:
    random = np.random.default_rng(4)
    one, other = sort_of(0, 300, random), sort_of(1, 300, random)
    near, unrelated = distances(np.concatenate([one, other]), LEAST_PAIRS)
    within, across = float(np.median(one @ one.T)), float(np.median(one @ other.T))
    assert unrelated < across + 0.05
    assert across + 0.3 < near < within
    assert distances(one[:LEAST_PAIRS], LEAST_PAIRS)[0] > 1, "too few to know what is near"


def test_a_conversation_is_routed_by_what_it_begins_with() -> None:
    said = [
        FixedMessage(role=MessageRole.USER, text=" A riddle? "),
        FixedMessage(role=MessageRole.ASSISTANT, text="Yes."),
    ]
    assert opening_prompt(said, "Shorter, please.") == "A riddle?"
    assert opening_prompt(said[1:], "Shorter, please.") == "Shorter, please."


def policy_of(prompts: NearestPrompts) -> RoutingPolicy:
    made: RoutingPolicy = RoutingPolicy.model_construct(
        id="router:n@1",
        kind=PolicyKind.ROUTER,
        name="n",
        version=1,
        candidates=[LOCAL, CLOUD],
        default=CLOUD,
        rules=[],
        nearest=prompts.rule,
    )
    return made


def test_another_embedder_is_refused_and_nobody_who_looked_means_the_default() -> None:
    prompts = learnt([(sort_of(0, 30, np.random.default_rng(5)), [(1.0, 1.0)] * 30)])
    policy = policy_of(prompts)
    check_policy_embedder(policy, facts())
    with pytest.raises(UsageError, match="was learnt with the embedding model words"):
        check_policy_embedder(policy, facts("b" * 64))
    health = CandidateHealth(served={LOCAL, CLOUD}, allowed={LOCAL, CLOUD})
    assert route(policy, RequestFeatures(tags=("easy",)), health).models[0] == CLOUD
    assert route(policy, RequestFeatures(nearest=(LOCAL, "near")), health).models == (LOCAL, CLOUD)


def test_what_it_is_worth_on_sequences_that_it_has_not_seen() -> None:
    random = np.random.default_rng(6)
    prompts = learnt([(sort_of(0, 120, random), [(0.9, 0.9)] * 120), (sort_of(1, 120, random), [(0.1, 0.9)] * 120)])
    held = [
        SequenceEvidence(id=f"{sort}.{n}", tags=(), scores={LOCAL: local, CLOUD: 0.9})
        for sort, local in enumerate((0.9, 0.1, 0.5))
        for n in range(20)
    ]
    evidence = Evidence(
        metric="m", sequences=tuple(held), candidates=CHOICE, usd={LOCAL: 0.0, CLOUD: 0.03}, runs=("r",)
    )
    vectors = np.concatenate([sort_of(sort, 20, random) for sort in range(3)])
    worth = validate_nearest(prompts, held, vectors, evidence)
    assert worth is not None
    assert worth.beats_mix
    assert worth.share_cheapest == pytest.approx(1 / 3, abs=0.05)
    assert worth.policy == pytest.approx(0.9)
    assert worth.covered == pytest.approx(2 / 3, abs=0.06)
    assert worth.usd == pytest.approx(0.02, abs=0.002)
    assert validate_nearest(prompts, [], vectors[:0], evidence) is None


def test_in_a_thousand_worlds_few_requests_go_to_a_model_that_is_worse_by_the_margin() -> None:
    """Each world has sorts of prompts: the local model worse by the margin exactly, by more, as good, and too few.

    A request of each sort is routed; the places of the prompts are drawn anew every ten worlds.
    """
    random = np.random.default_rng(23)
    worlds, wrong, harmless = 1_000, 0, 0
    large = sort_of(0, 600, random)
    equal = learnt([(large, [(1.0, 1.0)] * 600)], neighbours=400)
    for world in range(worlds):
        if world % 10 == 0:
            sizes = [*map(int, random.integers(LEAST_PAIRS, 120, size=2)), 300, int(random.integers(5, LEAST_PAIRS))]
            places = [(sort_of(number, size, random), [(1.0, 1.0)] * size) for number, size in enumerate(sizes)]
            prompts = learnt(places)  # which prompts are near depends on places alone
        scores = [
            draw(random, size, worse_by, graded=bool(world % 2))
            for size, worse_by in zip(sizes, (CHOICE.margin, 2 * CHOICE.margin, 0.0, 2 * CHOICE.margin), strict=True)
        ]
        drawn = replace(prompts, scores=np.concatenate(scores))
        chosen = [choose_by_nearest(drawn, sort_of(number, 1, random)[0])[0] for number in range(4)]
        wrong += LOCAL in (chosen[0], chosen[1], chosen[3])
        if world % 10 == 0:  # with enough prompts around it, as good a model is used
            drawn = replace(equal, scores=draw(random, 600, 0.0, graded=True))
            harmless += choose_by_nearest(drawn, sort_of(0, 1, random)[0])[0] == LOCAL
    upper = stats.binomtest(wrong, worlds).proportion_ci(confidence_level=0.90, method="exact").high
    assert upper <= 0.065, f"{wrong} of {worlds}"
    assert harmless > 0.6 * worlds / 10, f"{harmless} of {worlds // 10}"


def draw(random: np.random.Generator, size: int, worse_by: float, *, graded: bool) -> npt.NDArray[np.float64]:
    cloud, local = paired_scores(random, size, worse_by=worse_by, graded=graded)
    return np.column_stack([local, cloud])
