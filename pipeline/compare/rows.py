"""A comparison as lines of a table, for terminal and page, and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from nightjar.jobs.remote_models import usd_text
from nightjar.pipeline.ascii_numbers import plain_numbers
from nightjar.pipeline.compare.comparison import Comparison
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.amounts import amount, ends_of
from nightjar.pipeline.report.data.answer import missing_bounds, verdict_words

COMPARED_COLUMNS = ["metric", "base>", "other>", "difference>", "95 % interval>", "effect>", "p, adjusted>", "verdict"]


def metric_rows(comparison: Comparison) -> list[list[str]]:
    """A line a metric, then a line a measure."""
    rows = []
    primary = comparison.other.report.headline
    for metric in (*comparison.metrics, *comparison.measures):
        pair, interval = metric.pair, metric.pair.paired.interval
        ends = ends_of(interval.low, interval.high, metric.scale) if interval else "-"
        values = [fmt.metric_value(value, metric.scale) for value in (metric.base, metric.other)]
        effect = "-" if pair.paired.effect is None else fmt.signed(pair.paired.effect)
        judged = metric in comparison.metrics
        p = fmt.p_value(pair.p_adjusted) if judged and pair.p_adjusted is not None else "-"
        verdict = verdict_words(pair) if judged else "measure, no better end"
        if judged and (bounds := missing_bounds(pair.missing, metric.scale)):
            verdict = f"{verdict}; {bounds}"
        name = f"{metric.metric} (primary)" if metric.metric == primary else metric.metric
        rows.append([name, *values, amount(pair.paired.difference, metric.scale), ends, effect, p, verdict])
    return rows


def cost_rows(comparison: Comparison) -> list[list[str]]:
    """Speed, memory and money, with the change of the other against the base."""
    rows = []
    for cost in (*comparison.costs, *comparison.run_costs):
        show: Callable[[float], str] = usd_text if "dollars" in cost.name else fmt.number
        show = (lambda value: fmt.size(int(value))) if "bytes" in cost.name else show
        values = [fmt.number(None) if value is None else show(value) for value in (cost.base, cost.other)]
        change = f"{(cost.other / cost.base - 1) * 100:+.0f}\u202f%" if cost.base and cost.other else "-"
        rows.append([cost.name.replace(", bytes", ""), *values, change, "", "", "", ""])
    return rows


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Two sides as `nightjar compare --json` has them."""

    def row(metric: Any) -> dict[str, Any]:
        pair = metric.pair
        return {
            "metric": metric.metric,
            "base": metric.base,
            "other": metric.other,
            **asdict(pair.paired),
            "p_adjusted": pair.p_adjusted,
            "verdict": pair.verdict.value if metric in comparison.metrics else None,
            "detectable": pair.detectable,
            "needed": pair.needed,
            "missing": asdict(pair.missing) if pair.missing else None,
        }

    return {
        "base": comparison.base.name,
        "other": comparison.other.name,
        "shared": comparison.shared,
        "incomplete": comparison.incomplete,
        "only_base": comparison.only_base,
        "only_other": comparison.only_other,
        "notices": [plain_numbers(notice) for notice in comparison.notices],
        "metrics": [row(metric) for metric in (*comparison.metrics, *comparison.measures)],
        "costs": [asdict(cost) for cost in comparison.costs],
        "run_costs": [asdict(cost) for cost in comparison.run_costs],
    }
