"""Suites on their pages: versions and what changed between them, every prompt and check of a sequence, the baseline."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from nightjar.jobs.accounts.documents import AuditEntry, Role
from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.web.pages import suite as suite_page
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import CONTROLS, MARKUP, Tags, get


async def imported(database: Database, *sequences: dict[str, Any], **changes: Any) -> None:
    read = tuple(Sequence.model_validate(sequence) for sequence in sequences)
    await import_suite(SuiteContent(name="tales", sequences=read, **changes), database)


def asks(name: str, *prompts: str, **changes: Any) -> dict[str, Any]:
    return {"id": name, "turns": [{"prompt": prompt} for prompt in prompts], **changes}


async def test_all_versions_and_what_changed_between_them(visits: Visits, database: Database) -> None:
    """Since the version before: what was added, is gone, asks otherwise, is checked otherwise, and the suite's own."""
    await imported(database, asks("a", "x"), asks("b", "y"), asks("c", "z"))
    await imported(database, asks("a", "x"), asks("c", "z, please", tags=["hard"]), asks("d", "w"), licence="CC0")
    await imported(database, asks("d", "w"), asks("c", "z, please", tags=["easy"]), asks("a", "x"), licence="CC0")
    async with await visits.owner() as client:
        newest = await get(client, "/suites/tales")
        assert "1 sequence checked or tagged otherwise, another order" in newest
        assert "1 sequence added, 1 sequence removed, 1 sequence asks otherwise; licence" in newest
        assert "the first that is here" in newest
        second = await get(client, "/suites/tales@2")
        changed = re.findall(r'<th scope="row">(.*?)</th>\s*<td[^>]*>(.*?)</td>', second.partition('id="changed')[2])
        assert [(re.sub("<.*?>", "", name).strip(), said.strip()) for name, said in changed][:3] == [
            ("c", "asks otherwise"),
            ("d", "added"),
            ("b", "removed"),
        ]
        assert "Changed sequences" not in await get(client, "/suites/tales@1")
        assert (await client.get("/suites/tales@9")).status_code == 404


async def test_a_sequence_has_all_it_asks_and_expects(visits: Visits, database: Database) -> None:
    """Every prompt, system, messages and documents, each check with its value; the list names the checks."""
    turns = [
        {"prompt": "First.", "expect": [{"check": "length", "value": {"words": [1, 9]}}], "name": "opening"},
        {"prompt": "Second.", "reference": "A good one.", "parameters": {"temperature": 0}},
    ]
    messages = [{"role": "user", "text": "An example."}, {"role": "assistant", "text": "Its reply."}]
    documents = [{"name": "tale", "text": "Of a fox."}]
    whole = {"system": "Be brief.", "messages": messages, "documents": documents, "parameters": {"top_k": 3}}
    scored = {"prompt": "The sky is", "choices": {"texts": [" blue", " green"], "right": [0]}}
    choices = {"id": "b/c d", "mode": "completion", "turns": [scored]}
    await imported(database, {"id": "a", "turns": turns, **whole}, choices)
    async with await visits.owner() as client:
        listed = await get(client, "/suites/tales")
        assert "First. / Second." in listed
        assert '<td class="">length</td>' in listed
        links = [
            str(attrs["href"]) for tag, attrs in Tags(listed).found if tag == "a" and "/sequence" in str(attrs["href"])
        ]
        assert links == ["/suites/tales%401/sequence?id=a", "/suites/tales%401/sequence?id=b%2Fc+d"]
        text = html.unescape(await get(client, links[0]))
        texts = ("Be brief.", "An example.", "Its reply.", "Of a fox.", "First.", "Second.", "A good one.")
        assert [part for part in texts if part not in text] == []
        assert '{"words": [1, 9]}' in text
        assert "Turn 1: opening" in text
        assert "temperature 0" in text
        assert "top_k 3" in text
        text = await get(client, links[1])
        assert "Choice 1, right" in text
        assert "Choice 2<" in text
        assert (await client.get("/suites/tales/sequence?id=other")).status_code == 404
        assert (await client.get("/suites/other/sequence?id=a")).status_code == 404


async def test_sequences_come_a_page_at_a_time(
    visits: Visits, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite_page, "EACH", 2)
    await imported(database, *(asks(name, f"prompt {name}") for name in "abcde"))
    async with await visits.owner() as client:
        assert "1 to 2 of 5" in await get(client, "/suites/tales")
        last = await get(client, "/suites/tales?page=3")
        assert "5 to 5 of 5" in last
        assert "prompt e" in last
        assert ">After</a>" not in last
        assert "None of 5" in await get(client, "/suites/tales?page=4")


async def test_a_hostile_suite_stays_text(visits: Visits, database: Database) -> None:
    hostile = MARKUP + CONTROLS
    turn = {"prompt": hostile, "expect": [{"check": hostile, "value": hostile}], "reference": hostile, "name": hostile}
    await imported(database, {"id": hostile, "turns": [turn], "system": hostile}, description=hostile)
    async with await visits.owner() as client:
        listed = await get(client, "/suites/tales")
        address = next(str(attrs["href"]) for tag, attrs in Tags(listed).found if "/sequence" in str(attrs.get("href")))
        for text in (listed, await get(client, address)):
            assert not [tag for tag, _ in Tags(text).found if tag in ("img", "b")]
            assert not set(text) & set("\x1b\x07\u202e\u202c\u200f")


async def test_the_baseline_of_a_suite_is_cleared(visits: Visits, run: Run, database: Database) -> None:
    """By operators, which is written to the audit; the run stays."""
    await database.runs.update_one({}, {"$set": {"status": RunStatus.DONE}})
    await Baseline(id="tales", run=run.id, run_name=run.name, set_at=await database.now()).insert()
    async with await visits.acting(Role.VIEWER) as client:
        assert 'href="/runs/nightly"' in await get(client, "/suites")
        assert "Clear the baseline" not in await get(client, "/suites/tales")
        assert (await client.post("/suites/tales/clear-baseline")).status_code == 403
    async with await visits.acting(Role.OPERATOR) as client:
        assert "Clear the baseline" in await get(client, "/suites/tales@1")
        done = await client.post("/suites/tales/clear-baseline")
        assert done.json() == {"said": "tales has no baseline any more; the run stays."}
        assert (await client.post("/suites/tales/clear-baseline")).status_code == 404
    assert await Baseline.find_all().count() == 0
    entries = await AuditEntry.find_all().sort("+_id").to_list()
    assert [(entry.who, entry.action, entry.about, entry.outcome == "done") for entry in entries] == [
        ("operator", "clear-baseline", "tales", True),
        ("operator", "clear-baseline", "tales", False),
    ]
