"""A mean with its interval as a small drawing in a table row. Pure."""

from __future__ import annotations

from markupsafe import Markup

from nightjar.pipeline.report.data.run_report import RunReport

WIDTH, HEIGHT = 180, 18
EDGE = 8


def interval_bar(report: RunReport, model: str, series: int) -> Markup | None:
    """A bar on the headline metric's scale, worst on the left; None without a mean or if the scale has no ends."""
    name = report.headline
    metric = next(candidate for candidate in report.models if candidate.name == model).total.metrics.get(name or "")
    if name is None or metric is None or metric.mean is None:
        return None
    scale = report.scales[name]
    if scale.worst is None or scale.best is None:
        return None
    worst, best = scale.worst, scale.best

    def at(value: float) -> float:
        share = min(max((value - worst) / (best - worst), 0.0), 1.0)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)

    middle = HEIGHT / 2
    parts = [f'<line class="track" x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{middle}" y2="{middle}"/>']
    if metric.interval is not None:
        low, high = sorted((at(metric.interval.low), at(metric.interval.high)))
        parts.append(f'<line class="range s{series}" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>')
    parts.append(f'<circle class="s{series}" cx="{at(metric.mean)}" cy="{middle}" r="5"/>')
    frame = f'<svg class="bar" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" focusable="false">'
    return Markup(f"{frame}{''.join(parts)}</svg>")  # noqa: S704  # numbers only
