"""Metrics that two reports scored by different versions of a scorer, which makes their numbers incomparable. Pure.

Reports are scored again each time they are read, as long as the transcripts are there: only runs whose transcripts were
dropped keep what an older version found.
"""

from __future__ import annotations

from collections.abc import Mapping

from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.scoring.turn_scorer import FIRST_VERSION, built_in

Versions = Mapping[str, str]
"""Scorer -> its version."""


def scored_apart(base: RunReport, other: RunReport) -> dict[str, str]:
    """Metric -> what differs, "choice is version 2, was 1", for every metric that both have."""
    apart = {}
    for metric in base.scales.keys() & other.scales.keys():
        before, after = base.scorer_versions.get(metric), other.scorer_versions.get(metric)
        differing = [
            f"{scorer} is version {new}, was {old}"
            for scorer, (old, new) in sorted(_both(before, after).items())
            if old != new
        ]
        if differing:
            apart[metric] = ", ".join(differing)
    return apart


def apart_notice(apart: Mapping[str, str], base: RunReport, other: RunReport) -> list[str]:
    """The sentence for people; none where nothing is apart."""
    if not apart:
        return []
    gone = " and ".join(report.provenance.name for report in (base, other) if not report.jobs)
    why = f", and the transcripts of {gone} are gone, so their replies cannot be scored again" if gone else ""
    differences = "; ".join(sorted(set(apart.values())))
    return [f"Not compared: {', '.join(sorted(apart))}. Their scorers changed ({differences}){why}."]


def _both(before: Versions | None, after: Versions | None) -> dict[str, tuple[str, str]]:
    """Scorer -> its version on both sides; a report from before versions has the first of every built-in scorer."""
    known = {**(before or {}), **(after or {})}
    old, new = (_filled(side, known) for side in (before, after))
    return {scorer: (old[scorer], new[scorer]) for scorer in known if scorer in old and scorer in new}


def _filled(side: Versions | None, known: Versions) -> dict[str, str]:
    return dict(side) if side else {scorer: FIRST_VERSION for scorer in known if built_in(scorer)}
