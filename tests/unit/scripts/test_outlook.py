"""How long an evaluation will take: what is said before the first token, when somebody is asked, what is said later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.documents import RunModel
from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.jobs.models import SpeedProbe
from nightjar.jobs.states import JobKind
from nightjar.jobs.status import forecast
from nightjar.jobs.status.forecast import UsualTurn, seconds_for
from nightjar.jobs.variants import Variant
from nightjar.scripts import evaluation
from nightjar.scripts import outlook as outlooks
from nightjar.scripts.commands.evaluate import generate_shown
from nightjar.scripts.evaluation import WorkerFlags
from nightjar.scripts.outlook import LaterOutlook, ModelOutlook, RunOutlook, is_agreed, span
from nightjar.scripts.views import asking
from nightjar.scripts.views.progress import EvalProgress
from nightjar.workers.library.find import ModelEntry
from tests.documents import a_run

USUAL = UsualTurn(computed_tokens=200, reply_tokens=100)
SPEED = SpeedProbe(
    prompt_tokens=1,
    generated_tokens=1,
    slots=8,
    prefill_tokens_per_s=100,
    decode_tokens_per_s=10,
    by_slots={1: 10, 4: 25, 8: 40},
)


@pytest.mark.parametrize(
    ("at_once", "seconds"),
    [
        (8, 4 * (2 + 2.5)),
        (5, 4 * (2 + 4)),  # as many conversations as there are, however many slots would be faster
        (1, 4 * (2 + 10)),
    ],
)
def test_a_turn_is_its_prompt_and_its_reply_at_the_stored_speeds(at_once: int, seconds: float) -> None:
    assert seconds_for(4, USUAL, SPEED, at_once=at_once) == pytest.approx(seconds)


def made(
    *seconds: float | None,
    turns: int = 12,
    variants: tuple[str, ...] = (),
    longest: str = "",
    judges: dict[str, float | None] | None = None,
) -> RunOutlook:
    """Of models a, b, ... with ten sequences each, and judges. `longest`: of whom no turn was seen yet."""
    names = "abc"[: len(seconds)]
    run = a_run(
        "trial",
        models=[RunModel(name=name) for name in names],
        variants=[Variant(name=name) for name in variants],
        jobs_total=10 * len(names) * max(1, len(variants)),
    )
    asked = [(name, each, False) for name, each in zip(names, seconds, strict=True)]
    asked += [(name, each, True) for name, each in (judges or {}).items()]
    models = (
        ModelOutlook(name=name, turns=turns, seconds=each, judges=judging, longest=name in longest)
        for name, each, judging in asked
    )
    return RunOutlook(run=run, models=tuple(models))


# What is known of each model, and what is said.
SENTENCES = [
    (made(1500.0), "Run trial: 1 model x 10 conversations, about 25 min."),
    (made(20.0), "Run trial: 1 model x 10 conversations, under a minute."),
    (made(300.0, 11_700.0), "Run trial: 2 models x 10 conversations, about 3 h 20 min (a 5 min, b 3 h 15 min)."),
    (made(None), "Run trial: 1 model x 10 conversations. How long that takes will be known after three turns."),
    (
        made(300.0, None),
        "Run trial: 2 models x 10 conversations; about: a 5 min. How long b will take is known after three turns.",
    ),
    (made(0.0, turns=0), "Run trial: 1 model x 10 conversations; nothing is left to generate."),
    (
        made(1500.0, variants=("terse", "warm")),
        "Run trial: 1 model x 2 variants x 10 conversations, about 25 min.",
    ),
    (
        made(1500.0, longest="a"),
        "Run trial: 1 model x 10 conversations, up to 25 min. The longest replies are counted where none was seen yet.",
    ),
    (
        made(300.0, 11_700.0, longest="b"),
        "Run trial: 2 models x 10 conversations, up to 3 h 20 min (a 5 min, b up to 3 h 15 min). The longest replies "
        "are counted where none was seen yet.",
    ),
    (  # judging is part of the time
        made(300.0, judges={"j": 900.0}),
        "Run trial: 1 model x 10 conversations, about 20 min (a 5 min, judging by j 15 min).",
    ),
    (
        made(300.0, judges={"j": None}),
        "Run trial: 1 model x 10 conversations; about: a 5 min. How long judging by j will take is known after three "
        "turns.",
    ),
    (
        made(20.0, longest="a"),
        "Run trial: 1 model x 10 conversations, under a minute. The longest replies are counted "
        "where none was seen yet.",
    ),
]


@pytest.mark.parametrize(("outlook", "sentence"), SENTENCES)
def test_what_is_said_before_the_first_token(outlook: RunOutlook, sentence: str) -> None:
    assert outlook.sentence() == sentence
    assert outlook.sentence("e") == f"{sentence} Embedding by e comes on top."


@pytest.mark.parametrize(
    ("seconds", "said"), [(29, "under a minute"), (31, "1 min"), (3600, "1 h"), (5_400, "1 h 30 min")]
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said


# Seconds known, whether somebody sits there, what is typed; whether it begins, and whether it was asked.
ASKED = [
    (1801.0, True, "", True, True),
    (1801.0, True, "Yes", True, True),
    (1801.0, True, "n", False, True),
    (1801.0, True, "what?", False, True),
    (1801.0, True, None, False, True),  # Ctrl-D
    (1800.0, True, "n", True, False),  # not over half an hour
    (90_000.0, False, "n", True, False),  # nobody sits there
]


@pytest.mark.parametrize(("seconds", "terminal", "typed", "begins", "asked"), ASKED)
async def test_somebody_is_asked_before_work_of_over_half_an_hour(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    terminal: bool,
    typed: str | None,
    begins: bool,
    asked: bool,
) -> None:
    questions: list[str] = []

    async def answer(question: str) -> str | None:
        questions.append(question)
        return typed

    monkeypatch.setattr(asking, "can_ask", lambda: terminal)
    monkeypatch.setattr(asking, "answer_to", answer)
    assert await is_agreed(made(seconds)) is begins
    assert questions == (["That takes about 30 min. Begin? [Y/n] "] if asked else [])
    told = seconds > 1800 and not terminal
    assert capsys.readouterr().err == ("Nobody is here to be asked: it begins.\n" if told else "")


@pytest.mark.parametrize(
    ("outlook", "question"),
    [
        (made(1000.0, judges={"j": 1000.0}), "That takes about 33 min. Begin? [Y/n] "),  # judging counts
        (made(2000.0, longest="a"), "That may take up to 33 min. Begin? [Y/n] "),
    ],
)
async def test_what_somebody_is_asked(monkeypatch: pytest.MonkeyPatch, outlook: RunOutlook, question: str) -> None:
    async def answer(said: str) -> str:
        assert said == question
        return "n"

    monkeypatch.setattr(asking, "can_ask", lambda: True)
    monkeypatch.setattr(asking, "answer_to", answer)
    assert not await is_agreed(outlook)


async def test_after_three_turns_it_is_said_how_long_the_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight conversations at once: when three are done, the others have most of their tokens, and time is not told by
    turns: 100 turns of 100 tokens at 5 tokens/s are 2,000 s, of which 120 s are over."""
    said: list[str] = []
    clock = [1000.0]

    async def usual(run: Any, model: str, database: Any, *, kind: JobKind) -> UsualTurn:
        assert kind is JobKind.REPLY
        return USUAL

    monkeypatch.setattr(forecast, "usual_turn", usual)
    monkeypatch.setattr(outlooks, "monotonic", lambda: clock[0])
    later = LaterOutlook(a_run("trial"), [("a", False), ("b", False)], said.append, None)  # type: ignore[arg-type]
    now = EvalProgress(model="a", committed=5, total=105, failed_jobs=0)
    later.look(now)  # its worker starts
    clock[0] += 50
    later.look(replace(now, doing=Doing(task=Activity.PREFILL)))
    clock[0] += 120
    later.look(replace(now, committed=7, tokens=590))
    assert later._telling == set(), "two turns tell nothing"
    later.look(replace(now, committed=8, tokens=600))
    later.look(replace(now, committed=9, tokens=610))
    await asyncio.gather(*later._telling)
    assert said == ["a: about 31 min to go at this speed. Ctrl-C stops it, and what was generated is kept."]
    later.look(EvalProgress(model="c", committed=3, total=100, failed_jobs=0, tokens=1))
    assert later._telling == set(), "of c it was known before"


