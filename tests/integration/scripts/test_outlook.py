"""What `nightjar eval` says and asks before its first token, on a real MongoDB."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.documents import Job, Run, RunModel
from nightjar.jobs.machines.speeds import SpeedKey, keep_speed
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.states import JobKind
from nightjar.jobs.status.forecast import UsualTurn, usual_turn
from nightjar.pipeline.runs.longest_turns import QUESTION_TOKENS, VERDICT_TOKENS
from nightjar.pipeline.runs.producer import Enqueued
from nightjar.scripts import outlook as outlooks
from nightjar.scripts.commands.evaluate import _say_how_long
from nightjar.scripts.evaluation import WorkerFlags
from nightjar.scripts.outlook import look_ahead
from nightjar.scripts.session import Session
from nightjar.scripts.views import asking
from nightjar.scripts.whole_evaluation import Evaluation
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.process import gpus, measuring
from nightjar.workers.process.gpus import Card, Pin
from tests.documents import a_turn
from tests.workbench import make_run

PROBE = SpeedProbe(
    prompt_tokens=1, generated_tokens=1, slots=1, prefill_tokens_per_s=10, decode_tokens_per_s=2, by_slots={1: 2, 4: 4}
)
CARDS = [Card(index=str(n), uuid=f"GPU-{n}", name="Example 9000", memory_bytes=None) for n in range(2)]


def key(entry: ModelEntry, wanted: LoadSettings, pin: Pin) -> SpeedKey:
    return SpeedKey(digest="d" * 64, machine=pin.gpu or "cpu", settings=wanted.model_dump(mode="json"))


@pytest.fixture
def session(database: Database, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(measuring, "speed_key_at", key)
    monkeypatch.setattr(gpus, "list_cards", list)
    return cast("Session", Holder(database))


class Holder:
    """As much of a session as is asked for."""

    def __init__(self, database: Database) -> None:
        self.database = database


def entry(name: str) -> ModelEntry:
    return ModelEntry(
        name=name, path=Path(f"{name}.gguf"), load=LoadSettings(), parameters={}, template=None, reasoning=None
    )


async def replied(run: str, *, reply_tokens: int, computed: int, jobs: int = 2) -> None:
    """Both turns of so many of the run's jobs are there."""
    for job in await Job.find({"run": run}).limit(jobs).to_list():
        turns = [
            a_turn(number, reply_ids=tuple(range(reply_tokens)), prompt_tokens=100 + computed, reused_tokens=100)
            for number in range(2)
        ]
        await job.set({"turns": [turn.model_dump(mode="json") for turn in turns], "turns_committed": 2})


async def test_a_turn_is_known_from_the_nearest_run(database: Database) -> None:
    """From this run, else the newest one of its suite, else of any suite; not from other models, nor from two turns."""
    now = utc_now()
    for number, (name, suite) in enumerate([("old", "mine"), ("new", "mine"), ("other", "others")]):
        await make_run(name, suite_name=suite, created_at=now + timedelta(seconds=number))
        await replied(name, reply_tokens=10 * (number + 1), computed=number)
    await make_run("elsewhere", model="another", suite_name="mine", created_at=now + timedelta(seconds=9))
    await replied("elsewhere", reply_tokens=99, computed=9)
    run = await make_run("r", suite_name="mine", created_at=now + timedelta(seconds=10))
    await replied("r", reply_tokens=77, computed=7, jobs=1)
    assert await usual_turn(run, "scripted", database) == UsualTurn(computed_tokens=1, reply_tokens=20)
    await replied("r", reply_tokens=77, computed=7)
    assert await usual_turn(run, "scripted", database) == UsualTurn(computed_tokens=7, reply_tokens=77)
    await database.jobs.delete_many({"run": {"$in": ["r", "old", "new"]}})
    assert await usual_turn(run, "scripted", database) == UsualTurn(computed_tokens=2, reply_tokens=30)
    assert await usual_turn(run, "unseen", database) is None


async def test_a_judge_s_turn_is_known_from_where_it_judged(database: Database) -> None:
    await make_run("old", judges=["j"], rubric={"criteria": []})
    await replied("old", reply_tokens=30, computed=2)
    await database.jobs.update_many({}, {"$set": {"kind": JobKind.JUDGE, "model": "j"}})
    run = await make_run("r")
    usual = UsualTurn(computed_tokens=2, reply_tokens=30)
    assert await usual_turn(run, "j", database, kind=JobKind.JUDGE) == usual
    assert await usual_turn(run, "j", database) is None, "it has never replied"


RUBRIC = {"criteria": [{"name": name, "description": "How good?", "scale": {1: "bad", 2: "good"}} for name in "pq"]}


