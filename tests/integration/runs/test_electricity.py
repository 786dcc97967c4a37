"""What electricity will cost is said before a run where an earlier one tells; what it has cost stands in `status`."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.documents import RunModel
from nightjar.jobs.money.energy import EnergyKey, write_energy
from nightjar.jobs.money.spending import Expense
from nightjar.jobs.mongo import Database
from nightjar.jobs.published import publish_model
from nightjar.jobs.routing.policies import activate_policy
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobKind, JobStatus, RunStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import RunView, ServiceState
from nightjar.pipeline.routing.start import write_alias
from nightjar.pipeline.runs.producer import plan_run
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.importer import import_suite
from nightjar.workers.engine.fake import ScriptedEngine
from tests.documents import a_job, a_run, a_turn

MODEL = ScriptedEngine(lambda prompt, seed: "", name="demo").facts
SAYS = "Electricity for demo will cost about"


async def prepare(database: Database) -> None:
    """The model is known, and so is a suite with four replies of at most 100 tokens."""
    await publish_model(database, MODEL, by="test")
    turns = [{"prompt": "x"}, {"prompt": "y"}]
    contents = [Sequence.model_validate({"id": i, "turns": turns, "parameters": {"max_tokens": 100}}) for i in "ab"]
    await import_suite(SuiteContent(name="tales", sequences=tuple(contents)), database)


async def earlier(
    database: Database,
    name: str = "before",
    *,
    digest: str = MODEL.digest,
    workers: tuple[str, ...] = ("w",),
    **run: Any,
) -> None:
    """A run of 40 reply tokens in four turns, by these workers in turn."""
    models = [RunModel(name="demo", digest=digest)]
    await a_run(name, **({"suite_name": "tales", "models": models, "status": RunStatus.DONE} | run)).insert()
    turns = [a_turn(at, reply_ids=tuple(range(10)), worker=workers[at % len(workers)]) for at in range(4)]
    await a_job(f"{name}-job", run=name, model="demo", status=JobStatus.DONE, turns=turns).insert()


async def used(
    database: Database, joules: float | None, usd_per_kwh: float | None, *, run: str = "before", worker: str = "w"
) -> None:
    await write_energy(worker, EnergyKey(run, "demo", JobKind.REPLY), joules, usd_per_kwh, database)


async def notes(database: Database, usd_per_kwh: float | None = None, **options: Any) -> list[str]:
    request = make_request(**{"suite": "tales", "models": ("demo",), **options})
    return [note for note in (await plan_run(request, database, usd_per_kwh=usd_per_kwh)).notes if "lectricity" in note]


@pytest.mark.parametrize(
    ("accounts", "here", "says"),
    [
        (
            [("w", 3.6e6, 0.5)],
            None,
            "about $5.0000, assuming 9e+04 J a reply token, prompts included, as in run before",
        ),
        ([("w", 3.6e6, 0.5)], 0.25, "about $2.5000"),  # what it costs now
        ([("w", 3.6e6, None)], 0.25, "and $0.25 a kWh; $2.5000 if all use their max_tokens"),
        ([("w", 3.6e6, None)], None, None),  # nobody said what it costs
        ([("w", None, 0.5)], 0.25, None),  # the card did not tell
        ([("w", 3.6e6, 0.5), ("v", None, 0.5)], None, None),  # one of two cards did not
        ([("v", 3.6e6, 0.5)], None, None),  # the account is another worker's
        ([], 0.25, None),
    ],
)
async def test_a_run_is_expected_to_take_what_an_earlier_one_took(
    database: Database, accounts: list[tuple[str, float | None, float | None]], here: float | None, says: str | None
) -> None:
    """400 tokens at a tenth of a kilowatt-hour for four."""
    await prepare(database)
    await earlier(database)
    for worker, joules, price in accounts:
        await used(database, joules, price, worker=worker)
    found = await notes(database, here)
    assert len(found) == (says is not None), found
    if says is not None:
        assert SAYS in found[0]
        assert says in found[0]


async def test_the_nearest_earlier_run_counts(database: Database) -> None:
    """Of this file; of the suite before others; none that has no replies. Repeats cost again."""
    await prepare(database)
    await earlier(database, "other-file", digest="f" * 64)
    await used(database, 7.2e6, 0.5, run="other-file")
    assert await notes(database) == []
    await earlier(database, "other-suite", suite_name="songs")
    await used(database, 7.2e6, 0.5, run="other-suite")
    assert "about $10.00," in (await notes(database))[0]
    await earlier(database)
    await used(database, 3.6e6, 0.5)
    await a_run("newest", suite_name="tales", models=[RunModel(name="demo", digest=MODEL.digest)]).insert()
    await used(database, 1.0, 0.5, run="newest")
    assert "about $5.0000," in (await notes(database))[0]
    assert "about $10.00," in (await notes(database, repeats=2))[0]


async def test_a_policys_share_is_named(database: Database) -> None:
    await prepare(database)
    await earlier(database)
    await used(database, 3.6e6, 0.5)
    await activate_policy(await write_alias("chat", ["demo"], database), database)
    [note] = await notes(database, models=("alias:chat",))
    assert note.startswith("Electricity for demo (for alias:chat) will cost about $5.0000")


async def test_nothing_is_expected_of_given_texts(database: Database) -> None:
    """They have no reply tokens, by which the earlier run tells."""
    await prepare(database)
    await earlier(database)
    await used(database, 3.6e6, 0.5)
    scored = Sequence.model_validate({"id": "a", "mode": "perplexity", "turns": [{"prompt": "A text."}]})
    await import_suite(SuiteContent(name="texts", sequences=(scored,)), database)
    assert await notes(database, suite="texts") == []


async def view(database: Database) -> RunView:
    [run] = (await read_overview(database, ServiceState(ok=True))).runs
    return run


async def test_status_has_it_beside_what_endpoints_cost(database: Database) -> None:
    await earlier(database)
    assert ((await view(database)).all_costs, (await view(database)).electricity_usd) == (None, None)
    await used(database, None, 0.5)
    assert (await view(database)).all_costs is None, "nothing is known, and that is not 0"
    await used(database, 3.6e3, 0.5)
    seen = await view(database)
    assert seen.electricity_usd == pytest.approx(0.0005)
    assert (seen.cost_usd, seen.cost, seen.all_costs) == (None, None, "$0.0005 electricity")
    await used(database, None, None, worker="v")
    fields: dict[str, Any] = {"run": "before", "job": "before-job", "fence": 1, "kind": JobKind.REPLY, "model": "cloud"}
    spent: Any = {"endpoint": "e", "price": None, "reserved_usd": 0.1, "reserved": {"prompt": 1, "reply": 1}}
    await Expense(id="x", at=await database.now(), settled=True, usd=0.1, **fields, **spent).insert()
    seen = await view(database)
    assert seen.all_costs == "$0.1000 + at least $0.0005 electricity"
    assert seen.cost_usd == 0.1