# A judge's seconds a turn; what is said, and what is asked.
LATER = [
    (18.0, [], ["Judging by j: about 31 min to go at this speed."]),
    (16.0, ["Judging by j: about 28 min to go at this speed."], []),
    (0.5, [], []),  # not worth a word
]


@pytest.mark.parametrize(("turn_s", "told", "asked"), LATER)
async def test_what_takes_long_after_three_turns_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, turn_s: float, told: list[str], asked: list[str]
) -> None:
    """A judge's calls are turns like others: 107 of them are left when three are there."""
    said: list[str] = []
    questions: list[str] = []
    clock = [0.0]

    async def usual(run: Any, model: str, database: Any, *, kind: JobKind) -> UsualTurn:
        assert kind is JobKind.JUDGE
        return USUAL

    async def ask(question: str) -> None:
        questions.append(question)

    monkeypatch.setattr(forecast, "usual_turn", usual)
    monkeypatch.setattr(outlooks, "monotonic", lambda: clock[0])
    later = LaterOutlook(a_run("trial"), [("j", True)], said.append, None, ask)  # type: ignore[arg-type]
    now = EvalProgress(model="j", committed=0, total=107, failed_jobs=0, judging=True, tokens=0)
    later.look(replace(now, judging=False, committed=90, tokens=9000))  # as a contestant it is known
    later.look(replace(now, doing=Doing(task=Activity.PREFILL)))
    clock[0] += 3 * turn_s
    later.look(replace(now, committed=3, tokens=300))
    await asyncio.gather(*later._telling)
    assert (said, questions) == (told, asked)


