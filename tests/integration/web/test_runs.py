"""Runs and how they ended: scores against the baseline, gates, costs; filters, two to compare, control."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from nightjar.jobs.accounts.documents import Role
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import EndScore, Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.run_outcome import RunOutcome
from nightjar.jobs.states import RunStatus
from tests.documents import a_run
from tests.integration.web.conftest import Visits
from tests.integration.web.test_costs import spend
from tests.integration.web.test_pages import Tags, get

BEGUN = utc_now() - timedelta(hours=9)
GATE = Gate(kind=GateKind.BELOW, metric="checks", value=0.8)


async def ended(name: str, mean: float, outcome: GateOutcome | None, hours: int) -> Run:
    """A run of suite "s" that was made so many hours after others, and took 90 minutes."""
    made_at = BEGUN + timedelta(hours=hours)
    gate = None if outcome is None else GateResult(gate=GATE, about=f"{name}:m", outcome=outcome, reason="0.5")
    score = EndScore(model="m", metric="checks", mean=mean, low=None, high=None, n=2, missing=0)
    end = made_at + timedelta(minutes=90)
    of_run: dict[str, Any] = {
        "created_at": made_at,
        "status": RunStatus.DONE,
        "outcome": RunOutcome(
            scores=[score],
            verdict=None if gate is None else GateVerdict(results=(gate,), at=end),
            finished_at=end,
        ),
    }
    return await a_run(name, **of_run).insert()


@pytest.fixture
async def nights(database: Database) -> None:
    """The baseline, a worse night that tripped, and one that goes on."""
    base = await ended("base", 0.75, None, 0)
    await ended("worse", 0.5, GateOutcome.TRIPPED, 1)
    await a_run("going", created_at=BEGUN + timedelta(hours=2)).insert()
    await Baseline(id="s", run=base.id, run_name="base", set_at=BEGUN).insert()
    await spend("e1", run="worse")


def row(text: str, name: str) -> str:
    """The table's line of a run, without its markup."""
    [line] = [line for line in re.findall("<tr.*?</tr>", text, re.DOTALL) if f'href="/runs/{name}"' in line]
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", line)).split())


async def test_each_run_says_how_it_ended(nights: None, visits: Visits) -> None:
    """The lead metric with its difference to the baseline's, gates, cost, duration; a dash where nothing is known."""
    async with await visits.owner() as client:
        text = await get(client, "/runs")
        assert "0.750 checks, the baseline – – 1 h 30 min" in row(text, "base")
        worse = "0.500 (\u22120.250) checks, against base tripped --fail-below checks:0.8 $0.2000 1 h 30 min"
        assert worse in row(text, "worse")
        assert "ACTIVE m – – – –" in row(text, "going")
        now = await get(client, "/")
    assert worse in row(now, "worse")  # those that ended last say the same
    assert "checks, the baseline" in row(now, "base")


async def test_runs_are_filtered(nights: None, visits: Visits) -> None:
    """By what is in the address; a choice stays chosen."""
    async with await visits.owner() as client:

        async def shown(query: str) -> set[str]:
            return set(re.findall('href="/runs/([a-z]+)"', await get(client, f"/runs?{query}")))

        assert await shown("gates=tripped") == {"worse"}
        assert await shown("gates=passed") == set()
        assert await shown("status=ACTIVE") == {"going"}
        assert await shown("status=&gates=&q=OING") == {"going"}
        assert '<option value="tripped" selected>' in await get(client, "/runs?gates=tripped")
        for wrong in ("gates=good", "status=over"):
            assert (await client.get(f"/runs?{wrong}")).status_code == 400


async def test_two_runs_are_chosen_and_compared(nights: None, visits: Visits) -> None:
    """By a plain form: the older one is the base. One, or three, cannot be compared."""
    async with await visits.owner() as client:
        tags = Tags(await get(client, "/runs")).found
        form = next(attrs for tag, attrs in tags if tag == "form" and attrs.get("id") == "choose")
        assert (form["action"], form["method"]) == ("/compare", "get")
        boxes = {attrs["value"]: attrs for tag, attrs in tags if tag == "input" and attrs.get("type") == "checkbox"}
        assert set(boxes) == {"base", "worse", "going"}
        assert all((box["name"], box["form"]) == ("run", "choose") for box in boxes.values())
        chosen = await selected(client, "/compare?run=worse&run=base")
        assert chosen == ["base", "worse"]
        for some in ("run=worse", "run=worse&run=base&run=going"):
            assert "Two runs are compared" in await get(client, f"/compare?{some}")
        assert (await client.get("/compare?run=worse&run=other")).status_code == 404


async def selected(client: httpx.AsyncClient, path: str) -> list[str | None]:
    return [attrs["value"] for tag, attrs in Tags(await get(client, path)).found if "selected" in attrs]


async def test_a_run_is_controlled_from_the_list(nights: None, visits: Visits) -> None:
    """By the same actions as on its page, as far as its status and one's role allow."""
    async with await visits.owner() as client:

        async def may() -> list[str | None]:
            return [attrs["hx-post"] for _, attrs in Tags(await get(client, "/runs")).found if "hx-post" in attrs]

        assert await may() == ["/runs/going/pause", "/runs/going/cancel"]
        assert (await client.post("/runs/going/pause")).status_code == 200
        assert await may() == ["/runs/going/resume", "/runs/going/cancel"]
        assert (await client.post("/runs/going/cancel")).status_code == 200
        assert await may() == []
    async with await visits.somebody(Role.VIEWER) as client:
        assert "hx-post" not in await get(client, "/runs")
