"""`nightjar judge`: judge a finished run, again or for the first time; check whether its judges can judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.scripts.session import Session


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
    from nightjar.scripts.options.rubric import read_rubric_file
    from nightjar.scripts.session import open_session, run_async

    given = read_rubric_file(rubric) if rubric is not None else None

    async def work() -> bool:
        async with open_session() as session:
            found, other = await _find(run, session), await _find(against, session) if against else None
            options = {"self_judging": self_judging, "against": other}
            return await _judge(found, judges, given, options, session, wait=wait, as_json=as_json)

    if run_async(work()):
        raise typer.Exit(1)


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
    from nightjar.scripts.options.rubric import read_rubric_file
    from nightjar.scripts.session import open_session, run_async

    given = read_rubric_file(rubric) if rubric is not None else None
    options = {"self_judging": self_judging, "sequences": sequences, "seed": seed}

    async def work() -> bool:
        async with open_session() as session:
            found = await _find(run, session)
            return await _check(found, judges or [], given, options, session, wait=wait, as_json=as_json)

    if run_async(work()):
        raise typer.Exit(1)


async def _judge(
    run: Run,
    judges: list[str],
    rubric: dict[str, Any] | None,
    options: dict[str, Any],
    session: Session,
    *,
    wait: bool,
    as_json: bool,
) -> bool:
    """Starts the judging, tells, and waits where asked to; True when what was waited for did not go well."""
    from nightjar.pipeline.judging.start import judge_again
    from nightjar.scripts.options.run import local_models
    from nightjar.scripts.views.judges import say_who_is_missing
    from nightjar.scripts.views.wait import wait_for_run

    known = local_models(session.settings)
    judged = await judge_again(run, judges, rubric, session.database, known_models=known, **options)
    if not as_json:
        print(plain(f"Run {judged.name!r} is {judged.status}: a dispatcher plans the judging, see `nightjar status`."))
    missing = await say_who_is_missing(judged.judges, session.database)
    ended = await wait_for_run(judged, session.database) if wait else None
    status = ended.run.status if ended is not None else judged.status
    if as_json:
        emit_json({"run": {"id": judged.id, "name": judged.name, "status": status}, "without_worker": missing})
    elif ended is not None:
        print(plain(ended.sentence()))
    return ended is not None and ended.failed


async def _check(
    run: Run,
    judges: list[str],
    rubric: dict[str, Any] | None,
    options: dict[str, Any],
    session: Session,
    *,
    wait: bool,
    as_json: bool,
) -> bool:
    """Starts a check and tells; with `wait` what it found. True when a judge was found unable, or it did not end."""
    from nightjar.jobs.states import RunStatus
    from nightjar.pipeline.judging.start import start_check
    from nightjar.pipeline.report.formats.judge_json import checkup_json
    from nightjar.scripts.options.run import local_models
    from nightjar.scripts.views.judges import CONTROL_COLUMNS, control_rows, found_in_check, say_who_is_missing
    from nightjar.scripts.views.wait import wait_for_run

    known = local_models(session.settings)
    asked = await start_check(run, judges, rubric, session.database, known_models=known, **options)
    assert asked.check is not None
    if not as_json:
        names = ", ".join(asked.check.judges)
        print(plain(f"Run {asked.name!r} is {asked.status}: {names} will be asked about real and spoilt replies."))
    missing = await say_who_is_missing(asked.check.judges, session.database)
    ended = await wait_for_run(asked, session.database) if wait else None
    found = await found_in_check(ended.run, session.database) if ended is not None else ()
    if as_json:
        status = ended.run.status if ended is not None else asked.status
        row = {"id": asked.id, "name": asked.name, "status": status}
        emit_json({"run": row, "without_worker": missing, "checks": [checkup_json(one) for one in found]})
    elif ended is not None:
        console().print(table(None, CONTROL_COLUMNS, control_rows(found)))
        for one in found or ():
            print(plain(f"{one.told}."))
    else:
        print(plain(f"When it is done, `nightjar report {asked.name}` names a judge that can't tell them apart."))
    unable = any(one.ability.name == "CANNOT" for one in found)
    return ended is not None and (unable or ended.run.status is not RunStatus.DONE)


async def _find(name: str, session: Session) -> Run:
    from nightjar.jobs.lookup import find_run

    return await find_run(name, session.database)
