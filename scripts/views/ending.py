"""How a run is to end and did, for people: its gates, its deadline, who was notified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.status.run import RunDetail


def print_ending(run: RunDetail) -> None:
    """Nothing for a run that has neither gates, deadline nor anybody to tell."""
    lines = _lines(run)
    if lines:
        print(plain("\n".join(lines)))
    if run.deliveries:
        rows = [[d.event, d.hook, d.state, d.tries, d.outcome, d.called_at] for d in run.deliveries]
        console().print(table("Notifications", ("event", "to", "state", "tries>", "outcome", "called"), rows))


def _lines(run: RunDetail) -> list[str]:
    ending = run.ending
    lines = []
    if ending.gates:
        against = f", baseline {ending.baseline}" if ending.baseline else ""
        lines.append(f"gates: {'; '.join(ending.gates)}{', strict' if ending.strict else ''}{against}")
    if ending.deadline_at is not None:
        lines.append(f"deadline: {ending.deadline_at:%Y-%m-%d %H:%M} UTC")
    if ending.on_finish:
        lines.append(f"on finish: {', '.join(ending.on_finish)}")
    if run.transcripts_dropped_at is not None:
        lines.append(f"transcripts dropped {run.transcripts_dropped_at:%Y-%m-%d}; the aggregates are kept")
    return lines + [result.text for result in run.gates.results] if run.gates is not None else lines
