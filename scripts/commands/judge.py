"""`nightjar judge`: judge a finished run, again or for the first time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.output import Json, emit_json, plain

if TYPE_CHECKING:
    from jobs.documents import Run

app = typer.Typer(add_completion=False)


@app.command()
def judge(
    run: Annotated[str, typer.Argument(help="The run's name or id.")],
    judges: Annotated[list[str], typer.Option("--judge", "-j", help="A model that judges; repeatable.")],
    rubric: Annotated[Path | None, typer.Option(help="A rubric file; default: the run's or its suite's.")] = None,
    self_judging: Annotated[bool, typer.Option(help="Let a judge judge replies of its own.")] = False,
    as_json: Json = False,
) -> None:
    """Judge a finished run by a rubric; no reply is generated. Workers of the judges must run.

    Example: nightjar judge nightly-2026-11-21 --rubric rubric.yaml --judge qwen3-8b
    """
    from scripts.rubrics import read_rubric_file
    from scripts.session import run_async

    given = read_rubric_file(rubric) if rubric is not None else None
    judged = run_async(_judge(run, tuple(judges), given, self_judging=self_judging))
    if as_json:
        emit_json({"run": {"id": judged.id, "name": judged.name, "status": judged.status}})
    else:
        print(plain(f"Run {judged.name!r} is {judged.status}: a dispatcher plans the judging, see `nightjar status`."))


async def _judge(name: str, judges: tuple[str, ...], rubric: dict[str, Any] | None, *, self_judging: bool) -> Run:
    from jobs.lookup import find_run
    from pipeline.judge_start import judge_again
    from scripts.enqueue_options import local_models
    from scripts.session import open_session

    async with open_session() as session:
        run = await find_run(name, session.database)
        known = local_models(session.settings)
        return await judge_again(run, judges, rubric, session.database, known_models=known, self_judging=self_judging)
