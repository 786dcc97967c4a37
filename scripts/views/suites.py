"""Suites, as the terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.config.counting import how_many
from nightjar.config.errors import UnknownNameError
from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightjar.jobs.documents import SuiteVersion
    from nightjar.jobs.variants import Variant
    from nightjar.pipeline.suites.content import SuiteContent


def show_sequence(content: SuiteContent, name: str) -> None:
    sequence = next((s for s in content.sequences if s.id == name), None)
    if sequence is None:
        raise UnknownNameError("sequence", name, [s.id for s in content.sequences])
    tags = ", ".join(sequence.tags) or "none"
    print(plain(f"{sequence.id}  mode {sequence.mode}  tags: {tags}  {sequence.parameters or ''}"))
    if sequence.system:
        print(plain(f"\n[system]\n{sequence.system}"))
    for message in sequence.messages:
        print(plain(f"\n[{message.role}, fixed]\n{message.text}"))
    for index, turn in enumerate(sequence.turns, start=1):
        print(plain(f"\n[turn {index}{': ' + turn.name if turn.name else ''}]\n{sequence.prompt_text(index - 1)}"))
        if turn.choices is not None:
            for at in range(len(turn.choices.texts)):
                print(plain(f"  {'*' if at in turn.choices.right else '-'} {turn.choices.shown(at)}"))
        for expectation in turn.expect:
            print(plain(f"  expects {expectation.check}: {expectation.value}"))
        if turn.reference:
            print(plain(f"  reference: {turn.reference}"))


def averages_words(content: SuiteContent) -> str:
    """Which averages over parts a suite has, and over how many; "" without any."""
    parts: dict[str, set[str]] = {}
    for sequence in content.sequences:
        for name, part in sequence.averages.items():
            parts.setdefault(name, set()).add(part)
    listed = (
        f"{name} over {how_many(len(inside), 'part')}" if len(inside) > 1 else name for name, inside in parts.items()
    )
    return f"Averages: {', '.join(listed)}." if parts else ""


def variant_rows(content: SuiteContent) -> list[list[str]]:
    def shown(text: str | None) -> str:
        return "as in the suite" if text is None else first_line(text) or "none"

    return [
        [v.name, shown(v.system), shown(v.prompt), ", ".join(f"{key}={value}" for key, value in v.parameters.items())]
        for v in content.variants
    ]


def variants_named(variants: Sequence[Variant]) -> str:
    return f", {how_many(len(variants), 'variant')}" if variants else ""


def suite_summary(version: SuiteVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "name": version.name,
        "version": version.version,
        "sequences": len(version.sequences),
        "turns": sum(s.turns for s in version.sequences),
        "variants": [variant.name for variant in version.variants],
        "tags": version.tags,
        "source": version.source,
        "imported_at": version.imported_at,
    }


def suite_size(version: SuiteVersion) -> str:
    turns = how_many(sum(s.turns for s in version.sequences), "turn")
    return f"{how_many(len(version.sequences), 'sequence')}, {turns}{variants_named(version.variants)}"


def import_day(version: SuiteVersion) -> str:
    return f"{version.imported_at.astimezone():%Y-%m-%d %H:%M}"


def first_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
