"""Benchmarks from a local hub with the real client: what is shown first, what is checked, what is recorded."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightjar.config.errors import HubError, SuiteError, UnknownNameError, UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.mongo import Database
from nightjar.pipeline.scoring.math_check import missing_math
from nightjar.pipeline.suites.benchmarks.catalogue import HowAsked
from nightjar.pipeline.suites.importer import import_suite, load_content, load_whole
from nightjar.scripts.views.suite_pull import fetch_suite, hub_for, known_benchmark, offer
from nightjar.workers.library.hub import Hub
from tests.benchmark_rows import parquet, put_benchmark
from tests.hub import COMMIT, Faults, LocalHub, Repository

ARC_FILE = "ARC-Easy/test-00000-of-00001.parquet"
LAMBADA_FILE = "data/lambada_test_en.jsonl"
ROWS = [
    {"id": f"r{at}", "question": f"Q{at}?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}
    for at in range(3)
]


@pytest.fixture
def server() -> Iterator[LocalHub]:
    server = LocalHub()
    server.repositories["allenai/ai2_arc"] = Repository(files={ARC_FILE: parquet(ROWS), "README.md": b"# ARC"})
    lines = "".join(json.dumps({"text": f"the end {at}"}) + "\n" for at in range(2))
    server.repositories["EleutherAI/lambada_openai"] = Repository(files={LAMBADA_FILE: lines.encode()}, licence="mit")
    with server.running():
        yield server


@pytest.fixture
def hub(server: LocalHub, tmp_path: Path) -> Hub:
    return hub_for(Settings.model_validate({"home": tmp_path / "home", "hf_endpoint": server.endpoint}))


def test_commit_size_and_licence_are_known_before_anything_is_fetched(hub: Hub, server: LocalHub) -> None:
    offered = offer(known_benchmark("arc-easy"), HowAsked(), hub, None)

    assert f"allenai/ai2_arc at {COMMIT}, 1 file," in offered.words
    assert "licence: apache-2.0" in offered.words
    assert server.downloads() == []


def test_a_parquet_file_becomes_a_suite_that_says_where_it_is_from(hub: Hub, server: LocalHub) -> None:
    content = fetch_suite(offer(known_benchmark("arc-easy"), HowAsked(), hub, None), hub)
    digest = hashlib.sha256(server.repositories["allenai/ai2_arc"].files[ARC_FILE]).hexdigest()

    assert [sequence.turns[0].prompt for sequence in content.sequences] == [
        f"Question: Q{at}?\nAnswer:" for at in range(3)
    ]
    assert content.licence == "apache-2.0"
    assert content.source == f"allenai/ai2_arc at {COMMIT}: {ARC_FILE} (SHA-256 {digest[:16]})"


def test_json_lines_whose_digest_the_hub_does_not_give_are_digested_here(hub: Hub, server: LocalHub) -> None:
    content = fetch_suite(offer(known_benchmark("lambada"), HowAsked(), hub, COMMIT), hub)
    digest = hashlib.sha256(server.repositories["EleutherAI/lambada_openai"].files[LAMBADA_FILE]).hexdigest()

    assert [sequence.turns[0].prompt for sequence in content.sequences] == ["the end", "the end"]
    assert f"(SHA-256 {digest[:16]})" in content.source


def test_a_file_that_was_damaged_on_its_way_makes_no_suite(hub: Hub, server: LocalHub) -> None:
    offered = offer(known_benchmark("arc-easy"), HowAsked(), hub, None)
    server.faults = Faults(corrupt=True)

    with pytest.raises(HubError, match="damaged on its way"):
        fetch_suite(offered, hub)


def test_names_and_files_that_are_not_there_are_told(hub: Hub) -> None:
    with pytest.raises(UnknownNameError, match="arc-easy"):
        known_benchmark("arc-eazy")
    with pytest.raises(SuiteError, match="has no file for the split 'train'"):
        offer(known_benchmark("arc-easy"), HowAsked(shots=2), hub, None)


def test_what_replies_are_checked_with_is_asked_for_before_anything_is_fetched(
    hub: Hub, server: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    missing_math.cache_clear()
    with pytest.raises(UsageError, match=r"not installed. Install it with: .*\[math\]"):
        offer(known_benchmark("math-500"), HowAsked(), hub, None)
    missing_math.cache_clear()
    assert server.downloads() == []


async def test_a_withheld_benchmark_is_fetched_with_the_user_s_token_alone(
    hub: Hub, server: LocalHub, tmp_path: Path, database: Database
) -> None:
    """Without one nothing is asked of the hub; with one its questions go where workers read them."""
    put_benchmark(server, "gpqa")
    with pytest.raises(UsageError, match=r"accept its terms at .*/datasets/Idavidrein/gpqa, and set HF_TOKEN"):
        offer(known_benchmark("gpqa"), HowAsked(), hub, None)
    assert server.seen == []
    known = {"home": tmp_path / "home", "hf_endpoint": server.endpoint, "hf_token": server.token}
    own = hub_for(Settings.model_validate(known))
    offered = offer(known_benchmark("gpqa"), HowAsked(), own, None)
    content = fetch_suite(offered, own)
    version, _ = await import_suite(content, database)

    assert "Its questions are withheld" in offered.words
    assert (
        content.sequences[0].turns[0].prompt.startswith("What is the correct answer to this question:Which secret 0?")
    )
    assert "secret" not in (await load_content(version, database)).model_dump_json()
    with pytest.raises(UsageError, match="are withheld"):
        await load_whole(version, database)
    with pytest.raises(SuiteError, match="no other suite can be made of it"):
        await import_suite(await load_content(version, database), database)


def test_a_token_that_may_not_read_is_told_apart_from_none(server: LocalHub, tmp_path: Path) -> None:
    put_benchmark(server, "gpqa")
    known = {"home": tmp_path / "home", "hf_endpoint": server.endpoint, "hf_token": "hf_of_somebody_else"}
    other = hub_for(Settings.model_validate(known))
    with pytest.raises(HubError, match="Idavidrein/gpqa"):
        fetch_suite(offer(known_benchmark("gpqa"), HowAsked(), other, None), other)
