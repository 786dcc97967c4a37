"""`nightjar judge`: judge a finished run, again or for the first time; check whether its judges can judge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.wait import Ended


class JudgeGroup(TyperGroup):
    """`nightjar judge RUN` is short for `nightjar judge run RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=JudgeGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Judge a finished run by a rubric; `nightjar judge RUN` is short for `nightjar judge run RUN`.\n\n"
    "Example: nightjar judge nightly-2026-11-21 --rubric rubric.yaml --judge qwen3-8b",
)
RunName = Annotated[str, typer.Argument(metavar="RUN", help="The run's name or id.")]
Rubric = Annotated[Path | None, typer.Option(help="A rubric file; default: the run's or its suite's.")]
SelfJudging = Annotated[bool, typer.Option(help="Let a judge judge replies of its own.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is done.")]


@app.command()
def run(
    run: RunName,
    judges: Annotated[list[str], typer.Option("--judge", "-j", help="A model that judges; repeatable.")],
    rubric: Rubric = None,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="With a pairwise rubric: compare with this run's replies.")
    ] = None,
    self_judging: SelfJudging = False,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Judge a finished run by a rubric; no reply is generated. Workers of the judges must run.

    Example: nightjar judge nightly-2026-11-21 --rubric rubric.yaml --judge qwen3-8b
    """
    from nightjar.jobs.lookup import find_run
    from nightjar.pipeline.judging.start import judge_again

    given = _read(rubric)

    async def judge(target: Run, session: Session) -> bool:
        other = await find_run(against, session.database) if against else None
        judged = await judge_again(
            target,
            judges,
            given,
            session.database,
            known_models=_here(session),
            self_judging=self_judging,
            against=other,
        )
        said = f"Run {judged.name!r} is {judged.status}: a dispatcher plans the judging, see `nightjar status`."
        begun = await _follow(judged, judged.judging.judges, said, session, wait=wait, as_json=as_json)
        if as_json:
            emit_json(begun.json())
        elif begun.ended is not None:
            print(plain(begun.ended.sentence()))
        return begun.ended is not None and begun.ended.failed

    _exit_for(run, judge)


@app.command()
def check(
    run: RunName,
    judges: Annotated[
        list[str] | None, typer.Option("--judge", "-j", help="A model to check; repeatable; default: the run's judges.")
    ] = None,
    rubric: Rubric = None,
    sequences: Annotated[int, typer.Option(min=1, help="At most so many sequences, one reply each.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Which replies, and how they are spoilt.")] = None,
    self_judging: SelfJudging = False,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Can the judges tell real replies from shuffled, truncated and off-topic ones? One that can't ranks nothing.

    With --wait the exit code is 1 where one can't. Example: nightjar judge check nightly --judge qwen3-8b --wait
    """
    from nightjar.pipeline.judging.start import start_check

    given = _read(rubric)
    options: dict[str, Any] = {"self_judging": self_judging, "sequences": sequences, "seed": seed}

    async def start(target: Run, session: Session) -> bool:
        asked = await start_check(target, judges or [], given, session.database, known_models=_here(session), **options)
        check = asked.judging.check
        assert check is not None
        names = ", ".join(check.judges)
        what = "real and spoilt replies, and replies that ask for a good verdict"
        said = f"Run {asked.name!r} is {asked.status}: {names} will be asked about {what}."
        begun = await _follow(asked, check.judges, said, session, wait=wait, as_json=as_json)
        return await _tell_check(begun, session, as_json=as_json)

    _exit_for(run, start)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A judging or a check that was started, and what became of it where somebody waited."""

    run: Run
    missing: list[str]
    """The judges that no worker holds."""
    ended: Ended | None

    def json(self) -> dict[str, Any]:
        """For --json."""
        status = self.run.status if self.ended is None else self.ended.run.status
        return {"run": {"id": self.run.id, "name": self.run.name, "status": status}, "without_worker": self.missing}


async def _follow(run: Run, judges: Sequence[str], said: str, session: Session, *, wait: bool, as_json: bool) -> Begun:
    """Tells people what was started and which judges are missing, and waits for the run's end where asked to."""
    from nightjar.scripts.views.judges import say_who_is_missing
    from nightjar.scripts.views.wait import wait_for_run

    if not as_json:
        print(plain(said))
    missing = await say_who_is_missing(judges, session.database)
    return Begun(run=run, missing=missing, ended=await wait_for_run(run, session.database) if wait else None)


async def _tell_check(begun: Begun, session: Session, *, as_json: bool) -> bool:
    """Tells what a check found. True when a judge was found unable, or the run did not end as it should."""
    from nightjar.jobs.states import RunStatus
    from nightjar.pipeline.report.formats.judge_json import checkup_json
    from nightjar.scripts.views.judges import (
        ATTEMPT_COLUMNS,
        CONTROL_COLUMNS,
        attempt_rows,
        control_rows,
        found_in_check,
    )

    ended = begun.ended
    checkups = await found_in_check(ended.run, session.database) if ended is not None else ()
    if as_json:
        emit_json(begun.json() | {"checks": [checkup_json(checkup) for checkup in checkups]})
    elif ended is not None:
        console().print(table(None, CONTROL_COLUMNS, control_rows(checkups)))
        if tried := attempt_rows(checkups):
            console().print(table(None, ATTEMPT_COLUMNS, tried))
        for checkup in checkups:
            for told in (checkup.told, checkup.told_of_attempts):
                if told is not None:
                    print(plain(f"{told}."))
    else:
        print(plain(f"When it is done, `nightjar report {begun.run.name}` names a judge that can't tell them apart."))
    unable = any(checkup.ability.name == "CANNOT" for checkup in checkups)
    return ended is not None and (unable or ended.run.status is not RunStatus.DONE)


def _exit_for(name: str, work: Callable[[Run, Session], Awaitable[bool]]) -> None:
    """Exit code 1 where the work on the run says that it did not go well."""
    from nightjar.scripts.commands.run import on_run

    if on_run(name, work):
        raise typer.Exit(1)


def _read(rubric: Path | None) -> dict[str, Any] | None:
    from nightjar.scripts.options.rubric import read_rubric_file

    return read_rubric_file(rubric) if rubric is not None else None


def _here(session: Session) -> tuple[str, ...]:
    """Models that may judge though nobody has published them yet: this machine's."""
    from nightjar.scripts.options.run import local_models

    return local_models(session.settings)
