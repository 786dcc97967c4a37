"""Numbers formatted for people: few digits, units, and a dash for a missing value. Pure."""

from __future__ import annotations

from nightjar.config.counting import plural
from nightjar.pipeline.report.data.metric import Metric
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.statistics.intervals import Interval

ABSENT = "\u2013"
TO = "\u2060\u2013\u2060"
"""Joins the ends of an interval: a dash at which no line breaks."""
PER_CONVERSATION = "tokens/s per conversation"
"""How fast one conversation decodes, whatever runs beside it."""
IN_TOTAL = "tokens/s in total"
"""How fast all conversations of a machine decode together."""


def number(value: float | None, digits: int = 3) -> str:
    """About three significant digits; thousands set off by a narrow no-break space."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0"
    size = abs(float(f"{value:.3g}"))
    places = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else digits
    return f"{value:,.{places}f}".replace(",", "\u202f")


def whole(value: int | None) -> str:
    return ABSENT if value is None else f"{value:,}".replace(",", "\u202f")


def count_of(number: int, noun: str) -> str:
    """A number of things: 1 sequence, 2 sequences, 3 empty replies."""
    return f"{whole(number)} {plural(number, noun)}"


def percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value * 100:.0f}\u202f%"


def seconds(value: float | None) -> str:
    """12 ms, 1.24 s, 3 min 05 s."""
    if value is None:
        return ABSENT
    if value < 0.9995:
        return f"{value * 1000:.0f}\u202fms" if value >= 0.001 or value == 0 else "<1\u202fms"
    if value < 90:
        return f"{number(value)}\u202fs"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u202fh\u202f{minutes:02d}\u202fmin" if hours else f"{minutes}\u202fmin\u202f{rest:02d}\u202fs"


def signed(value: float) -> str:
    """Two decimals, always with a sign."""
    return f"{value:+.2f}".replace("-", "\u2212")


def p_value(value: float) -> str:
    """Two significant digits; no p is shown smaller than 0.0001."""
    return "<0.0001" if value < 0.0001 else f"{value:.2g}" if value < 0.995 else "1"


def size(value: int | None) -> str:
    """A number of bytes with its unit, in powers of 1024."""
    if value is None:
        return ABSENT
    amount, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{number(amount)}\u202f{unit}" if unit != "B" else f"{value}\u202fB"


def metric(value: Metric | None, scale: Scale) -> str:
    """A metric's mean on its scale."""
    return metric_value(value.mean if value else None, scale)


def metric_value(value: float | None, scale: Scale) -> str:
    """A value on its scale: shares as per cent."""
    return percent(value) if scale.unit in ("pass", "share") else number(value)


def interval(value: Interval | None, scale: Scale) -> str:
    """The two ends; an empty text if there is no interval."""
    if value is None:
        return ""
    if scale.unit in ("pass", "share"):
        return f"{value.low * 100:.0f}{TO}{percent(value.high)}"
    return f"{number(value.low)}{TO}{number(value.high)}"


def metric_title(value: Metric) -> str:
    """The explanation beside a mean: n, counts of unscored and failed turns, and why there is no number."""
    parts = [f"{count_of(value.n, 'sequence')}, {count_of(value.values, 'turn')}"]
    for count, word in ((value.worst, "counted as worst"), (value.unscored, "unscored"), (value.failed, "failed")):
        parts += [f"{count} {word}"] if count else []
    parts += [f"{value.missing} missing"] if value.missing else []
    parts += [value.reason] if value.reason else []
    return ", ".join(parts)
