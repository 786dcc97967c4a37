"""A run as a file: every format as the command line writes it, made beside, and the report section by section."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile

import httpx
import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.documents import Run
from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import RunStatus
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.exports.write import FORMATS, export_paths
from nightjar.pipeline.report.page.environment import TEMPLATES
from nightjar.pipeline.runs.run_file import read_run_file
from nightjar.web.export_formats import EXPORTS, IN_ARCHIVES, RUN_FILE
from nightjar.web.pages.computed import REPORT_SECTIONS
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import add_turns, get


@pytest.fixture
async def ended(run: Run, database: Database) -> Run:
    for sequence in "ab":
        await add_turns(database, f"Told of {sequence}.", sequence)
    await database.runs.update_one(
        {}, {"$set": {"status": RunStatus.DONE, "outcome.finished_at": await database.now()}}
    )
    return await find_run(run.id, database)


async def downloaded(client: httpx.AsyncClient, form: str) -> httpx.Response:
    """The file, once the page leads to it."""
    page = f"/runs/nightly/export?format={form}"
    while not (found := re.search(r'href="([^"]+/export/file\?[^"]+)"', text := await get(client, page))):
        assert "being computed" in text, text
        assert "data-live" in text
    answer = await client.get(found[1])
    assert answer.status_code == 200
    return answer


async def test_a_run_is_downloaded(ended: Run, visits: Visits, database: Database, settings: Settings) -> None:
    """Reports as they are, exports for other tools in an archive with all of their files."""
    report = await collect(ended.id, database)
    async with await visits.owner() as client:
        assert 'href="/runs/nightly/export"' in await get(client, "/runs/nightly")
        files = {form: await downloaded(client, form) for form in ("html", "json", "csv", "inspect", RUN_FILE)}
    for form, answer in files.items():
        assert answer.headers["content-disposition"].startswith("attachment;"), form
        assert answer.headers["content-type"] == "application/octet-stream"
    assert 'filename="nightly.csv"' in files["csv"].headers["content-disposition"]
    assert "<h1>nightly</h1>" in files["html"].text
    assert json.loads(files["json"].text)["run"]["name"] == "nightly"
    assert any("Told of a." in row for row in csv.reader(io.StringIO(files["csv"].text)))
    with zipfile.ZipFile(io.BytesIO(files["inspect"].content)) as archive:
        expected = export_paths(report, ["inspect"], settings.home)
        assert archive.namelist() == [str(path.relative_to(settings.home)) for path in expected]
    assert read_run_file(files[RUN_FILE].text, "nightly.run.json").run.id == ended.id


async def test_what_cannot_be_written_says_why(run: Run, visits: Visits) -> None:
    """A run that goes on has no report yet; its own file can be had. A format that there is none of is named."""
    async with await visits.owner() as client:
        text = await get(client, "/runs/nightly/export")
        assert "come with the run" in text
        assert "format=html" not in text
        assert "its report comes with its end" in (await client.get("/runs/nightly/export?format=html")).text
        refused = await client.get("/runs/nightly/export?format=htm")
        assert refused.status_code == 400
        assert "Did you mean" in refused.text
        assert (await client.get("/runs/nightly/export/file?format=../x")).status_code == 400
        assert (await downloaded(client, RUN_FILE)).status_code == 200


def test_the_page_knows_every_format() -> None:
    assert set(EXPORTS) == {*FORMATS, RUN_FILE}
    assert set(FORMATS) > IN_ARCHIVES


async def test_the_run_leads_to_the_sections_of_its_report(ended: Run, visits: Visits) -> None:
    """The frame begins there; sections that such a report has not are left out."""
    templates = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html"))
    assert [each for each in REPORT_SECTIONS if f'<section id="{each}"' not in templates] == []
    async with await visits.owner() as client:
        text = await get(client, "/runs/nightly")
        assert "/runs/nightly/report?section=speed-section" in text
        assert "judges-section" not in text
        while "<iframe" not in (text := await get(client, "/runs/nightly/report?section=doubt")):
            assert "being computed" in text
        assert 'src="/runs/nightly/report/document#doubt"' in text
        assert (await client.get("/runs/nightly/report?section=x")).status_code == 400
