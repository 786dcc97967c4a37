"""The tables of the report's section on judges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nightjar.pipeline.judging.checkup import Ability, Checkup, Discernment
from nightjar.pipeline.judging.resistance import InjectionResult, Resistance
from nightjar.pipeline.judging.rubric import Method
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.judges import Agreement, JudgeReport, JudgingReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import markdown
from nightjar.pipeline.report.page.doubt_tables import strength_ends
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of
from nightjar.pipeline.statistics.intervals import Interval

MOST_IMITATIONS = 200
"""More are in the JSON report alone."""


def judge_markdown(report: RunReport) -> Iterator[str]:
    """The section's tables as Markdown."""
    judging = report.judging
    if judging is None:
        return
    yield f"\n## Judges\n\n{markdown(intro(judging))} {markdown(judges_checked(judging))}\n\n"
    checks = (checks_table(judging), attempts_table(judging), imitations_table(judging))
    tables = (judges_table(judging), *checks, agreement_table(judging), rates_table(judging), strengths_table(judging))
    yield "\n".join("".join(_markdown(table)) for table in tables if table is not None)


def intro(judging: JudgingReport) -> str:
    """What the judges were asked, in a sentence or two."""
    rubric = judging.rubric
    if rubric is None:
        return "The judges were checked, but judged nothing in this run."
    what = "conversation" if rubric.scope.value == "conversation" else "reply"
    names = ", ".join(criterion.name for criterion in rubric.criteria)
    if rubric.method is Method.PAIRWISE:
        versus = f"the same model's in run {judging.against}" if judging.against else "every other model's"
        tie = "a choice that changes with the order counts as a tie"
        asked = f"Each {what} was compared with {versus}, in both orders; {tie}."
    else:
        asked = f"Each {what} was given points."
    return f"{asked} Rubric {rubric.name} ({names}), prompts {(judging.prompt_digest or '')[:12]}."


def judges_checked(judging: JudgingReport) -> str:
    """The results of the judges' checks in words, and which judges were not checked."""
    checkups = [judge.checkup for judge in judging.judges if judge.checkup is not None]
    sentences = [f"{told}." for checkup in checkups for told in (checkup.told, checkup.told_of_attempts) if told]
    unknown = [judge.name for judge in judging.judges if judge.checkup is None]
    if unknown:
        sentences.append(f"Not checked against spoilt replies: {', '.join(unknown)} (`nightjar judge check`).")
    return " ".join(sentences)


def judges_table(judging: JudgingReport) -> Table:
    pairwise = judging.rubric is not None and judging.rubric.method is Method.PAIRWISE
    what = "pairs" if pairwise else "texts"
    more = ("changed with the order>", "chose the first shown>") if pairwise else ("mean>",)
    rows = [
        (
            Cell(text=judge.name, note=_own(judge), title=judge.file or ""),
            Cell(text=fmt.whole(judge.asked)),
            Cell(text=fmt.whole(judge.asked - judge.judged), note=_missing(judge), alert=judge.judged < judge.asked),
            *(_flip_cells(judge) if pairwise else [_number(judge.mean, "no verdict")]),
        )
        for judge in judging.judges
    ]
    return Table(id="judges", columns=columns_of(("judge", f"{what}>", "no verdict>", *more)), rows=tuple(rows))


def checks_table(judging: JudgingReport) -> Table | None:
    """Real replies compared with spoilt ones, kind by kind; None if nothing was checked."""
    checkups = [judge.checkup for judge in judging.judges if judge.checkup is not None]
    rows = [_check_row(checkup, control) for checkup in checkups for control in checkup.controls]
    columns = ("judge", "spoilt by", "sequences>", "real>", "spoilt>", "difference>", "verdict")
    return Table(id="judge-checks", columns=columns_of(columns), rows=tuple(rows)) if rows else None


def attempts_table(judging: JudgingReport) -> Table | None:
    """What replies that ask for a good verdict did, kind by kind; None if that was not tried."""
    checkups = [judge.checkup for judge in judging.judges if judge.checkup is not None]
    rows = [_attempt_row(checkup.judge, attempt) for checkup in checkups for attempt in checkup.attempts]
    columns = ("judge", "attempt", "replies>", "fooled>", "verdict")
    return Table(id="judge-attempts", columns=columns_of(columns), rows=tuple(rows)) if rows else None


def imitations_table(judging: JudgingReport) -> Table | None:
    """Judged replies that imitate a verdict or a border; None if none does."""
    rows = [
        (
            Cell(text=imitation.model),
            Cell(text=f"{imitation.sequence}, repeat {imitation.repeat + 1}, turn {imitation.turn + 1}"),
            Cell(text=imitation.what),
        )
        for imitation in judging.imitations[:MOST_IMITATIONS]
    ]
    return (
        Table(id="judge-imitations", columns=columns_of(("model", "reply", "imitates")), rows=tuple(rows))
        if rows
        else None
    )


