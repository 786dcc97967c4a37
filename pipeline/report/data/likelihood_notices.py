"""What a reader must know of likelihoods: their layout, the rule of texts, merged borders. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.transcripts import JobRow, LikelihoodRow


def likelihood_notices(jobs: Sequence[JobRow]) -> tuple[Notice, ...]:
    """The notices of a run in which given texts were scored; none of another."""
    found: dict[str, list[LikelihoodRow]] = {}
    for job in jobs:
        rows = [turn.likelihoods for turn in job.turns if turn.likelihoods is not None]
        if rows:
            found.setdefault(job.contestant, []).extend(rows)
    if not found:
        return ()
    layouts = {name: {row.layout for row in rows} for name, rows in found.items()}
    rules = {name: {row.text.rule for row in rows if row.text is not None} for name, rows in found.items()}
    notices = [_layout(layouts)]
    if len(set().union(*rules.values())) > 1:
        text = f"Texts were scored by different rules, so that perplexities don't compare: {_listed(rules)}."
        notices.append(Notice(level="warning", text=text))
    return (*notices, *(notice for name, rows in found.items() if (notice := _merged(name, rows)) is not None))


def layouts_of(jobs: Sequence[JobRow], contestant: str) -> frozenset[str]:
    """How a contestant's likelihoods were computed; empty where it has none."""
    turns = (turn for job in jobs if job.contestant == contestant for turn in job.turns)
    return frozenset(turn.likelihoods.layout for turn in turns if turn.likelihoods is not None)


def _layout(layouts: Mapping[str, set[str]]) -> Notice:
    every = set().union(*layouts.values())
    if len(every) == 1:
        return Notice(level="info", text=f"Likelihoods were computed in the layout {next(iter(every))!r}.")
    text = "Likelihoods were computed in different layouts, whose sums differ by rounding"
    return Notice(level="warning", text=f"{text}: {_listed(layouts)}. Compare runs of one layout.")


def _merged(name: str, rows: Sequence[LikelihoodRow]) -> Notice | None:
    choices = [choice for row in rows for choice in row.choices]
    merged = sum(choice.merged for choice in choices)
    if not merged:
        return None
    return Notice(
        level="info",
        text=f"{name}: {merged} of {fmt.count_of(len(choices), 'choice')} share a token with the end of their context "
        "(merged); they are scored from that token on.",
    )


def _listed(each: Mapping[str, set[str]]) -> str:
    return "; ".join(f"{name}: {', '.join(sorted(values))}" for name, values in each.items() if values)
