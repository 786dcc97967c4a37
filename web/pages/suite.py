"""One suite: its versions and what changed between them, and each sequence with all that it asks and checks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nightjar.config.errors import UnknownNameError
from nightjar.jobs.documents import SequenceDocument, SequenceRef, SuiteVersion
from nightjar.jobs.lookup import find_suite
from nightjar.jobs.nights.baselines import baselines_by_suite, clear_baseline
from nightjar.jobs.sequences import Expectation, Sequence, TurnSpec
from nightjar.jobs.status.suite_versions import SuiteChanges, suite_changes, versions_of
from nightjar.jobs.withheld import WHY_WITHHELD
from nightjar.pipeline.report.data.numbers import ABSENT
from nightjar.pipeline.report.page.clip import clip
from nightjar.pipeline.report.page.grid import Cell, Table
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.pages.transcripts import page_number
from nightjar.web.pages.words import linked, made_table, moment, path_to, run_address, whole_number
from nightjar.web.sheet import Button, Content, Link, NamedFact, Said, Section, Sheet, named_facts

EACH = 100
"""Sequences on a page."""
CHANGES = 200
"""Changed sequences that are named."""
LONGEST = 300
"""Characters of a prompt or a check's value in a table."""


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A text that a model is given or a reply is held against, and what it is."""

    heading: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TurnAsked:
    """A turn as its suite has it."""

    title: str
    prompt: str
    facts: tuple[NamedFact, ...]
    checks: Table | None
    given: tuple[LabelledText, ...]
    """Its reference, and choices of which some are right."""


@dataclass(frozen=True, kw_only=True)
class SequencePage(Content):
    """A whole sequence. `before`: what stands before its first turn."""

    links: tuple[Link, ...]
    facts: tuple[NamedFact, ...]
    measures: Table | None
    before: tuple[LabelledText, ...]
    turns: tuple[TurnAsked, ...]


async def build_suite(visit: Visit) -> Sheet:
    """One version: the newest, or NAME@VERSION. `page` counts its sequences."""
    suite = await find_suite(visit.path["name"], visit.site.database)
    versions = await versions_of(suite.name, visit.site.database)
    changes = {newer.version: suite_changes(older, newer) for newer, older in pairwise(versions)}
    at = page_number(visit.one("page"))
    shown = suite.sequences[(at - 1) * EACH : at * EACH]
    documents = await _documents(shown)
    notes = [f"Left out: {text}" for text in suite.left_out]
    notes += [WHY_WITHHELD] if any(sequence.withheld for sequence in documents.values()) else []
    baseline = (await baselines_by_suite()).get(suite.name)
    can_clear = baseline is not None and visit.visitor.can(Action.RUN)
    clear = Button(text="Clear the baseline", path=path_to("suites", suite.name, "clear-baseline"))
    return Sheet(
        title=suite.name,
        lead=suite.description,
        said=tuple(Said(text=note) for note in notes),
        buttons=(clear,) if can_clear else (),
        links=(
            Link(text="A run of it", href=path_to("new", suite=suite.name)),
            Link(text="Its nights", href=path_to("trend", suite.name)),
            *((Link(text="Its baseline", href=run_address(baseline.run_name)),) if baseline is not None else ()),
        ),
        sections=(
            Section(id="facts", heading="The suite", facts=_facts(suite, baseline and baseline.run_name)),
            Section(id="versions", heading="Versions", table=_versions(versions, changes, suite)),
            *_changed(suite, changes.get(suite.version)),
            _sequences(suite, shown, documents, at),
        ),
    )


async def _documents(refs: Iterable[SequenceRef]) -> dict[str, Sequence]:
    found = await SequenceDocument.find({"_id": {"$in": [ref.document for ref in refs]}}).to_list()
    return {document.id: document.sequence for document in found}


def _facts(suite: SuiteVersion, baseline: str | None) -> tuple[NamedFact, ...]:
    facts = {
        "Version": str(suite.version),
        "Licence": suite.licence or "not given",
        "From": suite.source,
        "Imported": moment(suite.imported_at),
        "Digest": suite.id[:12],
        "Decided by": suite.primary_metric or ABSENT,
        "Rubric": ", ".join(_criteria(suite.rubric)) or ABSENT,
        "Variants": ", ".join(variant.name for variant in suite.variants) or ABSENT,
        "Baseline": baseline or ABSENT,
    }
    return named_facts(facts)


def _criteria(rubric: dict[str, Any] | None) -> list[str]:
    return [str(criterion.get("name", ABSENT)) for criterion in (rubric or {}).get("criteria", ())]


def _versions(versions: list[SuiteVersion], changes: dict[int, SuiteChanges], suite: SuiteVersion) -> Table | None:
    rows = (
        (
            linked(
                str(version.version),
                _address(version),
                "shown here" if version.version == suite.version else "",
            ),
            moment(version.imported_at),
            whole_number(len(version.sequences)),
            changes[version.version].words if version.version in changes else "the first that is here",
        )
        for version in versions
    )
    return made_table("suite-versions", ("version", "imported", "sequences>", "changed since the one before"), rows)


def _address(suite: SuiteVersion, *parts: str, **query: str | int | None) -> str:
    return path_to("suites", f"{suite.name}@{suite.version}", *parts, **query)


def _changed(suite: SuiteVersion, changes: SuiteChanges | None) -> tuple[Section, ...]:
    if changes is None or not changes.sequences:
        return ()
    here = {ref.id for ref in suite.sequences}
    rows = (
        (linked(name, _address(suite, "sequence", id=name)) if name in here else name, change)
        for name, change in changes.sequences[:CHANGES]
    )
    more = len(changes.sequences) - CHANGES
    return (
        Section(
            id="changed",
            heading="Changed sequences",
            hint=f"The first {CHANGES}; {more} more changed." if more > 0 else "",
            table=made_table("changed-sequences", ("sequence", "since the version before"), rows),
        ),
    )


def _sequences(suite: SuiteVersion, shown: list[SequenceRef], documents: dict[str, Sequence], at: int) -> Section:
    total = len(suite.sequences)
    rows = []
    for ref in shown:
        sequence = documents.get(ref.document)
        turns = () if sequence is None else sequence.turns
        checks = dict.fromkeys(expectation.check for turn in turns for expectation in turn.expect)
        rows.append(
            (
                linked(ref.id, _address(suite, "sequence", id=ref.id), ", ".join(ref.tags)),
                str(ref.mode),
                whole_number(ref.turns),
                Cell(
                    text=" / ".join(clip(turn.prompt, LONGEST).text for turn in turns[:3]), note=_more(len(turns) - 3)
                ),
                ", ".join(checks) or ABSENT,
            )
        )
    first = (at - 1) * EACH
    said = f"{whole_number(first + 1)} to {whole_number(first + len(shown))} of {whole_number(total)}"
    return Section(
        id="sequences",
        heading="Sequences",
        hint=f"{said if shown else f'None of {whole_number(total)}'}. Each leads to all it asks and expects.",
        table=made_table("sequence-list", ("sequence", "mode", "turns>", "prompts", "checks"), rows),
        links=tuple(
            Link(text=text, href=_address(suite, page=number))
            for text, number, there in (("Before", at - 1, at > 1), ("After", at + 1, at * EACH < total))
            if there
        ),
    )


def _more(count: int) -> str:
    return f"and {count} more" if count > 0 else ""


async def build_sequence(visit: Visit) -> SequencePage:
    """The sequence `id` of a version, whole."""
    suite, name = await find_suite(visit.path["name"], visit.site.database), visit.one("id")
    ref = next((ref for ref in suite.sequences if ref.id == name), None)
    sequence = None if ref is None else (await _documents([ref])).get(ref.document)
    if sequence is None:
        raise UnknownNameError("sequence", name, [each.id for each in suite.sequences], within=f"suite {suite.name!r}")
    facts = {
        "Mode": str(sequence.mode),
        "Tags": ", ".join(sequence.tags) or ABSENT,
        "Parameters": _values(sequence.parameters),
        "Averages": ", ".join(f"{average}: {part}" for average, part in sequence.averages.items()) or ABSENT,
    }
    system = [LabelledText(heading="System", text=sequence.system)] if sequence.system else []
    said = [LabelledText(heading=str(each.role).capitalize(), text=each.text) for each in sequence.messages]
    documents = [LabelledText(heading=f"Document {each.name}", text=each.text) for each in sequence.documents]
    return SequencePage(
        title=f"{sequence.id} of {suite.name}",
        links=(Link(text=f"{suite.name}, version {suite.version}", href=_address(suite)),),
        facts=named_facts(facts),
        measures=_check_table("measures", sequence.measures),
        before=(*system, *said, *documents),
        turns=tuple(_turn(number, turn) for number, turn in enumerate(sequence.turns, start=1)),
    )


def _turn(number: int, turn: TurnSpec) -> TurnAsked:
    given = [LabelledText(heading="Reference", text=turn.reference)] if turn.reference is not None else []
    if turn.choices is not None:
        right = turn.choices.right
        given += [
            LabelledText(heading=f"Choice {at + 1}{', right' if at in right else ''}", text=turn.choices.shown(at))
            for at in range(len(turn.choices.texts))
        ]
    facts = {"Parameters": _values(turn.parameters)} if turn.parameters else {}
    facts |= {"May repeat": "the reply before it"} if turn.may_repeat else {}
    return TurnAsked(
        title=f"Turn {number}" + (f": {turn.name}" if turn.name else ""),
        prompt=turn.prompt,
        facts=named_facts(facts),
        checks=_check_table(f"checks-{number}", turn.expect),
        given=tuple(given),
    )


def _check_table(name: str, expectations: Iterable[Expectation]) -> Table | None:
    rows = ((each.check, json.dumps(each.value, ensure_ascii=False)) for each in expectations)
    return made_table(name, ("check", "expected"), rows)


def _values(parameters: dict[str, Any]) -> str:
    said = (f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in parameters.items())
    return ", ".join(said) or ABSENT


async def _clear(visit: Visit) -> Done:
    name = visit.path["name"]
    await clear_baseline(name, visit.site.database)
    return Done(said=f"{name} has no baseline any more; the run stays.")


ROUTES = (
    page("/suites/{name}", "sheet.html", Sheet, build_suite),
    page("/suites/{name}/sequence", "sequence_page.html", SequencePage, build_sequence),
    post_action("/suites/{name}/clear-baseline", Action.RUN, _clear),
)