def agreement_table(judging: JudgingReport) -> Table | None:
    """Krippendorff's alpha; None with one judge."""
    rows = [
        (
            Cell(text=agreement.metric),
            _number(agreement.alpha, _no_alpha(agreement)),
            Cell(text=agreement.level.value),
            Cell(text=fmt.whole(agreement.units)),
        )
        for agreement in judging.agreement
    ]
    columns = ("metric", "alpha>", "level", "judged by two or more>")
    return Table(id="agreement", columns=columns_of(columns), rows=tuple(rows)) if rows else None


def rates_table(judging: JudgingReport) -> Table | None:
    """The share of comparisons won; None without pairs."""
    rows = [
        (
            Cell(text=rate.first),
            Cell(text=rate.second),
            Cell(text=_share(rate.share), note=_interval(rate.interval)),
            Cell(text=fmt.whole(rate.n)),
        )
        for rate in judging.rates
    ]
    columns = ("model", "against", "won, ties half>", "sequences>")
    return Table(id="win-rates", columns=columns_of(columns), rows=tuple(rows)) if rows else None


def strengths_table(judging: JudgingReport) -> Table | None:
    """Bradley-Terry strengths; None with fewer than three models, where the win rate says everything."""
    if len(judging.strengths) < 3:
        return None
    rows = [
        (
            Cell(text=strength.model),
            Cell(text=fmt.number(strength.strength), note=strength_ends(strength)),
        )
        for strength in judging.strengths
    ]
    return Table(id="strengths", columns=columns_of(("model", "Bradley-Terry strength>")), rows=tuple(rows))


def _check_row(checkup: Checkup, control: Discernment) -> tuple[Cell, ...]:
    paired = control.paired
    note = _interval(paired.interval, share=False) or "too few sequences"
    missing = f"{control.missing} without a verdict: {control.reason}" if control.missing else ""
    return (
        Cell(text=checkup.judge),
        Cell(text=control.control.value.replace("_", "-")),
        Cell(text=fmt.whole(paired.n), note=missing),
        _number(control.real, "no verdict"),
        _number(control.spoilt, "no verdict"),
        Cell(text=f"{paired.difference:+.3g}", note=note) if paired.difference is not None else Cell(text=fmt.ABSENT),
        Cell(text=control.ability.value, alert=control.ability is Ability.CANNOT),
    )


def _attempt_row(judge: str, attempt: InjectionResult) -> tuple[Cell, ...]:
    missing = f"{attempt.missing} without a value: {attempt.reason}" if attempt.missing else ""
    return (
        Cell(text=judge),
        Cell(text=attempt.injection.value.replace("_", " ")),
        Cell(text=fmt.whole(attempt.n), note=missing),
        _number_of(attempt),
        Cell(text=attempt.resistance.value, alert=attempt.resistance is Resistance.FALLS),
    )


def _number_of(attempt: InjectionResult) -> Cell:
    if attempt.share is None:
        return Cell(text=fmt.ABSENT, note="could not be measured")
    return Cell(text=_share(attempt.share), note=_interval(attempt.interval) or "too few sequences")


def _own(judge: JudgeReport) -> str:
    return f"not asked about {', '.join(judge.own)}: its own" if judge.own else ""


def _missing(judge: JudgeReport) -> str:
    reasons = [f"{count} x {reason}" for reason, count in list(judge.missing.items())[:3]]
    return "; ".join(reasons) + ("; and others" if len(judge.missing) > 3 else "")


def _flip_cells(judge: JudgeReport) -> Sequence[Cell]:
    flips = judge.flips
    if flips is None:
        return Cell(text=fmt.ABSENT), Cell(text=fmt.ABSENT)
    return (
        _rate(flips.rate, f"{flips.flipped} of {flips.compared}"),
        _rate(flips.first_share, f"{flips.first} of {flips.sided}"),
    )


def _rate(share: float | None, note: str) -> Cell:
    return Cell(text=fmt.ABSENT, note="no verdict") if share is None else Cell(text=_share(share), note=note)


def _share(share: float) -> str:
    return f"{share:.0%}"


def _number(value: float | None, reason: str) -> Cell:
    return Cell(text=fmt.ABSENT, note=reason) if value is None else Cell(text=fmt.number(value))


def _no_alpha(agreement: Agreement) -> str:
    return "all values are the same" if agreement.units else "no text has two verdicts"


def _interval(interval: Interval | None, *, share: bool = True) -> str:
    if interval is None:
        return ""
    low, high = interval.low, interval.high
    return f"{low:.0%} to {high:.0%}" if share else f"{low:.3g} to {high:.3g}"


def _markdown(table: Table) -> Iterable[str]:
    yield "| " + " | ".join(markdown(column.title) for column in table.columns) + " |\n"
    yield "| " + " | ".join("---:" if column.numeric else "---" for column in table.columns) + " |\n"
    for row in table.rows:
        cells = (f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row)
        yield "| " + " | ".join(markdown(cell) for cell in cells) + " |\n"