async def test_a_model_that_never_replied_and_its_judge_are_counted_at_stored_speeds(session: Session) -> None:
    """Four sequences of two turns, whose prompts are six tokens each; replies of up to 100 tokens."""
    run = await make_run(
        "r", judges=["j"], rubric=RUBRIC, set_parameters={"max_tokens": 100}, models=[RunModel(name="scripted")]
    )
    model, judge = entry("scripted"), entry("j")
    outlook = await look_ahead(run, [model], [judge], WorkerFlags(), session)
    assert [(each.seconds, each.longest) for each in outlook.models] == [(None, False)] * 2, "no speed is stored"
    await keep_speed(key(model, model.load, Pin()), PROBE, session.database)
    outlook = await look_ahead(run, [model], [judge], WorkerFlags(), session)
    replying, judging = outlook.models
    assert (replying.turns, replying.longest) == (8, True)
    assert replying.seconds == pytest.approx(8 * (6 / 10 + 100 / 4), rel=0.02)
    # Each of eight replies by two criteria, at the same speeds, which hold for the file.
    assert (judging.turns, judging.judges, judging.longest) == (16, True, True)
    assert judging.seconds is not None
    texts_s = 4 * (106 + 212) / 10
    assert judging.seconds == pytest.approx(texts_s + 16 * (QUESTION_TOKENS / 10 + VERDICT_TOKENS / 4), rel=0.02)
    assert outlook.unseen == [("scripted", False), ("j", True)]
    await replied("r", reply_tokens=40, computed=20, jobs=4)
    outlook = await look_ahead(run, [model], [judge], WorkerFlags(), session)
    shorter_s = 4 * (46 + 92) / 10
    assert outlook.models[0].turns == 0
    assert outlook.models[1].seconds == pytest.approx(judging.seconds - texts_s + shorter_s, rel=0.02)
    assert outlook.unseen == [("j", True)]


async def test_what_is_left_to_do_at_stored_speeds(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of eight turns are left: 20 new tokens of prompt and 40 of reply each, at 10 and 4 a second."""
    run = await make_run("r")
    await replied("r", reply_tokens=40, computed=20)
    model = entry("scripted")
    assert (await look_ahead(run, [model], [], WorkerFlags(), session)).models[0].seconds is None
    await keep_speed(key(model, model.load, Pin()), PROBE, session.database)
    outlook = await look_ahead(run, [model, model], [], WorkerFlags(), session)
    [left] = outlook.models
    assert (left.turns, left.seconds) == (4, 4 * (2 + 10))
    monkeypatch.setattr(gpus, "list_cards", lambda: CARDS)  # the speed of one is known; two work side by side
    await keep_speed(key(model, model.load, Pin(card=CARDS[1])), PROBE, session.database)
    outlook = await look_ahead(run, [model], [], WorkerFlags(), session)
    assert outlook.models[0].seconds == pytest.approx(4 * (2 + 10) / 2)
    await session.database.jobs.update_many({}, {"$set": {"turns_committed": 2}})
    assert (await look_ahead(run, [model], [], WorkerFlags(), session)).known_s == 0


async def test_who_says_no_leaves_nothing_behind(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was made for this call goes, after Ctrl-C, too; one that was there before stays as it was; --yes is
    never asked."""
    run = await make_run("r", models=[RunModel(name="scripted")])
    await replied("r", reply_tokens=40, computed=20)
    model = entry("scripted")
    await keep_speed(key(model, model.load, Pin()), PROBE, session.database)

    answers: list[str | None] = ["n", "n", None]

    async def no(question: str) -> str | None:
        if not answers:
            raise asyncio.CancelledError  # Ctrl-C
        return answers.pop()

    monkeypatch.setattr(asking, "can_ask", lambda: True)
    monkeypatch.setattr(asking, "answer_to", no)
    monkeypatch.setattr(outlooks, "LONG_S", 40.0)
    wanted = Evaluation(suite="s", models=["scripted"])

    async def begin(*, created: bool, yes: bool = False) -> Any:
        enqueued = Enqueued(run=run, created=created, jobs_total=4, jobs_added=4)
        return await _say_how_long(enqueued, [model], [], wanted, session, yes=yes)

    assert (await begin(created=True, yes=True)).unseen == []
    with pytest.raises(SystemExit):
        await begin(created=False)
    assert await Run.get("r") is not None
    with pytest.raises(SystemExit):
        await begin(created=True)
    assert await Run.get("r") is None
    assert await session.database.jobs.count_documents({}) == 0
    run = await make_run("r", models=[RunModel(name="scripted")])
    await replied("r", reply_tokens=40, computed=20)
    with pytest.raises(SystemExit):
        await begin(created=False)
    with pytest.raises(asyncio.CancelledError):
        await begin(created=True)
    assert await Run.get("r") is None
    said = capsys.readouterr().err
    assert said.count("Run r: 1 model x 4 conversations, about 1 min.\n") == 5
    assert "Not begun. Run r is there as before.\nRun r" in said
    assert said.endswith("Not begun; nothing is left of it.\n")
