"""A new run from the page: asked, checked, made; by a schedule, too, that is changed there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import Role
from nightjar.jobs.documents import Run
from nightjar.jobs.machines.speeds import SpeedKey, keep_speed
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.mongo import Database
from nightjar.jobs.nights.documents import Schedule
from nightjar.jobs.published import publish_model
from nightjar.pipeline.suites.benchmarks.ladders import ladder
from nightjar.pipeline.suites.importer import import_suite
from tests.factories import model_facts
from tests.integration.web.conftest import Visits
from tests.integration.web.test_pages import add_turns, get


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With a registry of one model, whose file is not there: enqueuing needs its name alone."""
    registry = tmp_path / "models.toml"
    registry.write_text('[m]\npath = "m.gguf"\n')
    return Settings(home=tmp_path / "home", models_file=registry)


async def test_it_is_checked_before_it_can_be_made(visits: Visits, run: Run) -> None:
    """Nothing is written by the check; what is refused is said; the button has what was checked."""
    chosen = "/new?suite=tales&model=m&repeats=2&name=second"
    async with await visits.owner() as client:
        text = await get(client, "/new")
        assert '<option value="tales">' in text
        assert '<option value="m">' in text
        text = await get(client, chosen)
        assert "nightjar enqueue --suite tales --model m --repeats 2 --name second" in text
        assert "<dd>4</dd>" in text  # conversations
        assert "Make the run" in text
        assert await Run.find_all().count() == 1
        wrongs = {"model=other": "no model", "model=m&repeats=x": "whole number", "model=m&limit=0": "limit"}
        for wrong, why in wrongs.items():
            refused = await get(client, f"/new?suite=tales&{wrong}")
            assert why in refused
            assert "Make the run" not in refused
        quoted = await get(client, "/new?suite=tales&model=m&name=a;rm+-rf+~")
        assert "Make the run" not in quoted
        made = await client.post("/runs/make", content=chosen.partition("?")[2], headers={"hx-request": "true"})
        assert made.headers["hx-redirect"] == "/runs/second"
    second = await Run.find_one({"name": "second"})
    assert second is not None
    assert (second.repeats, second.jobs_total) == (2, 4)


async def test_it_may_stop_when_it_is_decided_and_be_held_against_a_model(
    visits: Visits, run: Run, settings: Settings, database: Database
) -> None:
    """The preflight says when it is looked at; the command is the same; what cannot be decided is refused."""
    settings.models_file.write_text('[m]\npath = "m.gguf"\n[n]\npath = "n.gguf"\n')
    await import_suite(ladder("needle", (1024, 2048), each=20, seed=0), database)
    asked = "/new?suite=ladder-needle&until=decided&margin=0.1&fidelity_to=m&name=d"
    chosen = f"{asked}&model=m&model=n"
    async with await visits.owner() as client:
        text = await get(client, chosen)
        assert "3 looks by includes, after 20, 30, 40 of 40; differences within 0.1 are none" in text
        command = "--model m --model n --name d --fidelity-to m --until decided --margin 0.1"
        assert f"nightjar enqueue --suite ladder-needle {command}" in text
        assert '<option value="decided" selected>' in text
        wrongs = {
            "/new?suite=ladder-needle&fidelity_to=m&name=d&model=m": "is the run's only model",
            f"{asked}&model=m": "has only one",
            chosen.replace("0.1", "seven"): "give a number",
            chosen.replace("0.1", "7"): "goes from end to end",
            f"{chosen}&primary=other": "no metric to decide by",
            chosen.replace("until=decided", "until="): "--margin says how --until decided decides",
        }
        for wrong, why in wrongs.items():
            refused = await get(client, wrong)
            assert why in refused.replace("&#39;", "'"), wrong
            assert "Make the run" not in refused
        made = await client.post("/runs/make", content=chosen.partition("?")[2], headers={"hx-request": "true"})
        assert made.headers["hx-redirect"] == "/runs/d"
    found = await Run.find_one({"name": "d"})
    assert found is not None
    assert found.waves is not None
    assert (found.waves.plan.margin, found.jobs_total) == (0.1, 40)
    assert found.fidelity is not None
    assert found.fidelity.reference == "m"


async def test_it_says_how_long_that_takes(visits: Visits, run: Run, database: Database) -> None:
    """By the last speed that was measured of the file and by replies of before; else that it is not known."""
    chosen = "/new?suite=tales&model=m&repeats=4&name=second"
    async with await visits.owner() as client:
        text = await get(client, chosen)
        assert "its file is not here" in text or "m.gguf" in text
        assert "not known yet" in text
        job = await add_turns(database, "Once upon a time.")
        row = await database.jobs.find_one({"_id": job.id})
        assert row is not None
        await database.jobs.insert_many([{**row, "_id": name, "order": 100 + at} for at, name in enumerate("xyz")])
        facts = model_facts("m")
        await publish_model(database, facts, "here")
        probe = SpeedProbe(
            measured_at=await database.now(),
            prompt_tokens=10,
            generated_tokens=10,
            slots=1,
            prefill_tokens_per_s=1e9,
            decode_tokens_per_s=1.0,
        )
        await keep_speed(SpeedKey(digest=facts.digest, machine="here", settings={}), probe, database)
        assert "about" in await get(client, chosen)


async def test_a_viewer_makes_none(visits: Visits, run: Run) -> None:
    async with await visits.somebody(Role.VIEWER) as client:
        assert (await client.get("/new")).status_code == 403
        assert "New run" not in await get(client, "/runs")


async def test_a_schedule_is_changed_and_run(visits: Visits, run: Run, database: Database) -> None:
    moment = await database.now()
    options = {"suite": "tales", "models": ["m"], "known_models": ["m"]}
    schedule = Schedule(id="n", cron="0 2 * * *", timezone="UTC", enqueue=options, last_tick=moment, created_at=moment)
    await schedule.insert()
    async with await visits.owner() as client:
        edited = await client.post("/schedules/n/edit", content="cron=30+3+*+*+*&timezone=Europe%2FBerlin&repeats=2")
        assert edited.json() == {"said": "n is changed; its next runs are so."}
        assert "30 3 * * *, Europe/Berlin" in await get(client, "/schedules/n")
        assert (await client.post("/schedules/n/edit", content="cron=never")).status_code == 400
        made = await client.post("/schedules/n/run", headers={"hx-request": "true"})
        assert "n-by-hand-" in made.headers["hx-redirect"]
    changed = await Schedule.get("n")
    assert changed is not None
    assert (changed.cron, changed.enqueue["repeats"]) == ("30 3 * * *", 2)
