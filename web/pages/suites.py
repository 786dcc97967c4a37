"""Suites: those that were imported, and those that come with Nightjar."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.documents import SuiteVersion
from nightjar.jobs.nights.baselines import baselines_by_suite
from nightjar.jobs.nights.documents import Baseline
from nightjar.jobs.reading import read_each
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.grid import Cell
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, moment, path_to, run_address, whole_number
from nightjar.web.sheet import Section, Sheet


@dataclass(frozen=True, kw_only=True)
class SuitesPage(Sheet):
    """The sheet, and a form for a file."""

    may_upload: bool


async def build_suites(visit: Visit) -> SuitesPage:
    """The newest version of each, and those that come with Nightjar and were not used yet."""
    newest: dict[str, SuiteVersion] = {}
    for version in await read_each(SuiteVersion, {}, visit.site.database):
        if version.name not in newest or newest[version.name].version < version.version:
            newest[version.name] = version
    baselines = await baselines_by_suite()
    unused = sorted(bundled().keys() - newest.keys())
    return SuitesPage(
        title="Suites",
        scripts=("upload.js",),
        may_upload=visit.visitor.can(Action.RUN),
        sections=(
            Section(
                id="suites-section",
                heading="Imported",
                table=made_table(
                    "suites",
                    ("suite", "version>", "sequences>", "turns>", "licence", "imported", "baseline"),
                    (_row(newest[name], baselines.get(name)) for name in sorted(newest)),
                ),
                empty="None yet. `nightjar suite import FILE` imports one; those below are imported on first use.",
            ),
            Section(
                id="bundled",
                heading="With Nightjar",
                table=made_table("bundled-suites", ("suite",), ((name,) for name in unused)),
                empty="All of them are imported.",
            ),
        ),
    )


def _row(version: SuiteVersion, baseline: Baseline | None) -> tuple[Cell | str, ...]:
    return (
        linked(version.name, path_to("suites", version.name), version.description[:200]),
        str(version.version),
        whole_number(len(version.sequences)),
        whole_number(sum(sequence.turns for sequence in version.sequences)),
        version.licence or "not given",
        moment(version.imported_at),
        ABSENT if baseline is None else linked(baseline.run_name, run_address(baseline.run_name)),
    )


ROUTES = (page("/suites", "suites_page.html", SuitesPage, build_suites),)
