"""Suites: their versions, and what one of them asks."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.documents import SequenceDocument, SuiteVersion
from nightjar.jobs.lookup import find_suite
from nightjar.jobs.reading import read_each
from nightjar.jobs.withheld import WHY_WITHHELD
from nightjar.pipeline.report.page.grid import Cell
from nightjar.pipeline.suites.catalogue import bundled
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, moment, path_to, whole_number
from nightjar.web.sheet import Link, Said, Section, Sheet, named_facts

SHOWN = 200


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
                    ("suite", "version>", "sequences>", "turns>", "licence", "imported"),
                    (_row(newest[name]) for name in sorted(newest)),
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


def _row(version: SuiteVersion) -> tuple[Cell | str, ...]:
    return (
        linked(version.name, path_to("suites", version.name), version.description[:200]),
        str(version.version),
        whole_number(len(version.sequences)),
        whole_number(sum(sequence.turns for sequence in version.sequences)),
        version.licence or "not given",
        moment(version.imported_at),
    )


async def build_suite(visit: Visit) -> Sheet:
    """One version: the newest, or NAME@VERSION."""
    suite = await find_suite(visit.path["name"], visit.site.database)
    shown = suite.sequences[:SHOWN]
    documents = await SequenceDocument.find({"_id": {"$in": [ref.document for ref in shown]}}).to_list()
    first = {document.id: document.sequence.turns[0].prompt for document in documents}
    notes = [f"Left out: {text}" for text in suite.left_out]
    notes += [WHY_WITHHELD] if any(document.sequence.withheld for document in documents) else []
    rows = [
        (
            Cell(text=ref.id, note=", ".join(ref.tags)),
            str(ref.mode),
            whole_number(ref.turns),
            first.get(ref.document, "")[:300],
        )
        for ref in shown
    ]
    facts = {
        "Version": str(suite.version),
        "Licence": suite.licence or "not given",
        "From": suite.source,
        "Imported": moment(suite.imported_at),
        "Digest": suite.id[:12],
    }
    return Sheet(
        title=suite.name,
        lead=suite.description,
        said=tuple(Said(text=note) for note in notes),
        links=(
            Link(text="A run of it", href=path_to("new", suite=suite.name)),
            Link(text="Its nights", href=path_to("trend", suite.name)),
        ),
        sections=(
            Section(id="facts", heading="The suite", facts=named_facts(facts)),
            Section(
                id="sequences",
                heading="Sequences",
                hint=f"The first {SHOWN} of {len(suite.sequences)}." if len(suite.sequences) > SHOWN else "",
                table=made_table("sequence-list", ("sequence", "mode", "turns>", "first prompt"), rows),
            ),
        ),
    )


ROUTES = (
    page("/suites", "suites_page.html", SuitesPage, build_suites),
    page("/suites/{name}", "sheet.html", Sheet, build_suite),
)
