"""`nightjar judge`: judge a finished run, again or for the first time; check whether its judges can judge."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nightjar.scripts.options.load import LoadOptions
from nightjar.scripts.options.takes import takes
from nightjar.scripts.views.gates import report_row
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.documents import Run
    from nightjar.pipeline.runs.judging_cost import ExpectedJudging
    from nightjar.scripts.evaluation import WorkerFlags
    from nightjar.scripts.session import Session
    from nightjar.scripts.views.wait import Ended
    from nightjar.workers.library.find import ModelEntry


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
Rubric = Annotated[Path | None, typer.Option(help="A file, pairwise or storybench; default: the run's or its suite's.")]
SelfJudging = Annotated[bool, typer.Option(help="Let a judge judge replies of its own.")]
Elsewhere = Annotated[
    bool,
    typer.Option("--enqueue", help="Leave it to workers of the judges; no model is loaded here."),
]
Wait = Annotated[bool, typer.Option("--wait", help="The same, and wait until it is done.")]
Budget = Annotated[
    float | None,
    typer.Option(metavar="USD", help="Send nothing more to endpoints where this judging could cost more than this."),
]
CheckBudget = Annotated[
    float | None,
    typer.Option("--budget", metavar="USD", help="Send nothing more to endpoints where this could cost more."),
]
Gpu = Annotated[str | None, typer.Option(help="Card UUID or index, none for the CPU; default: all cards.")]


@app.command()
@takes(LoadOptions)
def run(
    run: RunName,
    judges: Annotated[list[str], typer.Option("--judge", "-j", help="A model that judges: name or file; repeatable.")],
    load: LoadOptions,
    rubric: Rubric = None,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="With a pairwise rubric: compare with this run's replies.")
    ] = None,
    self_judging: SelfJudging = False,
    gpu: Gpu = None,
    elsewhere: Elsewhere = False,
    wait: Wait = False,
    budget: Budget = None,
    as_json: Json = False,
) -> None:
    """Judge a finished run by a rubric, everything in one terminal; no reply is generated.

    An earlier judging counts until this one is complete; `nightjar run cancel RUN` drops this one.

    Example: nightjar judge nightly-2026-11-21 --rubric rubric.yaml --judge qwen3-8b
    """
    from nightjar.jobs.lookup import find_run
    from nightjar.jobs.money.spending import set_budget
    from nightjar.jobs.runs.judging_moves import begin_judging
    from nightjar.pipeline.judging.start import check_again
    from nightjar.pipeline.runs.judging_cost import ExpectedJudging, expected_again

    given = _read(rubric)
    how = _How(here=not (elsewhere or wait), wait=wait, flags=_flags(gpu, load), as_json=as_json)

    async def judge(target: Run, session: Session) -> bool:
        other = await find_run(against, session.database) if against else None
        entries = await how.take(judges, session)
        names = [entry.name for entry in entries]
        whole = await _whole_budget(target, budget, names, session)
        judged, begun_by, expected = target, target.judging.under_way, list[ExpectedJudging]()
        if begun_by is None or begun_by.judges != names or given is not None:
            asked = await check_again(
                target,
                names,
                given,
                session.database,
                known_models=(*_here(session), *names),
                self_judging=self_judging,
                against=other,
            )
            expected = await expected_again(target, asked, session.database)
            _say_expected(expected)
            judged = await begin_judging(target, asked, session.database, budget=whole)
        elif whole is not None:
            await set_budget(target.id, whole, session.database)
        said = f"Run {judged.name!r} is {judged.status}: a dispatcher plans the judging, see `nightjar status`."
        begun = await _follow(judged, entries, said, session, how)
        return await _tell_judging(replace(begun, expected=tuple(expected)), session, how)

    _exit_for(run, judge)


@app.command()
@takes(LoadOptions)
def check(
    run: RunName,
    load: LoadOptions,
    judges: Annotated[
        list[str] | None,
        typer.Option("--judge", "-j", help="A model to check, name or file; repeatable; default: the run's judges."),
    ] = None,
    rubric: Rubric = None,
    sequences: Annotated[int, typer.Option(min=1, help="At most so many sequences, one reply each.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Which replies, and how they are spoilt.")] = None,
    self_judging: SelfJudging = False,
    gpu: Gpu = None,
    elsewhere: Elsewhere = False,
    wait: Wait = False,
    budget: CheckBudget = None,
    as_json: Json = False,
) -> None:
    """Can the judges tell real replies from shuffled, truncated and off-topic ones? One that can't ranks nothing.

    Exit code 1 where one can't. Example: nightjar judge check nightly --judge qwen3-8b
    """
    from nightjar.jobs.states import RunStatus
    from nightjar.pipeline.judging.start import begin_check, plan_check
    from nightjar.pipeline.runs.judging_cost import expected_check

    given = _read(rubric)
    options: dict[str, Any] = {"self_judging": self_judging, "sequences": sequences, "seed": seed}
    how = _How(here=not (elsewhere or wait), wait=wait, flags=_flags(gpu, load), as_json=as_json)

    async def start(target: Run, session: Session) -> bool:
        here = how.here and target.status is not RunStatus.ACTIVE  # which has other work first
        asking = replace(how, here=here)
        entries = await asking.take(judges or target.judging.judges, session)
        names = [entry.name for entry in entries]
        known = (*_here(session), *names)
        whole = await _whole_budget(target, budget, names, session)
        wanted = await plan_check(target, names, given, session.database, known_models=known, **options)
        expected = await expected_check(target, wanted, session.database)
        _say_expected(expected)
        asked = await begin_check(target, wanted, session.database, budget=whole)
        what = "real and spoilt replies, and replies that ask for a good verdict"
        said = f"Run {asked.name!r} is {asked.status}: {', '.join(names)} will be asked about {what}."
        begun = replace(await _follow(asked, entries, said, session, asking), expected=tuple(expected))
        return await _tell_check(begun, session, as_json=as_json)

    _exit_for(run, start)


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """A judge, and where its file is if it was given by path."""

    name: str
    entry: ModelEntry | None = None


@dataclass(frozen=True, kw_only=True)
class _How:
    """Where the judges run, and who waits for them."""

    here: bool
    """In this terminal."""
    wait: bool
    flags: WorkerFlags
    as_json: bool

    async def take(self, named: Sequence[str], session: Session) -> list[_Judge]:
        """The judges. Files are published under their names; a name must be found only where it is to be loaded."""
        from nightjar.scripts.evaluation import take_models

        loaded = [given for given in named if self.here or given.lower().endswith(".gguf")]
        entries = dict(zip(loaded, await take_models(loaded, session), strict=True))
        return [_Judge(name=entries[name].name if name in entries else name, entry=entries.get(name)) for name in named]


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A judging or a check that was started, and what became of it where somebody waited."""

    run: Run
    missing: list[str]
    """The judges that no worker holds, or that could not be served here."""
    ended: Ended | None
    expected: tuple[ExpectedJudging, ...] = ()
    """What judges at endpoints were expected to cost."""

    def json(self) -> dict[str, Any]:
        """For --json."""
        status = self.run.status if self.ended is None else self.ended.run.status
        return {
            "run": {"id": self.run.id, "name": self.run.name, "status": status, **self._numbers()},
            "without_worker": self.missing,
            "expected_cost": self.expected_rows(),
        }

    def expected_rows(self) -> list[dict[str, Any]]:
        """For --json."""
        names = ("judge", "verdicts", "usd", "most_usd")
        return [{name: getattr(each, name) for name in names} for each in self.expected]

    def _numbers(self) -> dict[str, int | None]:
        return (self.run if self.ended is None else self.ended.run).judging.numbers()


