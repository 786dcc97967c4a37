"""Below a path of a proxy: every link, form, script and redirect leads there, whether or not the path is taken off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.web.gate import GateRules
from tests.integration.web.conftest import Visits, visiting
from tests.integration.web.test_pages import Tags, get

ROOT = "/nightjar"
ADDRESSES = (
    "href",
    "src",
    "action",
    "hx-get",
    "hx-post",
    "data-stream",
    "data-worker",
    "data-recent",
    "data-to",
    "data-ask",
    "data-keep",
    "data-template",
    "data-curl",
    "data-text",
)
PAGES = (
    "/",
    "/runs",
    "/runs/nightly",
    "/runs/nightly?watch=JOB",
    "/runs/nightly/transcripts",
    "/compare",
    "/trend",
    "/search",
    "/duplicates",
    "/schedules",
    "/costs",
    "/suites",
    "/models",
    "/models/get",
    "/play",
    "/new",
    "/workers",
    "/doctor",
    "/settings",
)


@pytest.fixture
async def visits(settings: Settings, database: Database, services: ServiceUrls) -> AsyncIterator[Visits]:
    rules = replace(GateRules.loopback(8420), root=ROOT)
    async with visiting(settings, database, services, rules) as made:
        yield made


async def test_every_address_is_below_it(visits: Visits, run: Run) -> None:
    async with await visits.owner() as client:
        job = await Job.find_one({"run": run.id})
        assert job is not None
        for path in (each.replace("JOB", job.id) for each in PAGES):
            for asked in (path, ROOT + path):
                tags = Tags(await get(client, asked)).found
                found = [str(attrs[name]) for _, attrs in tags for name in ADDRESSES if name in attrs]
                assert len(found) > 10
                foreign = [each for each in found if not each.startswith((f"{ROOT}/", "#"))]
                assert foreign == [], path
        style = next(attrs["href"] for tag, attrs in tags if tag == "link" and attrs["rel"] == "stylesheet")
        assert (await client.get(str(style))).status_code == 200


async def test_redirects_lead_there(visits: Visits, run: Run) -> None:
    async with visits.client(accept="text/html") as client:
        answer = await client.get(f"{ROOT}/runs/nightly?x=1")
        assert answer.headers["location"] == f"{ROOT}/login?next=/runs/nightly%3Fx%3D1"
    async with await visits.owner() as client:
        form = "suite=tales&model=m&name=second"
        made = await client.post(f"{ROOT}/runs/nightly/cancel", headers={"hx-request": "true"})
        assert made.status_code == 200
        gone = await client.post(f"{ROOT}/runs/nightly/remove", content=form, headers={"hx-request": "true"})
        assert gone.headers["hx-redirect"] == f"{ROOT}/runs"