TO_GO = "a: about 42 min to go at this speed."
ASKING = f"{TO_GO} Go on? [Y/n] "
# Whether somebody may be asked, whether one sits there, what is typed; exit code, question, and what is said.
UNDER_WAY = [
    (True, True, "n", 1, [ASKING], "Stopped. What was generated is kept"),
    (True, True, "", None, [ASKING], ""),
    (True, False, "n", None, [], f"{TO_GO} Nobody is here to be asked: it goes on. Ctrl-C stops it"),
    (False, True, "n", None, [], f"{TO_GO} Ctrl-C stops it"),  # --yes
]


@pytest.mark.parametrize(("asks", "terminal", "typed", "code", "questions", "said"), UNDER_WAY)
async def test_long_work_that_is_under_way_goes_on_or_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asks: bool,
    terminal: bool,
    typed: str,
    code: int | None,
    questions: list[str],
    said: str,
) -> None:
    """Three of 103 turns took 75 s. Who says no ends it as Ctrl-C does."""
    asked: list[str] = []
    ended: list[bool] = []
    clock = [0.0]

    async def usual(*of: Any, kind: JobKind) -> UsualTurn:
        return USUAL

    async def answer(question: str) -> str:
        asked.append(question)
        return typed

    async def generating(*of: Any) -> dict[str, str]:
        now = EvalProgress(model="a", committed=0, total=103, failed_jobs=0)
        watch = of[-1]
        watch(replace(now, doing=Doing(task=Activity.PREFILL)))
        clock[0] += 75
        watch(replace(now, committed=3, tokens=300))
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            ended.append(True)
            raise
        return {}

    monkeypatch.setattr(forecast, "usual_turn", usual)
    monkeypatch.setattr(outlooks, "monotonic", lambda: clock[0])
    monkeypatch.setattr(evaluation, "generate", generating)
    monkeypatch.setattr(asking, "can_ask", lambda: terminal)
    monkeypatch.setattr(asking, "answer_to", answer)
    session: Any = SimpleNamespace(database=None)
    entry = ModelEntry(name="a", path=Path("a.gguf"), load=LoadSettings(), parameters={}, template=None, reasoning=None)
    shown = generate_shown(
        a_run("trial"), [entry], [], WorkerFlags(), session, quiet=False, later=[("a", False)], asks=asks
    )
    if code is None:
        assert await shown == {}
    else:
        with pytest.raises(SystemExit) as end:
            await shown
        assert end.value.code == code
    assert (asked, bool(ended)) == (questions, code is not None)
    assert said in " ".join(capsys.readouterr().err.split())