async def _whole_budget(run: Run, budget: float | None, judges: Sequence[str], session: Session) -> float | None:
    """The run's budget where its judges may cost so much more than it has cost so far. Raises UsageError."""
    from nightjar.jobs.money.spending import spent_so_far
    from nightjar.pipeline.runs.judging_cost import check_judges_budget

    await check_judges_budget(budget, judges, session.database)
    return None if budget is None else await spent_so_far(run.id, session.database) + budget


def _say_expected(expected: Sequence[ExpectedJudging]) -> None:
    for each in expected:
        print(plain(f"nightjar: {each.sentence()}"), file=sys.stderr)


async def _follow(run: Run, judges: Sequence[_Judge], said: str, session: Session, how: _How) -> Begun:
    """Has the judges do it here; or tells people what was started, which judges are missing, and waits if asked to."""
    from nightjar.scripts.commands.evaluate import generate_shown
    from nightjar.scripts.views.judges import say_who_is_missing
    from nightjar.scripts.views.wait import wait_for_run

    if how.here:
        entries = [judge.entry for judge in judges if judge.entry is not None]
        later = [] if how.as_json else [(entry.name, True) for entry in entries]
        unserved = await generate_shown(run, [], entries, how.flags, session, quiet=how.as_json, later=later)
        for model, reason in unserved.items():
            print(plain(f"nightjar: judge {model!r} could not be served: {reason}"), file=sys.stderr)
        ended = await wait_for_run(run, session.database, timeout_s=0)
        return Begun(run=run, missing=list(unserved), ended=ended)
    if not how.as_json:
        print(plain(said))
    starts = {judge.name: str(judge.entry.path) for judge in judges if judge.entry is not None}
    missing = await say_who_is_missing([judge.name for judge in judges], starts, session.database)
    return Begun(run=run, missing=missing, ended=await wait_for_run(run, session.database) if how.wait else None)


