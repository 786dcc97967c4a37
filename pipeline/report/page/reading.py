"""What is worth reading first, as the page shows it: a prompt with all models' replies; best, worst, longest. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set

from markupsafe import Markup, escape

from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.extremes import Extreme
from nightjar.pipeline.report.data.links import job_anchor
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.safe import visible
from nightjar.pipeline.report.data.side_by_side import side_by_side
from nightjar.pipeline.report.page.clip import clip
from nightjar.pipeline.report.page.page import ExtremeView, ModelLabel, ReplyView, SideBySideView

START = 180
"""How many characters of a reply worth reading are shown."""
REPLY_CHARS = 2_400
"""How many of a reply beside those of others."""


def side_by_side_view(report: RunReport, labels: Sequence[ModelLabel], shown: Set[str]) -> SideBySideView | None:
    """The prompt on which the models differ most; None where there is nothing to compare."""
    found = side_by_side(report)
    if found is None:
        return None
    by_name = {label.name: label for label in labels}
    return SideBySideView(
        sequence=found.sequence,
        turn=found.turn + 1,
        prompt=_cut(found.prompt),
        replies=tuple(
            ReplyView(
                model=by_name[reply.job.contestant],
                link=job_anchor(reply.job.id) if reply.job.id in shown else None,
                value=_value(report, reply.value),
                mark=found.mark(reply),
                text=reply.turn.failure or _cut(reply.turn.reply),
            )
            for reply in found.replies
        ),
    )


def by_headline(report: RunReport, extremes: Sequence[Extreme], shown: Set[str]) -> tuple[ExtremeView, ...]:
    """Replies with their value by the headline metric."""
    return tuple(_extreme(report, extreme, _value(report, extreme.value), shown) for extreme in extremes)


def by_length(report: RunReport, extremes: Sequence[Extreme], shown: Set[str]) -> tuple[ExtremeView, ...]:
    """Replies with their tokens."""
    return tuple(
        _extreme(report, extreme, fmt.count_of(extreme.turn.reply_tokens, "token"), shown) for extreme in extremes
    )


def with_code(text: str) -> Markup:
    """A sentence whose commands stand between backticks."""
    parts = [escape(visible(part)) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _extreme(report: RunReport, extreme: Extreme, value: str, shown: Set[str]) -> ExtremeView:
    job, turn = extreme.job, extreme.turn
    repeat = f", repeat {job.repeat + 1}" if report.provenance.repeats > 1 else ""
    more = "\u2026" if not turn.failure and len(turn.reply) > START else ""
    return ExtremeView(
        link=job_anchor(job.id) if job.id in shown else None,
        model=job.contestant,
        where=f"{job.sequence}, turn {turn.index + 1}{repeat}",
        value=value,
        start=(turn.failure or turn.reply[:START]) + more,
    )


def _value(report: RunReport, value: float | None) -> str:
    return fmt.metric_value(value, report.scales[report.headline]) if report.headline is not None else ""


def _cut(text: str) -> str:
    clipped = clip(text, REPLY_CHARS)
    return clipped.text + ("\u2026" if clipped.left else "")
