"""What `nightjar show` reads: conversations with their stored scores."""

from __future__ import annotations

from nightjar.jobs.documents import Job
from nightjar.jobs.judgings import Judging, JudgingStatus, RunJudging
from nightjar.jobs.mongo import Database
from nightjar.jobs.status.transcript import conversations, read_transcripts
from tests.documents import a_turn
from tests.workbench import make_run


async def test_judges_scores_are_those_of_the_judging_that_counts(database: Database) -> None:
    """Another judging, cancelled or under way, has scores of its own beside them; a check belongs to none."""
    passes = [
        Judging(number=1, judges=["first"], status=JudgingStatus.COMPLETE),
        Judging(number=2, judges=["second"], status=JudgingStatus.CANCELLED),
    ]
    run = await make_run("r", sequences=1, turns=1, judging=RunJudging(passes=passes, shown=1))
    [job] = await Job.find_all().to_list()
    job.turns = [a_turn()]
    await job.save()
    scores = [("judge", 4.0, 1), ("judge", 1.0, 2), ("includes", 1.0, None)]
    for number, (scorer, value, judging) in enumerate(scores):
        row = {"_id": str(number), "run": "r", "job": job.id, "turn": 0, "scorer": scorer, "value": value}
        await database.raw["scores"].insert_one({**row, "state": "scored", "reason": None, "judging": judging})

    jobs = await conversations(run, job.sequence, database)
    [shown] = await read_transcripts(run, jobs, database)
    assert {name: score.value for name, score in shown.turns[0].scores.items()} == {"judge": 4.0, "includes": 1.0}