async def _tell_judging(begun: Begun, session: Session, how: _How) -> bool:
    """Tells how the judging ended, and what it found where it was done here. True where it did not go well."""
    from nightjar.jobs.states import RunStatus
    from nightjar.scripts.commands.evaluate import show
    from nightjar.scripts.evaluation import finish

    ended = begun.ended
    lost = _lost(begun)
    if lost is not None:
        print(plain(lost), file=sys.stderr)
        if how.as_json:
            emit_json(begun.json())
    elif how.here and ended is not None and ended.run.status is RunStatus.DONE:
        report, paths, _ = await finish(ended.run, ["html"], session.settings.reports_dir, session)
        if how.as_json:
            emit_json(
                report_row(report, paths) | {"without_worker": begun.missing, "expected_cost": begun.expected_rows()}
            )
        else:
            show(ended.run, report, paths, as_json=False)
    elif how.as_json:
        emit_json(begun.json())
    elif ended is not None:
        print(plain(ended.sentence()))
    return ended is not None and (lost is not None or ended.failed or (how.here and bool(begun.missing)))


def _lost(begun: Begun) -> str | None:
    """What became of a judging that is not shown, where the waiting is over; None where all went well."""
    from nightjar.jobs.judgings import JudgingStatus
    from nightjar.jobs.states import RunStatus

    asked = begun.run.judging.under_way
    if begun.ended is None or asked is None or begun.ended.run.status is not RunStatus.DONE:
        return None
    after = begun.ended.run.judging
    judging = after.passes[asked.number - 1]
    if judging.status is JudgingStatus.COMPLETE:
        return None
    how = "failed" if judging.status is JudgingStatus.FAILED else "was cancelled"
    how += f": {judging.reason}" if judging.reason not in (None, "cancelled") else ""
    now = "its replies, which are not judged" if after.shown is None else f"judging {after.shown}"
    return f"nightjar: judging {judging.number} {how}. Run {begun.run.name!r} is DONE by {now}, as before."


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


def _flags(gpu: str | None, load: LoadOptions) -> WorkerFlags:
    """How the judges' workers are started. Raises UsageError."""
    from nightjar.scripts.evaluation import WorkerFlags
    from nightjar.scripts.options.gpu import chosen_pins

    load.changes()  # wrong ones are named now
    chosen_pins(gpu)
    return WorkerFlags(gpu=gpu, load=load)


def _read(rubric: Path | None) -> dict[str, Any] | None:
    from nightjar.scripts.options.rubric import read_rubric_file

    return read_rubric_file(rubric) if rubric is not None else None


def _here(session: Session) -> tuple[str, ...]:
    """Models that may judge though nobody has published them yet: this machine's."""
    from nightjar.scripts.options.run import local_models

    return local_models(session.settings)
