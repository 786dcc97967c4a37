"""The native suite format: a validated file -> the suite's content. Pure: the documents' texts are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import regex
from pydantic import ValidationError

from nightjar.config.errors import suggest
from nightjar.jobs.parameters import merged
from nightjar.jobs.placeholders import Row, fill_text, written
from nightjar.jobs.sequences import PLAIN, Choices, Document, Expectation, FixedMessage, Mode, Sequence, TurnSpec
from nightjar.jobs.variants import Variant, varied
from nightjar.jobs.withheld import withheld_problem
from nightjar.pipeline.scoring.checks import CHECKS
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.suites import variables
from nightjar.pipeline.suites.averages import average_parts, average_problems
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.few_shot import Example, draw_examples, put_before
from nightjar.pipeline.suites.given_texts import (
    GivenTextError,
    given_choices,
    metric_problem,
    mode_of,
    right_text,
    sequence_problems,
    usual_delimiter,
)
from nightjar.pipeline.suites.given_tools import tools_problem
from nightjar.pipeline.suites.located import Located, Path, field_errors
from nightjar.pipeline.suites.native_file import (
    OWN_POOL,
    ROW_PATTERN,
    DocumentPart,
    ExamplesPart,
    SequencePart,
    SuitePart,
    TurnPart,
)
from nightjar.pipeline.suites.right_words import right_check
from nightjar.pipeline.suites.variables import names_in_variant

MAX_SEQUENCES = 50_000
ReadText = Callable[[str], str]
"""Reads a document's file, by the name that the suite file gives. Raises ValueError with the reason."""


def read_native(source: Located, name: str, read_text: ReadText) -> SuiteContent:
    """The content of a `nightjar: 1` file; `name` is used if the file has none. Raises SuiteError."""
    suite, kept = _structure(source)
    shared = {part.name: _document(source, ("documents", i), part, read_text) for i, part in enumerate(suite.documents)}
    if len(shared) < len(suite.documents):
        raise source.error(("documents",), "two documents have one name.")
    variants = tuple(part.variant for part in suite.variants)
    if len({variant.name for variant in variants}) < len(variants):
        raise source.error(("variants",), "two variants have one name.")
    builder = _Builder(source=source, suite=suite, variants=variants, shared=shared, read_text=read_text)
    with source.gathered.part():
        builder.check_pools()
    sequences: dict[str, Sequence] = {}
    for index, part in zip(kept, suite.sequences, strict=True):
        with source.gathered.part():
            for sequence in builder.sequences(part, ("sequences", index)):
                if sequence.id in sequences:
                    raise source.error(("sequences", index, "id"), f"two sequences have the id {sequence.id!r}.")
                sequences[sequence.id] = sequence
                if len(sequences) > MAX_SEQUENCES:
                    raise source.error(("sequences", index), f"more than {MAX_SEQUENCES} sequences; split the suite.")
    source.gathered.check()
    problem = metric_problem(suite.primary_metric, list(sequences.values()))
    if problem is not None:
        raise source.error(("primary_metric",), problem)
    builder.check_shared(list(sequences.values()))
    for path, problem in average_problems(suite, list(sequences.values())):
        source.gathered.errors.append(source.error(path, problem))
    source.gathered.check()
    return SuiteContent(
        name=suite.name or name,
        description=suite.description.strip(),
        licence=suite.licence,
        tags=tuple(suite.tags),
        sequences=tuple(sequences.values()),
        rubric=suite.rubric,
        primary_metric=suite.primary_metric,
        variants=variants,
    )


def _structure(source: Located) -> tuple[SuitePart, list[int]]:
    """The suite's fields, and which of its sequences have the right ones; the errors of the others are gathered.

    Raises SuiteError where there is no such sequence, or something is wrong outside of them.
    """
    try:
        suite = SuitePart.model_validate(source.data)
    except ValidationError as error:
        problems = field_errors(error, SuitePart)
    else:
        return suite, list(range(len(suite.sequences)))
    source.gathered.errors += [source.error(path, text) for path, text in problems]
    wrong = {path[:2] for path, _ in problems}
    items = source.data.get("sequences") if isinstance(source.data, dict) else None
    kept = [i for i in range(len(items)) if ("sequences", i) not in wrong] if isinstance(items, list) else []
    if not kept or any(len(path) < 2 or path[0] != "sequences" for path in wrong):
        source.gathered.check()
    assert isinstance(items, list), "else nothing is kept"
    return SuitePart.model_validate({**source.data, "sequences": [items[index] for index in kept]}), kept


