"""One evaluation from a suite and models to its report: what `nightjar eval`, `nightjar demo` and a program ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.jobs.machines.doing import Activity, Doing
from nightjar.scripts.evaluation import PRIORITY, WorkerFlags, finish, suite_to_enqueue, take_models, try_again

if TYPE_CHECKING:
    from nightjar.config.errors import UsageError
    from nightjar.jobs.documents import Run
    from nightjar.pipeline.report.data.run_report import RunReport
    from nightjar.pipeline.runs.producer import Enqueued
    from nightjar.scripts.session import Session
    from nightjar.workers.library.find import ModelEntry

Generating = Callable[["Run", list["ModelEntry"], list["ModelEntry"]], Awaitable[dict[str, str]]]
"""Has the models reply and the helpers (judges, embedder) judge; the models that could not be served, with the reason.
"""
Agreeing = Callable[["Enqueued", list["ModelEntry"], list["ModelEntry"]], Awaitable[None]]
"""Is told of the run, its models and its judges before anything of it begins; raises what ends the evaluation."""


async def _agreed(enqueued: Enqueued, entries: list[ModelEntry], judges: list[ModelEntry]) -> None:
    """Nobody is there to ask."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one call evaluates and where its report goes."""

    suite: str
    """Name or file."""
    models: list[str]
    """Names or GGUF files, and policies (`alias:NAME`, `router:NAME`)."""
    judges: list[str] = field(default_factory=list)
    """Likewise."""
    embed_model: str | None = None
    """Likewise."""
    fidelity_to: str | None = None
    """Likewise: what the models are held against."""
    suite_format: str | None = None
    mapping: dict[str, str] | None = None
    """What each field of the rows of any file is; None: the suite has a format."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the enqueue request; None means its default."""
    flags: WorkerFlags = field(default_factory=WorkerFlags)
    formats: list[str] = field(default_factory=lambda: ["html"])
    out: Path | None = None
    as_json: bool = False

    def check(self) -> list[str]:
        """The formats. Raises UsageError for one that is none, and what is wrong with the user's own scorers: what is
        broken is named now, not after the last reply."""
        from nightjar.config.settings import load_settings
        from nightjar.pipeline.exports.write import check_formats
        from nightjar.pipeline.scoring.plugins import user_scorers

        user_scorers(load_settings().scorers)
        return check_formats(self.formats)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What came of an evaluation."""

    run: Run
    report: RunReport
    paths: list[Path]
    unserved: dict[str, str]
    """Models that could not be served, with the reason."""
    left_out: dict[str, UsageError]
    """Formats that the report could not be written in."""

    @property
    def failed(self) -> bool:
        """A job failed, a gate tripped, or something of what was asked for is not there."""
        tripped = self.report.verdict is not None and self.report.verdict.failed
        lost = any(model.total.counts.failed for model in self.report.models)
        return bool(self.unserved or self.left_out) or tripped or lost


async def evaluate_whole(
    wanted: Evaluation,
    session: Session,
    *,
    formats: Sequence[str],
    generating: Generating,
    note: Callable[[Sequence[str]], None],
    agreeing: Agreeing = _agreed,
) -> Evaluated:
    """Imports, enqueues, has it generated and judged, reports. `note` is told what is worth knowing on the way.

    `formats`: what `wanted.check()` returned, before the session was opened. The session has Redis. Raises any
    NightjarError.
    """
    from nightjar.jobs.routing.policies import is_routed
    from nightjar.pipeline.exports.formats import missing_package
    from nightjar.pipeline.report.formats.files import check_folder
    from nightjar.pipeline.runs.producer import enqueue
    from nightjar.pipeline.runs.request import make_request
    from nightjar.pipeline.runs.this_home import this_home
    from nightjar.scripts.enforceable import check_enforceable
    from nightjar.scripts.fidelity_preflight import check_reference
    from nightjar.scripts.views.saying import saying
    from nightjar.workers.embedder.client import embedder_opener

    out = wanted.out or session.settings.reports_dir
    check_folder(out)
    embedder = [wanted.embed_model] if wanted.embed_model else []
    reference = [wanted.fidelity_to] if wanted.fidelity_to else []
    plain = [name for name in wanted.models if not is_routed(name)]
    named = [*plain, *wanted.judges, *embedder, *reference]
    taken = await take_models(named, session)
    entries, helpers = taken[: len(plain)], taken[len(plain) : len(taken) - len(reference)]
    against = taken[-1] if reference else None
    called = dict(zip(plain, (entry.name for entry in entries), strict=True))
    request = make_request(
        suite=await suite_to_enqueue(wanted.suite, wanted.suite_format, session, mapping=wanted.mapping),
        models=tuple(dict.fromkeys(called.get(name, name) for name in wanted.models)),
        priority=PRIORITY,
        judges=tuple(judge.name for judge in helpers[: len(wanted.judges)]),
        embed_model=helpers[-1].name if embedder else None,
        fidelity_to=against.name if against is not None else None,
        paths={entry.name: str(entry.path) for entry in (*entries, *([against] if against is not None else []))},
        **{key: value for key, value in wanted.options.items() if value is not None},
    )
    closers = this_home(session.settings)
    apart = await asyncio.to_thread(check_reference, against, entries) if against is not None else []
    enqueued = await enqueue(
        request,
        session.database,
        closers=closers,
        enforceable=check_enforceable,
        embedder=embedder_opener(session.settings),
        usd_per_kwh=session.settings.money.usd_per_kwh,
    )
    lacking = [problem for form in formats if (problem := missing_package(form)) is not None]
    twice = _given_twice(plain, entries)
    entries = await _with_candidates(entries, enqueued.run, session)
    note([*_renamed(named, taken), *twice, *enqueued.warnings, *apart, *lacking])
    await agreeing(enqueued, entries, helpers[: len(wanted.judges)])
    await try_again(enqueued.run, session)
    unserved = await generating(enqueued.run, entries, helpers)
    with saying(Doing(task=Activity.SCORING)):
        report, paths, left_out = await finish(enqueued.run, formats, out, session)
    note(_made_smaller(report))
    return Evaluated(run=enqueued.run, report=report, paths=paths, unserved=unserved, left_out=left_out)


async def _with_candidates(entries: list[ModelEntry], run: Run, session: Session) -> list[ModelEntry]:
    """The models that reply: those that were named, and those that answer for policies."""
    there = {entry.name for entry in entries}
    return [*entries, *await take_models([name for name in run.candidates if name not in there], session)]


def _renamed(named: list[str], taken: list[ModelEntry]) -> Iterator[str]:
    """What each file is called whose own name does not tell it from others."""
    for given, entry in zip(named, taken, strict=True):
        if given.lower().endswith(".gguf") and entry.name.casefold() not in given.casefold():
            yield f"{given} is called {entry.name} here."


def _given_twice(named: Sequence[str], entries: Sequence[ModelEntry]) -> Iterator[str]:
    """Models that were given under several names: each is evaluated once."""
    for name in dict.fromkeys(entry.name for entry in entries):
        given = dict.fromkeys(text for text, entry in zip(named, entries, strict=True) if entry.name == name)
        if len(given) > 1:
            yield f"{' and '.join(given)} are the same model; it is evaluated once. --repeats asks for more replies."


def _made_smaller(report: RunReport) -> list[str]:
    """What automatic load settings gave up for want of memory."""
    said = (
        f"{model.input.name} was loaded smaller, since memory was short: {words}."
        for model in report.models
        for words in model.input.given_up
    )
    return list(dict.fromkeys(said))
