"""How a run is to end and did: its gates, its deadline, who was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.database import Database
    from nightjar.jobs.documents import Run


async def describe_ending(run: Run, database: Database) -> dict[str, Any]:
    """Plain data without what a web address may hide."""
    from nightjar.jobs.nights import Delivery

    deliveries = await Delivery.find({"run": run.id}).sort("+created_at").to_list()
    verdict = run.verdict
    return {
        "ending": run.ending.shown(),
        "gates": None
        if verdict is None
        else {
            "outcome": verdict.outcome,
            "failed": verdict.failed,
            "baseline": verdict.baseline,
            "results": [
                {**result.model_dump(mode="json"), "gate": str(result.gate), "text": result.sentence()}
                for result in verdict.results
            ],
        },
        "deliveries": [
            {
                "id": found.id,
                "event": found.event,
                "hook": str(found.hook),
                "state": found.state,
                "tries": found.tries,
                "outcome": found.outcome,
                "output": found.output,
                "called_at": found.called_at,
            }
            for found in deliveries
        ],
        "transcripts_dropped_at": run.transcripts_dropped_at,
    }


def print_ending(data: dict[str, Any]) -> None:
    ending, gates = data["ending"], data["gates"]
    told = []
    if ending["gates"]:
        against = f", baseline {ending['baseline']}" if ending["baseline"] else ""
        told.append(f"gates: {'; '.join(ending['gates'])}{', strict' if ending['strict'] else ''}{against}")
    if ending["deadline_at"] is not None:
        told.append(f"deadline: {ending['deadline_at']:%Y-%m-%d %H:%M} UTC")
    if ending["on_finish"]:
        told.append(f"on finish: {', '.join(ending['on_finish'])}")
    if data["transcripts_dropped_at"] is not None:
        told.append(f"transcripts dropped {data['transcripts_dropped_at']:%Y-%m-%d}; the aggregates are kept")
    told += [result["text"] for result in gates["results"]] if gates is not None else []
    if told:
        print(plain("\n".join(told)))
    if data["deliveries"]:
        rows = [
            [one["event"], one["hook"], one["state"], one["tries"], one["outcome"], one["called_at"]]
            for one in data["deliveries"]
        ]
        console().print(table("Told", ("event", "whom", "state", "tries>", "outcome", "called"), rows))