@dataclass(frozen=True, kw_only=True)
class _Builder:
    source: Located
    suite: SuitePart
    variants: tuple[Variant, ...]
    shared: dict[str, Document]
    read_text: ReadText

    def sequences(self, part: SequencePart, path: Path) -> Iterator[Sequence]:
        """One sequence per distinct row of the values that it uses; a single one if it uses none."""
        system = part.system if "system" in part.model_fields_set else self.suite.system
        used = self._names(part, system)
        rows, rows_path = part.variables, (*path, "variables")
        if rows is None and self.suite.variables and used & set().union(*self.suite.variables):
            rows, rows_path = self.suite.variables, ("variables",)
        if rows is None:
            self._check_names(part, system, path, set())
            yield self._sequence(part, system, {}, part.id, path)
            return
        if part.variables is not None:
            self._check_used(part.variables, used, rows_path)
        seen: list[dict[str, Any]] = []
        for index, row in enumerate(rows):
            self._check_names(part, system, path, set(row))
            values = {name: row[name] for name in used & row.keys()}
            if values not in seen:
                seen.append(values)
                yield self._sequence(part, system, values, self._row_id(part, row, (*rows_path, index), index), path)

    def check_shared(self, sequences: list[Sequence]) -> None:
        """Raises SuiteError unless every document and variable of the suite is used by some sequence."""
        taken = {document.name for sequence in sequences for document in sequence.documents}
        for index, part in enumerate(self.suite.documents):
            with self.source.gathered.part():
                if part.name not in taken:
                    raise self.source.error(("documents", index), f"no sequence uses the document {part.name!r}.")
        if self.suite.variables:
            own = [part for part in self.suite.sequences if part.variables is None]
            used = set().union(*(self._names(part, self._system(part)) for part in own))
            self._check_used(self.suite.variables, used, ("variables",))

    def _system(self, part: SequencePart) -> str | None:
        return part.system if "system" in part.model_fields_set else self.suite.system

    def _names(self, part: SequencePart, system: str | None) -> set[str]:
        said = [message.text for message in self._fixed(part)]
        return variables.names_in([system or "", *said, *(_texts(turn) for turn in part.turns)]) | self._varied_names()

    def _fixed(self, part: SequencePart) -> list[FixedMessage]:
        """The messages before its first prompt: its own, or the suite's."""
        return self.suite.messages if part.messages is None else part.messages

    def _varied_names(self) -> set[str]:
        """The variables that variants name."""
        return set().union(*(names_in_variant(variant) for variant in self.variants))

    def _check_names(self, part: SequencePart, system: str | None, path: Path, known: set[str]) -> None:
        places = [((*path, "turns", i), variables.names_in(_texts(turn))) for i, turn in enumerate(part.turns)]
        places += [
            (("variants", i), names_in_variant(variant) - part.values.keys()) for i, variant in enumerate(self.variants)
        ]
        system_path: Path = (*path, "system") if part.system is not None else ("system",)
        messages_path: Path = (*path, "messages") if part.messages is not None else ("messages",)
        said = variables.names_in([message.text for message in self._fixed(part)])
        for place, names in [(system_path, variables.names_in(system or "")), (messages_path, said), *places]:
            if unknown := sorted(names - known):
                raise self.source.error(
                    place,
                    f"{{{{{unknown[0]}}}}} names no variable of sequence {part.id!r}. Give it in `variables`, or write "
                    f"\\{{{{{unknown[0]}}}}} where the braces are meant as text.",
                )

    def _check_used(self, rows: list[dict[str, Any]], used: set[str], path: Path) -> None:
        for index, row in enumerate(rows):
            for name in row:
                if name not in used and name != "id":
                    raise self.source.error((*path, index, name), f"no prompt uses the variable {name!r}.")

    def _row_id(self, part: SequencePart, row: Row, path: Path, index: int) -> str:
        label = written(row["id"]) if "id" in row else str(index + 1)
        if not regex.fullmatch(ROW_PATTERN, label):
            raise self.source.error(
                (*path, "id"), "a row's id is up to 60 letters, digits and spaces; no bracket, : or /."
            )
        return f"{part.id}[{label}]"

    def check_pools(self) -> None:
        """Raises SuiteError for a pool with the name of the suite's own questions."""
        if OWN_POOL in self.suite.pools:
            raise self.source.error(
                ("pools", OWN_POOL), "this name stands for the suite's own questions; take another."
            )

    def _sequence(self, part: SequencePart, system: str | None, row: Row, name: str, path: Path) -> Sequence:
        mode, delimiter = mode_of(part, self.suite), usual_delimiter(part, self.suite)
        turns = tuple(self._turns(part, row, path, mode, delimiter))
        if len(turns) < len(part.turns):  # its errors are gathered, and said once
            raise self.source.gathered.errors[-1]
        values = {**part.values, **row}
        rule = part.perplexity or self.suite.perplexity
        text_rule = rule.rule if rule is not None and mode is Mode.PERPLEXITY else None
        for field, problem in sequence_problems(part, turns, mode, system, text_rule, self.variants):
            raise self.source.error((*path, field), problem)
        before, messages = self._with_examples(part, system, row, name, turns, path, mode, delimiter)
        sequence = Sequence(
            id=name,
            turns=turns,
            mode=mode,
            system=before,
            tags=tuple(dict.fromkeys(part.tags)),
            documents=self._documents(part, turns, path),
            parameters=merged(self.suite.parameters, part.parameters),
            measures=self._measures(part, path),
            values={name: written(values[name]) for name in sorted(self._varied_names())},
            messages=messages,
            text_rule=text_rule,
            averages=self._averages(part, path),
            tools=tuple(self.suite.tools if part.tools is None else part.tools),
            withheld=self.suite.withheld,
        )
        if (misplaced := tools_problem(sequence.tools, mode, scored=sequence.scored)) is not None:
            raise self.source.error((*path, "tools"), misplaced)
        if sequence.withheld and (reason := withheld_problem(sequence)) is not None:
            raise self.source.error(("withheld",), reason)
        for index, variant in enumerate(self.variants):
            if any(not turn.prompt.strip() for turn in varied(sequence, variant).turns):
                raise self.source.error(("variants", index, "prompt"), f"it makes an empty prompt of {name!r}.")
        return sequence

    def _with_examples(
        self,
        part: SequencePart,
        system: str | None,
        row: Row,
        name: str,
        turns: tuple[TurnSpec, ...],
        path: Path,
        mode: Mode,
        delimiter: str | None,
    ) -> tuple[str | None, tuple[FixedMessage, ...]]:
        """The system text and the fixed messages, with the examples that the file asks for."""
        text, messages = None if system is None else fill_text(system, row), self._messages(part, row, path)
        own = "examples" in part.model_fields_set
        asked, place = (part.examples, (*path, "examples")) if own else (self.suite.examples, ("examples",))
        if asked is None:
            return text, messages
        if mode is Mode.PERPLEXITY:
            raise self.source.error(place, "in perplexity mode nothing stands before a text.")
        try:
            examples = self._examples(asked, name, {turn.prompt.strip() for turn in turns})
        except ValueError as error:
            raise self.source.error(place, f"for sequence {name!r}, {error}") from None
        between = delimiter if delimiter is not None else " " if mode in PLAIN else ""
        return put_before(
            examples, mode=mode, system=text, messages=messages, delimiter=between, separator=asked.separator
        )

    def _examples(self, asked: ExamplesPart, name: str, questions: set[str]) -> list[Example]:
        if asked.pool is None:
            return [Example(prompt=one.prompt, answer=one.answer) for one in asked.fixed or ()]
        if asked.pool != OWN_POOL and asked.pool not in self.suite.pools:
            raise ValueError(f"there is no pool {asked.pool!r}. {suggest(asked.pool, [*self.suite.pools, OWN_POOL])}")
        pool = self._own_pool if asked.pool == OWN_POOL else self.suite.pools[asked.pool]
        listed = [Example(prompt=one.prompt, answer=one.answer) for one in pool]
        count = asked.count or 0
        return draw_examples(listed, count, first=asked.first, seed=asked.seed, sequence=name, asked=questions)

    @cached_property
    def _own_pool(self) -> list[Example]:
        """The suite's own questions with their first right answers; those that variables fill are no examples."""
        return [
            Example(prompt=turn.prompt, answer=answer)
            for part in self.suite.sequences
            if part.variables is None
            for turn in part.turns
            if (answer := right_text(turn)) is not None and not variables.names_in(_texts(turn))
        ]

    def _messages(self, part: SequencePart, row: Row, path: Path) -> tuple[FixedMessage, ...]:
        place: Path = ("messages",) if part.messages is None else (*path, "messages")
        fixed = self._fixed(part)
        if fixed and mode_of(part, self.suite) in PLAIN:
            raise self.source.error(place, "a completion has no messages; write examples into `system` or `prompt`.")
        if any(variables.documents_in(message.text) for message in fixed):
            raise self.source.error(place, "a document can stand in a prompt only, not in a fixed message.")
        return tuple(message.model_copy(update={"text": fill_text(message.text, row)}) for message in fixed)

    def _averages(self, part: SequencePart, path: Path) -> dict[str, str]:
        try:
            return {**average_parts(part.tags, self.suite.averages), **part.averages}
        except ValueError as error:
            raise self.source.error((*path, "tags"), str(error)) from None

    def _measures(self, part: SequencePart, path: Path) -> tuple[Expectation, ...]:
        given, place = (self.suite.measures, ()) if part.measures is None else (part.measures, path)
        names = [measure.check for measure in given]
        if len(set(names)) < len(names):
            raise self.source.error((*place, "measures"), "a measure is asked for twice.")
        return tuple(given)

    def _turns(self, part: SequencePart, row: Row, path: Path, mode: Mode, delimiter: str | None) -> Iterator[TurnSpec]:
        for index, turn in enumerate(part.turns):
            with self.source.gathered.part():
                yield self._turn(turn, row, (*path, "turns", index), mode, delimiter)

    def _expectations(self, part: TurnPart, row: Row, path: Path) -> Iterator[Expectation]:
        for index, expectation in enumerate(part.expect):
            with self.source.gathered.part():
                yield self._expectation(expectation, row, (*path, "expect", index))

    def _turn(self, part: TurnPart, row: Row, path: Path, mode: Mode, delimiter: str | None) -> TurnSpec:
        expect = tuple(self._expectations(part, row, path))
        prompt = fill_text(part.prompt, row)
        if not prompt.strip():
            raise self.source.error((*path, "prompt"), "the text is empty once the variables are put in.")
        return TurnSpec(
            prompt=prompt,
            name=part.name,
            expect=expect,
            reference=None if part.reference is None else fill_text(part.reference, row),
            parameters=part.parameters,
            may_repeat=part.may_repeat,
            choices=self._choices(part, row, path, mode, delimiter),
        )

    def _choices(self, part: TurnPart, row: Row, path: Path, mode: Mode, delimiter: str | None) -> Choices | None:
        try:
            return given_choices(part, row, mode, delimiter)
        except GivenTextError as error:
            raise self.source.error((*path, error.field), str(error)) from None

    def _expectation(self, expectation: Expectation, row: Row, path: Path) -> Expectation:
        value = variables.fill(expectation.value, row)
        try:
            validate_check(expectation.check, value)
        except ValueError as error:
            advice = "" if expectation.check in CHECKS else right_check(expectation.check)
            message = f"There is no check {expectation.check!r}. {advice}" if advice else str(error)
            raise self.source.error((*path, expectation.check), message) from None
        return Expectation(check=expectation.check, value=value)

    def _documents(self, part: SequencePart, turns: tuple[TurnSpec, ...], path: Path) -> tuple[Document, ...]:
        given: dict[str, Document] = {}
        for index, item in enumerate(part.documents):
            here = (*path, "documents", index)
            if item.name in given:
                raise self.source.error(here, f"two documents have the name {item.name!r}.")
            given[item.name] = self._given(item, here)
        prompts: list[tuple[Path, str]] = [((*path, "turns", i), turn.prompt) for i, turn in enumerate(turns)]
        prompts += [(("variants", i), variant.prompt or "") for i, variant in enumerate(self.variants)]
        for place, prompt in prompts:
            for name in sorted(variables.documents_in(prompt)):
                if name not in given and name not in self.shared:
                    raise self.source.error(place, f"there is no document {name!r}.")
                given.setdefault(name, self.shared.get(name) or given[name])
        return tuple(given.values())

    def _given(self, item: DocumentPart, path: Path) -> Document:
        if item.text is not None or item.file is not None:
            return _document(self.source, path, item, self.read_text)
        if item.name not in self.shared:
            raise self.source.error(path, f"the suite has no document {item.name!r}; give its `text` or `file`.")
        return self.shared[item.name]


def _texts(turn: TurnPart) -> list[Any]:
    given = [turn.choices or [], turn.contexts or [], turn.continuation or "", turn.answer]
    return [turn.prompt, turn.reference or "", *given, *(expectation.value for expectation in turn.expect)]


def _document(source: Located, path: Path, part: DocumentPart, read_text: ReadText) -> Document:
    if part.text is not None:
        return Document(name=part.name, text=part.text)
    if part.file is None:
        raise source.error(path, f"the document {part.name!r} has neither `text` nor `file`.")
    try:
        return Document(name=part.name, text=read_text(part.file))
    except ValueError as error:
        raise source.error((*path, "file"), str(error)) from None
