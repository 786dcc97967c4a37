"""What the child processes do: collect, compare, draw. Imported by them alone; it brings in scipy and the charts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from nightjar.config.errors import NightjarError, UsageError
from nightjar.config.home_id import home_id
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.lookup import find_run
from nightjar.jobs.mongo import Database, utc_now
from nightjar.jobs.search.photo_homes import elsewhere_notice, photos_elsewhere
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.baseline import since_baseline
from nightjar.pipeline.compare.changed_turns import read_turns_beside
from nightjar.pipeline.compare.comparison import Comparison, PairBy, compare_sides, pair_up, sides, unpaired
from nightjar.pipeline.compare.rows import COMPARED_COLUMNS, comparison_json, cost_rows, metric_rows
from nightjar.pipeline.nights.night_store import read_nights
from nightjar.pipeline.report.data.trend import Trend, trend
from nightjar.pipeline.report.formats.json_ import render_json
from nightjar.pipeline.report.page.html import render_html
from nightjar.pipeline.report.page.trend_page import render_trend, render_trend_json
from nightjar.pipeline.search.duplicates import find_equal_replies
from nightjar.pipeline.search.question import SearchQuestion
from nightjar.pipeline.search.start import search
from nightjar.web.heavy.export_work import write_export, write_run_file
from nightjar.web.heavy.machine_work import write_machine_charts
from nightjar.web.heavy.model_work import write_fits, write_hub_search, write_model, write_recommendations
from nightjar.web.heavy.suite_work import write_suite
from nightjar.workers.embedder.client import SmallEmbedder
from nightjar.workers.embedder.spec import EmbedderSpec
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.photos.picture_model import PictureModel
from nightjar.workers.photos.search import FoundPhoto, search_photos

NIGHTS = 60


@dataclass(frozen=True, kw_only=True)
class ComparedModels:
    """One comparison, as a page shows it."""

    base: str
    other: str
    shared: int
    incomplete: int
    notices: list[str]
    columns: list[str]
    rows: list[list[str]]


async def write_report(database: Database, run: str) -> str:
    """The report of a run, as one page of its own."""
    found = await find_run(run, database)
    report = await since_baseline(await collect(found.id, database), found, database)
    return "".join(render_html(report))


async def write_report_json(database: Database, run: str) -> str:
    """The same report as JSON."""
    found = await find_run(run, database)
    report = await since_baseline(await collect(found.id, database), found, database)
    return "".join(render_json(report))


async def write_comparison(database: Database, base: str, other: str) -> str:
    """Two runs, model by model, as JSON: a list of `ComparedModels`, and what has no counterpart."""
    reports = [await collect((await find_run(name, database)).id, database) for name in (base, other)]
    before, after = (sides(report, None, PairBy.CONTENT) for report in reports)
    pairs = pair_up(before, after)
    compared = [asdict(_compared(compare_sides(one, two))) for one, two in pairs]
    return json.dumps({"compared": compared, "unpaired": list(unpaired(before, after, pairs))})


async def write_comparison_json(database: Database, base: str, other: str) -> str:
    """The same as numbers, as `nightjar compare --json` has them."""
    reports = [await collect((await find_run(name, database)).id, database) for name in (base, other)]
    before, after = (sides(report, None, PairBy.CONTENT) for report in reports)
    pairs = pair_up(before, after)
    compared = [comparison_json(compare_sides(one, two)) for one, two in pairs]
    return json.dumps({"comparisons": compared, "unpaired": list(unpaired(before, after, pairs))})


def _compared(comparison: Comparison) -> ComparedModels:
    return ComparedModels(
        base=comparison.base.name,
        other=comparison.other.name,
        shared=comparison.shared,
        incomplete=comparison.incomplete,
        notices=list(comparison.notices),
        columns=COMPARED_COLUMNS,
        rows=[*metric_rows(comparison), *cost_rows(comparison)],
    )


async def write_turns_beside(database: Database, base: str, other: str, turns: str, page: str, each: str) -> str:
    """A page of the turns of two runs beside each other, as JSON. `turns`: all, else those alone that changed."""
    before, after = [await find_run(name, database) for name in (base, other)]
    found = await read_turns_beside(
        before, after, database, only_changed=turns != "all", page=int(page), each=int(each)
    )
    return json.dumps(asdict(found))


async def write_trend_page(database: Database, suite: str) -> str:
    """The nights of a suite, as one page of its own. Raises UsageError where none has ended."""
    return render_trend(await _trend(database, suite))


async def write_trend_json(database: Database, suite: str) -> str:
    """The same as `nightjar trend --format json` writes it."""
    return render_trend_json(await _trend(database, suite))


async def _trend(database: Database, suite: str) -> Trend:
    nights = await read_nights(suite, NIGHTS, database)
    if not nights:
        raise UsageError(f"No run of suite {suite!r} has finished yet.")
    return trend(suite, nights, now=utc_now(), version=NIGHTJAR_VERSION)


async def write_answer(database: Database, asked: str, spec: str, home: str, photos: str, photo_model: str) -> str:
    """What a search finds, as JSON. `asked`: a `SearchQuestion`, `spec`: an `EmbedderSpec`, both as JSON.

    `photos`: how many are looked for as well; `photo_model`: the folder of a picture model, which may be none.
    """
    fields = json.loads(asked)
    like = fields.pop("like")
    question = SearchQuestion(**fields, like=None if like is None else (like[0], like[1]))
    embedder, most = _embedder(spec), int(photos)
    answer = asdict(await search(question, embedder, database, Path(home)))
    found: list[FoundPhoto] = []
    notices: list[str] = []
    if most and question.text:
        try:
            pictures = _pictures(photo_model, home) if photo_model else None
            found, notices = await search_photos(question.text, most, Path(home), embedder, pictures)
        except NightjarError as error:  # of the picture model, which is no reason to show nothing else
            notices = [str(error)]
        notices += [elsewhere_notice(other) for other in await photos_elsewhere(home_id(Path(home)), database)]
    return json.dumps(answer | {"photos": [asdict(photo) for photo in found], "photo_notices": notices})


async def write_duplicates(database: Database, run: str, least: str, spec: str, home: str) -> str:
    """The groups of a run's replies that are nearly the same, as JSON. `run`: its id."""
    groups = await find_equal_replies(run, float(least), _embedder(spec), database, Path(home))
    return json.dumps([asdict(group) for group in groups])


@lru_cache(maxsize=1)
def _embedder(spec: str) -> SmallEmbedder:
    """Kept open for as long as this child lives."""
    return SmallEmbedder(EmbedderSpec.model_validate_json(spec))


@lru_cache(maxsize=1)
def _pictures(folder: str, home: str) -> PictureModel:
    """Kept for as long as this child lives, with its encoder."""
    return PictureModel(Path(folder), DigestCache(Path(home) / "digests.json"))


WORK: Mapping[str, Callable[..., Awaitable[str | bytes]]] = {
    "report": write_report,
    "report-json": write_report_json,
    "export": write_export,
    "run-file": write_run_file,
    "compare": write_comparison,
    "compare-json": write_comparison_json,
    "turns-beside": write_turns_beside,
    "trend": write_trend_page,
    "trend-json": write_trend_json,
    "search": write_answer,
    "duplicates": write_duplicates,
    "model": write_model,
    "fits": write_fits,
    "recommended": write_recommendations,
    "hub": write_hub_search,
    "suite": write_suite,
    "machines": write_machine_charts,
}
"""By the name of a task."""
