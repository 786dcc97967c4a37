"""A new run from the page: asked, checked, made; by a schedule, too, that is changed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import AuditEntry, Role
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
from tests.integration.web.test_pages import MARKUP, Tags, add_turns, get


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
    """By the last speed that was measured of the file, and by replies of before, else the longest; or not known."""
    chosen = "/new?suite=tales&model=m&repeats=4&name=second"
    async with await visits.owner() as client:
        text = await get(client, chosen)
        assert "its file is not here" in text or "m.gguf" in text
        assert "not known yet" in text
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
        assert re.search("at most about [0-9]+ (min|h)", await get(client, chosen))
        job = await add_turns(database, "Once upon a time.")
        row = await database.jobs.find_one({"_id": job.id})
        assert row is not None
        await database.jobs.insert_many([{**row, "_id": name, "order": 100 + at} for at, name in enumerate("xyz")])
        text = await get(client, chosen)
        assert "about" in text
        assert "at most about" not in text


async def test_seed_judges_and_parameters(visits: Visits, run: Run, settings: Settings) -> None:
    """All of it is in the command, which can be copied, and in the run; what is wrong is said, and no file is read."""
    settings.models_file.write_text('[m]\npath = "m.gguf"\n[j]\npath = "j.gguf"\n')
    chosen = "/new?suite=tales&model=m&name=judged&seed=7&judge=j&rubric=storybench"
    assigned = "&set=temperature%3D0.2%0D%0A%0D%0Am%3Atop_k%3D9"
    async with await visits.owner() as client:
        text = await get(client, chosen + assigned)
        command = (
            "nightjar enqueue --suite tales --model m --seed 7 --judge j --rubric storybench --set temperature=0.2 "
            "--set m:top_k=9 --name judged"
        )
        assert f"<code>{command}</code>" in text
        assert f'data-copy="{command}"' in text
        assert "<dd>7</dd>" in text
        wrongs = {
            "seed=x": "whole number",
            "set=temperature%3Dhot": "temperature",
            "set=nonsense": "nonsense",
            "set=k:top_k%3D1": "no model in this run",
            "judge=other": "other",
            "judge=j&rubric=..%2F..%2Fetc%2Fpasswd": "no rubric",
            "judge=j&rubric=%2Fetc%2Fpasswd": "no rubric",
            "judge=m&rubric=storybench": "own",
            f"set={MARKUP}%3D1": "script",
        }
        for wrong, why in wrongs.items():
            refused = await get(client, f"/new?suite=tales&model=m&{wrong}")
            assert why in refused, wrong
            assert "Make the run" not in refused, wrong
            assert "img" not in {tag for tag, _ in Tags(refused).found}
        sent = dict(_hidden(text))
        assert sent["set"].splitlines() == ["temperature=0.2", "", "m:top_k=9"]
        made = await client.post("/runs/make", data=sent, headers={"hx-request": "true"})
        assert made.headers["hx-redirect"] == "/runs/judged"
    found = await Run.find_one({"name": "judged"})
    assert found is not None
    assert (found.seed, found.judging.judges) == (7, ["j"])
    assert (found.set_parameters, found.set_model_parameters) == ({"temperature": 0.2}, {"m": {"top_k": 9}})


def _hidden(text: str) -> list[tuple[str, str]]:
    fields = [attrs for tag, attrs in Tags(text).found if tag == "input" and attrs.get("type") == "hidden"]
    return [(str(attrs["name"]), str(attrs["value"])) for attrs in fields if attrs["name"] != "token"]


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


async def test_a_schedule_is_added_and_removed(visits: Visits, run: Run, settings: Settings) -> None:
    """By the form, with what a run is asked with; what enqueuing would refuse is refused; an operator removes none."""
    settings.models_file.write_text('[m]\npath = "m.gguf"\n[j]\npath = "j.gguf"\n')
    asked = {"name": "nights", "cron": "30 1 * * *", "timezone": "Europe/Berlin", "suite": "tales", "model": "m"}
    more = {"repeats": "2", "seed": "3", "judge": "j", "rubric": "storybench", "set": "top_k=9", "overlap": "skip"}
    async with await visits.acting(Role.OPERATOR) as client:
        assert 'href="/new/schedule"' in await get(client, "/schedules")
        form = await get(client, "/new/schedule?suite=tales&name=nights")
        assert '<option value="tales" selected>' in form
        added = await client.post("/schedules/add", data=asked | more, headers={"hx-request": "true"})
        assert added.headers["hx-redirect"] == "/schedules/nights"
        shown = await get(client, "/schedules/nights")
        assert "30 1 * * *, Europe/Berlin" in shown
        assert ">Remove<" not in shown
        for wrong in ({"cron": "never"}, {"timezone": "Mars"}, {"suite": "other"}, {"model": "other"}, {"name": "a/b"}):
            refused = await client.post("/schedules/add", data=asked | {"name": "two"} | wrong)
            assert refused.status_code in (400, 404), wrong
        assert (await client.post("/schedules/add", data=asked)).status_code == 400  # there is one of that name
        assert (await client.post("/schedules/nights/remove")).status_code == 403
    schedule = await Schedule.get("nights")
    assert schedule is not None
    kept = {name: schedule.enqueue[name] for name in ("suite", "models", "repeats", "seed", "judges", "set_parameters")}
    assert list(kept.values()) == ["tales", ["m"], 2, 3, ["j"], {"top_k": 9}]
    assert schedule.overlap == "skip"
    async with await visits.acting(Role.VIEWER) as client:
        assert (await client.get("/new/schedule")).status_code == 403
        assert "New schedule" not in await get(client, "/schedules")
    async with await visits.acting(Role.ADMIN) as client:
        assert ">Remove<" in await get(client, "/schedules/nights")
        gone = await client.post("/schedules/nights/remove", headers={"hx-request": "true"})
        assert gone.headers["hx-redirect"] == "/schedules"
        assert (await client.post("/schedules/nights/remove")).status_code == 404
    assert await Schedule.get("nights") is None
    entries = await AuditEntry.find({"outcome": "done"}).sort("+_id").to_list()
    assert [(entry.who, entry.action, entry.about) for entry in entries] == [
        ("operator", "add", "nights"),
        ("admin", "remove", "nights"),
    ]
