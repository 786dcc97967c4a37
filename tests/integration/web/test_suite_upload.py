"""A suite's file is uploaded: stored, or refused with every error and its line; nothing else is ever read."""

from __future__ import annotations

import pytest

from nightjar.jobs.accounts.documents import AuditEntry, Role
from nightjar.jobs.documents import SuiteVersion
from nightjar.web.gate import BODY_BYTES, LARGER_BODIES
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import get

GOOD = """nightjar: 1
name: tales
sequences:
  - id: a
    turns: [{ prompt: Tell me of a fox. }]
"""
BAD = """nightjar: 1
name: tales
sequences:
  - id: a
    turns: [{ promt: x }]
  - id: b
    turns: [{ prompt: x, expect: { contians: y } }]
"""
OUTSIDE = """nightjar: 1
documents: [{ name: secret, file: FILE }]
sequences:
  - id: a
    turns: [{ prompt: "{{ documents.secret }}" }]
"""


async def test_a_suite_is_imported_once(visits: Visits) -> None:
    async with await visits.owner() as client:
        first = await client.post("/suites/import?file=tales.yaml", content=GOOD)
        assert first.json() == {"said": "Imported tales, version 1: 1 sequence.", "to": "/suites/tales"}
        again = await client.post("/suites/import?file=tales.yaml", content=GOOD)
        assert "already" in again.json()["said"]
        rows = await client.post("/suites/import?file=q.jsonl", content='{"input": "x", "target": "y"}\n')
        assert rows.status_code == 200, rows.text
        assert "Import a file" in await get(client, "/suites")
    assert {version.name for version in await SuiteVersion.find_all().to_list()} == {"tales", "q"}
    assert [entry.action for entry in await AuditEntry.find_all().to_list()] == ["import"] * 3


async def test_every_error_has_its_line(visits: Visits) -> None:
    async with await visits.owner() as client:
        refused = await client.post("/suites/import?file=tales.yaml", content=BAD, headers={"accept": "*/*"})
    assert refused.status_code == 400
    message = refused.json()["error"]["message"]
    assert "3 errors" in message
    assert "tales.yaml, line 5" in message
    assert "tales.yaml, line 7" in message
    assert "Did you mean 'prompt'" in message
    assert await SuiteVersion.find_all().count() == 0


@pytest.mark.parametrize("file", ["../../../etc/passwd", "/etc/passwd", "tales.yaml", "~/.ssh/id_rsa"])
async def test_a_suite_names_no_file_of_this_machine(file: str, visits: Visits) -> None:
    """Documents lie beside a suite's file; beside an uploaded one there is nothing."""
    async with await visits.owner() as client:
        refused = await client.post("/suites/import?file=t.yaml", content=OUTSIDE.replace("FILE", file))
    if file == "tales.yaml":
        assert refused.status_code == 400
    assert "root:" not in refused.text
    assert await SuiteVersion.find_all().count() == 0


@pytest.mark.parametrize("name", ["", "x", "../x.yaml", "/tmp/x.yaml", "x.exe", ".yaml", "a\nb.yaml", "-.yaml"])
async def test_a_files_name_is_a_name(name: str, visits: Visits) -> None:
    async with await visits.owner() as client:
        answer = await client.post("/suites/import", params={"file": name}, content=GOOD)
    assert answer.status_code == 400


async def test_only_this_body_may_be_large(visits: Visits) -> None:
    large = b"# " + b"x" * (BODY_BYTES + 1)
    async with await visits.owner() as client:
        assert (await client.post("/suites/import?file=t.yaml", content=large)).status_code == 400
        assert (await client.post("/runs/make", content=large)).status_code == 413
        larger = str(LARGER_BODIES["/suites/import"] + 1)
        assert (await client.post("/suites/import", headers={"content-length": larger})).status_code == 413


async def test_viewers_import_nothing(visits: Visits) -> None:
    async with await visits.somebody(Role.VIEWER) as client:
        assert "Import a file" not in await get(client, "/suites")
        answer = await client.post(
            "/suites/import?file=t.yaml",
            content=GOOD,
            headers={"nightjar-request": "1", "origin": "http://127.0.0.1:8420"},
        )
    assert answer.status_code == 403


async def test_a_file_of_errors_alone_is_refused_and_costs_no_child(visits: Visits) -> None:
    """All of them together are longer than a pipe is read at once; of what was read nothing is kept."""
    wrong = "nightjar: 1\nsequences:\n" + "".join(f"  - {{ id: s{n}, turns: [{{ promt: x }}] }}\n" for n in range(600))
    heavy = visits.app.state.site.heavy
    async with await visits.owner() as client:
        for content, status in ((wrong, 400), (wrong, 400), (GOOD, 200)):
            answer = await client.post("/suites/import?file=t.yaml", content=content, headers={"accept": "*/*"})
            assert answer.status_code == status, answer.text[:500]
    assert len(heavy._all) == 1
    assert not heavy._results
