"""Costs and router: sums of the ledger with what is not exact named as such, budgets, policies, who may activate."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import tomlkit

from nightjar.config.settings import Settings
from nightjar.jobs.accounts.access import begin_session
from nightjar.jobs.accounts.documents import AuditEntry, Role
from nightjar.jobs.documents import Run, RunModel
from nightjar.jobs.money.spending import Expense, pause_endpoint
from nightjar.jobs.mongo import Database
from nightjar.jobs.remote_models import Price, TokenUse
from nightjar.jobs.routing.policies import (
    PolicyKind,
    RoutingPolicy,
    TagRule,
    Validation,
    activate_policy,
    active_policy,
    store_policy,
)
from nightjar.jobs.routing.routed import FrozenPolicy, JobRoute, RouteStep
from nightjar.jobs.states import JobKind, JobStatus, RunKind, RunStatus
from nightjar.web.gate import OUR_HEADER
from tests.documents import a_job, a_run
from tests.integration.web.conftest import HOST, Visits
from tests.integration.web.test_pages import get

PRICE = Price(input=1_000.0, output=2_000.0)
USE = TokenUse(prompt=100, reply=50)
"""0.20 dollars by that price."""
NOW = datetime.now(UTC)


def register(settings: Settings) -> None:
    endpoint = {"base_url": "https://api.example.org/v1", "key_env": "CLOUD_KEY", "budget": 2.0}
    settings.models_file.parent.mkdir(parents=True, exist_ok=True)
    settings.models_file.write_text(tomlkit.dumps({"endpoints": {"cloud": endpoint}}), encoding="utf-8")


async def spend(name: str, **changes: Any) -> None:
    """An entry of the ledger, settled at 0.20 dollars."""
    fields: dict[str, Any] = {
        "id": name,
        "run": "run1",
        "job": f"job-{name}",
        "fence": 1,
        "kind": JobKind.REPLY,
        "model": "large",
        "endpoint": "cloud",
        "price": PRICE,
        "reserved_usd": 0.5,
        "reserved": TokenUse(prompt=300, reply=100, estimated=True),
        "settled": True,
        "use": USE,
        "usd": PRICE.cost(USE),
        "at": NOW,
        "settled_at": NOW,
    }
    await Expense(**(fields | changes)).insert()


async def learnt(database: Database, **changes: Any) -> RoutingPolicy:
    fields: dict[str, Any] = {
        "id": "",
        "version": 0,
        "created_at": NOW,
        "kind": PolicyKind.ROUTER,
        "name": "chat",
        "candidates": ["local", "large"],
        "default": "large",
        "metric": "checks",
        "margin": 0.05,
        "runs": ["run1"],
        "rules": [
            TagRule(
                tag="easy", model="local", best="large", pairs=40, difference=-0.01, bound=-0.04, reason="not worse"
            ),
            TagRule(tag="new", model=None, best="large", pairs=3, reason="unknown: 3 sequences"),
        ],
        "validation": Validation(
            sequences=20, share_cheapest=0.5, policy=0.9, cheapest=0.5, best=0.9, mix=0.7, beats_mix=True, covered=0.6
        ),
    }
    return await store_policy(RoutingPolicy(**(fields | changes)), database)


def table(text: str, name: str) -> list[list[str]]:
    """The texts of a table's cells, row by row."""
    body = re.search(rf'<table[^>]*id="{name}".*?</table>', text, re.DOTALL)
    assert body is not None, name
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[0], re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in row] for row in cells]


