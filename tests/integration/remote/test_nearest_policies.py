"""Policies by nearest prompts: learnt once and kept whole, asked for live requests, silent about another embedder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nightjar.config.errors import UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.mongo import Database
from nightjar.jobs.routing.policies import RoutingPolicy, find_policy
from nightjar.jobs.search.vectors import TextKind, TextPlace, vector_id, write_vectors
from nightjar.pipeline.routing.learn import RouteCandidates, SequenceEvidence
from nightjar.pipeline.routing.read_evidence import Evidence
from nightjar.pipeline.routing.start import NearestBy, learn_from_evidence, nearest_prompts
from nightjar.web import nearest as asked_by_web
from nightjar.web.nearest import NearestPolicies
from tests.word_embedder import WordEmbedder

LOCAL, CLOUD = "local", "cloud"
PLACE = TextPlace(run="r", job="j", turn=0, part=TextKind.PROMPT, source="j", model="m")


def sequences(topic: str, local: float, count: int = 120) -> list[SequenceEvidence]:
    return [
        SequenceEvidence(
            id=f"{topic}{n}", tags=(), scores={LOCAL: local, CLOUD: 1.0}, prompt=f"tell me about {topic} {topic} {n}"
        )
        for n in range(count)
    ]


async def learn(database: Database, embedder: WordEmbedder) -> RoutingPolicy:
    evidence = Evidence(
        metric="m",
        sequences=(*sequences("weather", 1.0), *sequences("algebra", 0.0)),
        candidates=RouteCandidates(names=(LOCAL, CLOUD), default=CLOUD, margin=0.05),
        usd={LOCAL: 0.0, CLOUD: 0.01},
        runs=("r",),
    )
    return await learn_from_evidence("chat", evidence, database, margin=0.05, nearest=NearestBy(embedder=embedder))


async def test_it_is_learnt_once_and_decides_from_what_it_holds(database: Database) -> None:
    """The same evidence lies there once; what a search has stored is not embedded again."""
    embedder, known = WordEmbedder(), sequences("weather", 1.0)[0].prompt
    [vector] = await embedder.embed([known])
    made = {vector_id(known, embedder.facts.digest): (known, vector.astype("<f2").tobytes())}
    await write_vectors(embedder.facts.digest, made, {name: [PLACE] for name in made}, database)
    embedder.texts.clear()
    first = await learn(database, embedder)
    assert known not in embedder.texts
    assert len(embedder.texts) == 239
    second = await learn(database, embedder)
    assert (first.version, second.version) == (1, 2)
    assert await database.raw["routing_evidence"].count_documents({}) == 1
    assert first.validation is not None
    assert first.validation.beats_mix
    assert first.validation.covered == 1.0
    assert first.nearest is not None
    assert first.nearest.prompts + first.validation.sequences == 240
    prompts = await nearest_prompts(await find_policy("router:chat@1"))
    assert np.allclose(np.linalg.norm(prompts.vectors, axis=1), 1, atol=1e-3)
    await database.raw["routing_evidence"].delete_many({})
    with pytest.raises(UsageError, match="makes a new version"):
        await nearest_prompts(first)


class _Settled(WordEmbedder):
    async def close(self) -> None:
        self.texts.append("closed")


@pytest.mark.parametrize(
    ("prompt", "digest", "model", "says"),
    [
        ("tell me about weather weather 999", "a" * 64, LOCAL, "nearest"),
        ("tell me about algebra algebra 999", "a" * 64, CLOUD, "cloud is the best"),
        ("something else entirely", "a" * 64, CLOUD, "default: unknown: 0 prompts"),
        ("tell me about weather weather 999", "b" * 64, CLOUD, "default: no vector: router:chat@1 was learnt with"),
        ("tell me about weather weather 999", None, CLOUD, "default: no vector: `memory_model` is not set here"),
    ],
)
async def test_a_live_request_is_routed_by_what_it_begins_with(
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    prompt: str,
    digest: str | None,
    model: str,
    says: str,
) -> None:
    policy = await learn(database, WordEmbedder())
    asked = NearestPolicies(settings=settings.model_copy(update={"memory_model": None}))
    if digest is not None:
        embedder = _Settled(digest)

        async def opened(*_: object) -> _Settled:
            return embedder

        monkeypatch.setattr(asked_by_web, "open_embedder", opened)
    chosen, reason = await asked.choose(policy, prompt)
    assert chosen == model
    assert says in reason
    assert await asked.choose(policy, prompt) == (chosen, reason)
    await asked.close()


async def test_an_embedder_that_hangs_keeps_nobody_waiting(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    class Hanging(_Settled):
        async def embed(self, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
            await asyncio.sleep(60)
            raise AssertionError

    async def opened(*_: object) -> _Settled:
        return Hanging()

    policy = await learn(database, WordEmbedder())
    monkeypatch.setattr(asked_by_web, "open_embedder", opened)
    monkeypatch.setattr(asked_by_web, "PATIENCE_S", 0.1)
    chosen, reason = await NearestPolicies(settings=settings).choose(policy, "tell me about weather")
    assert chosen == CLOUD
    assert "its vector was not there within" in reason
