"""What live requests want and places hold: seen through MongoDB by a place, and told to whoever waited in vain."""

from __future__ import annotations

import pytest

from nightjar.config.remote_settings import RemoteSettings
from nightjar.config.settings import Settings
from nightjar.jobs.live.places import pin_model, want_model, wanted_models
from nightjar.jobs.live.refusal import why_not_served
from nightjar.jobs.machines.auto_workers import mark_auto
from nightjar.jobs.machines.workers import write_beat
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus, WorkerStatus
from nightjar.workers.process.auto import ServingPlace, _look
from nightjar.workers.process.choose_model import choose_model
from nightjar.workers.process.gpus import Pin
from tests.shell import PROJECT
from tests.workbench import make_run

GB = 10**9
DEMO_MODEL = PROJECT / "config/models/nightjar-demo.gguf"


async def test_a_place_loads_what_a_live_request_asks_for(database: Database, settings: Settings) -> None:
    """No run waits for anything. What nobody wants any more is not loaded."""
    look = _look(settings, database, None)
    place = ServingPlace(pin=Pin(cpu_only=True), room_bytes=8 * GB)
    await want_model("nightjar-demo", database, for_s=-1)
    assert (await look(place, {})).backlogs == []
    await want_model("nightjar-demo", database, for_s=60)
    await want_model("nightjar-demo", database, for_s=1)  # a shorter wish takes nothing back
    outlook = await look(place, {})
    (backlog,) = outlook.backlogs
    assert (backlog.live, backlog.asking, backlog.pinned, backlog.waiting) == (True, True, False, 0)
    assert choose_model(outlook.backlogs, room_bytes=place.room_bytes).model == "nightjar-demo"
    await pin_model("nightjar-demo", True, database)
    assert (await wanted_models(database))["nightjar-demo"].pinned
    assert (await look(place, {})).busy == frozenset()


async def test_what_is_in_the_way_is_named(database: Database) -> None:
    alone = await why_not_served("wanted", 60, database)
    assert "Start one: nightjar worker --model wanted" in str(alone)
    await mark_auto("auto", None, {}, database)
    assert "it is being loaded, or other models are in use" in str(await why_not_served("wanted", 60, database))
    await make_run("night", model="other")
    await database.jobs.update_one({"run": "night"}, {"$set": {"status": JobStatus.RUNNING}})
    beat = {"host": "h", "pid": 1, "model": "other", "state": WorkerStatus.READY, "slots": 1}
    await write_beat("w", beat, database)
    busy = await why_not_served("wanted", 60, database)
    assert (busy.run, busy.eta_s) == ("night", None)
    assert "run 'night' works with other on every place" in str(busy)
    assert busy.retry_after_s > 0
    await mark_auto("auto", None, {}, database, preempts_in_s=420.0)
    later = await why_not_served("wanted", 60, database)
    assert "makes room for a live request once in ten minutes, and may next in 7 minutes" in str(later)
    assert (later.retry_after_s, later.run) == (420.0, "night")
    await mark_auto("auto", None, {}, database)
    await write_beat("v", {**beat, "model": "wanted"}, database)
    assert "all slots of its worker are taken" in str(await why_not_served("wanted", 60, database))
    await mark_auto("auto", None, {"absent": "it is not on this host"}, database)
    assert "it is not on this host" in str(await why_not_served("absent", 60, database))


@pytest.mark.parametrize(("asked", "chosen"), [(False, None), (True, "cloud")])
async def test_a_model_at_an_endpoint_is_loaded_only_where_somebody_asked_for_such(
    database: Database, settings: Settings, asked: bool, chosen: str | None
) -> None:
    """It may cost money: `remote.auto` allows it. A chain is such a model, too, and takes the memory of its first part.

    Jobs that wait and a live request are no reason.
    """
    own = settings.model_copy(update={"remote": RemoteSettings(auto=asked)})
    own.models_file.parent.mkdir(parents=True, exist_ok=True)
    own.models_file.write_text(
        '[endpoints.there]\nbase_url = "https://api.example.org/v1"\n'
        '[cloud]\nendpoint = "there"\nmodel = "large"\n'
        f"[story]\npath = '{DEMO_MODEL}'\n"
        '[chained]\nchain = {compress = "story", reply = "cloud", budget = 256}\n',
        "utf-8",
    )
    look = _look(own, database, None)
    place = ServingPlace(pin=Pin(cpu_only=True), room_bytes=8 * GB)
    await want_model("chained", database, for_s=60)
    await want_model("cloud", database, for_s=60)
    await make_run("night", model="cloud")
    backlogs = {backlog.model: backlog for backlog in (await look(place, {})).backlogs}
    assert (backlogs["cloud"].waiting > 0, backlogs["cloud"].asking) == (True, True)
    assert backlogs["cloud"].memory_bytes == (0 if asked else None)
    held = backlogs["chained"].memory_bytes
    assert held is None if not asked else held is not None and held > 1_000_000
    assert choose_model([backlogs["cloud"]], room_bytes=place.room_bytes).model == chosen
    assert choose_model([backlogs["chained"]], room_bytes=place.room_bytes).model == (chosen and "chained")