async def test_what_was_spent(visits: Visits, settings: Settings, database: Database) -> None:
    """By model, endpoint, run and day; reserved, estimated and unknown are named, and live requests stand together."""
    register(settings)
    await a_run("run1", name="nightly", budget=1.0).insert()
    await a_run("run2", name="veiled", kind=RunKind.LIVE, user="somebody").insert()
    await spend("a")
    await spend("b", asked_as="router:chat", use=USE.model_copy(update={"estimated": True}))
    await spend("c", settled=False, use=None, usd=None, settled_at=None)
    await spend("d", run="run2")
    await spend("e", run="gone", model="odd", price=None, reserved_usd=None, usd=None)
    await spend("f", at=NOW - timedelta(days=20))
    await spend("g", at=NOW - timedelta(days=80))
    async with await visits.owner() as client:
        text = await get(client, "/costs")
        assert "at least $1.3000 for 6 requests in the last 30 days" in text
        assert "1 under way, with $0.5000 reserved" in text
        assert "1 with estimated usage" in text
        assert "1 of unknown price, which are not in the sum" in text
        assert "veiled" not in text
        by_model = {row[0]: row[1] for row in table(text, "by-model")[1:]}
        assert by_model == {
            "large": "$1.1000 $0.5000 reserved",
            "large for router:chat": "$0.2000",
            "odd": "unknown 1 unknown",
        }
        by_run = {row[0]: row[1] for row in table(text, "by-run")[1:]}
        assert by_run == {
            "nightly": "$1.1000 $0.5000 reserved",
            "live requests": "$0.2000",
            "runs that were removed": "unknown 1 unknown",
        }
        assert [row[0] for row in table(text, "by-endpoint")[1:]] == ["cloud"]
        assert len(table(text, "by-day")) == 3
        assert len(table(await get(client, "/costs?days=7"), "by-day")) == 2
        assert len(table(await get(client, "/costs?days=nonsense"), "by-day")) == 3
        [run] = table(text, "run-budgets")[1:]
        assert run[:4] == ["nightly", "$1.0000", "$1.3000 $0.5000 of it reserved", "$0.0000"]


async def test_what_is_left_of_an_endpoints_month(visits: Visits, settings: Settings, database: Database) -> None:
    register(settings)
    now = datetime.now(UTC)  # not that of the import: a month may have ended since
    await spend("a", at=now)
    await spend("b", at=now - timedelta(days=40))
    async with await visits.owner() as client:
        [row] = table(await get(client, "/costs"), "endpoint-budgets")[1:]
        assert row == ["cloud", "$2.0000", "$0.2000", "$1.8000", "takes requests"]
        await spend("c", at=now, price=None, reserved_usd=None, usd=None)
        await pause_endpoint("cloud", "HTTP 402: pay first", "w", 60, database)
        text = await get(client, "/costs")
        [row] = table(text, "endpoint-budgets")[1:]
        assert row == ["cloud", "$2.0000", "at least $0.2000", "unknown", "paused HTTP 402: pay first"]
        assert "cloud is paused: HTTP 402: pay first" in text


async def test_policies_with_what_was_learnt(visits: Visits, settings: Settings, database: Database) -> None:
    """What is known by tag, what it is worth, what it covers, and that its evidence is stale."""
    await a_run("run1", name="nightly").insert()
    policy = await learnt(database)
    await activate_policy(policy, database)
    old = await learnt(database, created_at=NOW - timedelta(days=45), runs=["run1", "gone"])
    async with await visits.owner() as client:
        rows = {row[0]: row for row in table(await get(client, "/costs"), "policies")[1:]}
        assert rows["router:chat@1"][1:5] == [
            "active",
            "local, large default large",
            "1 of 2 tags, 60% of the held-out sequences",
            "beats the mix",
        ]
        assert "nobody has published local any more" in rows["router:chat@1"][5]
        assert "it was learnt 45 days ago; 1 of the 2 runs that it was learnt from is gone" in rows[old.id][5]
        text = await get(client, "/policies/router%3Achat%401")
        easy, new = table(text, "rules")[1:]
        assert easy == ["easy", "local", "-0.010", "-0.040", "40", "not worse"]
        assert new == ["new", "large unknown: the default", "–", "–", "3", "unknown: 3 sequences"]
        assert "On 20 held-out sequences it scores 0.900" in text
        assert 'href="/runs/nightly"' in text
        assert (await client.get("/policies/router:chta")).status_code == 404


async def test_who_may_activate(visits: Visits, settings: Settings, database: Database) -> None:
    """Operators and admins; it is audited, and a policy that is not shown to be worth it needs force."""
    first = await learnt(database)
    weak = await learnt(database, validation=None)
    await activate_policy(first, database)
    path = "/policies/router%3Achat%402"
    async with await visits.somebody(Role.VIEWER) as client:
        text = (await client.get(path, headers={"accept": "text/html"})).text
        assert "Activate" not in text
        assert (await client.post(f"{path}/activate", headers={OUR_HEADER: "1"})).status_code == 403
    operators = await begin_session(Role.OPERATOR.value, HOST, instead_of=None, database=database)
    async with visits.client(operators, accept="text/html", **{OUR_HEADER: "1"}) as client:
        assert "Activate" in await get(client, path)
        refused = await client.post(f"{path}/activate")
        assert refused.status_code == 400
        assert "No sequence was held out" in refused.text
        assert (await active_policy("router:chat")).id == first.id
        done = await client.post(f"{path}/activate?force=yes")
        assert done.status_code == 200, done.text
    assert (await active_policy("router:chat")).id == weak.id
    entries = await AuditEntry.find({"action": "activate"}).sort("+at").to_list()
    assert [(entry.who, entry.about) for entry in entries][-1] == ("operator", "router:chat@2")
    assert entries[-1].outcome == "done"


async def test_savings_are_counterfactual(visits: Visits, settings: Settings, database: Database) -> None:
    """Thirty conversations of the default at 0.20 each, ten that the local model answered: about two dollars."""
    frozen = FrozenPolicy(
        id="router:chat@1",
        kind=PolicyKind.ROUTER,
        version=1,
        candidates=["local", "large"],
        default="large",
    )
    models = [RunModel(name="large"), RunModel(name="router:chat", policy=frozen)]
    await a_run("run1", name="nightly", models=models, status=RunStatus.DONE).insert()
    await learnt(database)
    async with await visits.owner() as client:
        assert "No run has asked a policy yet" in await get(client, "/costs")
        for number in range(10):
            step = RouteStep(model="local", reason="tag easy", at=NOW)
            routed = JobRoute(
                asked_as="router:chat", policy="router:chat@1", order=["local", "large"], left=["large"], steps=[step]
            )
            await a_job(f"r{number}", model="local", routed=routed, status=JobStatus.DONE).insert()
        [row] = table(await get(client, "/costs"), "savings")[1:]
        assert row[:3] == ["router:chat@1", "10", "unknown"]
        assert "0 conversations of large with a known price" in row[3]
        for number in range(30):
            await spend(f"x{number}", usd=0.15 if number % 2 else 0.25)
        [row] = table(await get(client, "/costs"), "savings")[1:]
        said = re.fullmatch(r"\$(\S+) \(\$(\S+) to \$(\S+)\)", row[2])
        assert said is not None, row
        saved, low, high = map(float, said.groups())
        assert saved == 2.0
        assert 1.5 < low < 2.0 < high < 2.5
        assert "Counterfactual: had large answered the 10 conversations that went to others" in row[3]


async def test_a_run_says_who_answers(visits: Visits, settings: Settings, database: Database) -> None:
    frozen = FrozenPolicy(id="alias:a@1", kind=PolicyKind.ALIAS, version=1, candidates=["local"], default="local")
    await a_run("run1", name="nightly", models=[RunModel(name="alias:a", policy=frozen)]).insert()
    step = RouteStep(model="local", reason="alias, not learnt", at=NOW)
    routed = JobRoute(asked_as="alias:a", policy="alias:a@1", order=["local"], left=[], steps=[step])
    await a_job("j", model="local", routed=routed).insert()
    async with await visits.owner() as client:
        text = await get(client, "/runs/nightly")
        [row] = table(text, "by-model")[1:]
        assert row[0] == "alias:a alias:a@1, local 1"
        assert table(text, "by-sequence")[1] == ["a", "0 of 1"]
    run = await Run.get("run1")
    assert run is not None
    assert run.candidates == ("local",)
