"""All that scores the replies of one run, with what its judges and its embedding model have found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.jobs.documents import Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.collect.planned_scorers import PlannedScorers, asks_phrases
from nightjar.pipeline.embedding.similarities import Similarities
from nightjar.pipeline.embedding.write_jobs import read_similarities
from nightjar.pipeline.judging.read_results import read_verdicts_of
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.scores import JobScores, merge_scores
from nightjar.pipeline.scoring.installed import installed_phrases, installed_scorers
from nightjar.pipeline.scoring.turn_scorer import Lines
from nightjar.pipeline.transcripts import JobRow


@dataclass(frozen=True, kw_only=True)
class RunScorers:
    """The scorers that were planned, and the results that two of them need."""

    planned: PlannedScorers
    bench: JudgeResults
    similarities: Similarities

    @property
    def lines(self) -> Mapping[str, Lines]:
        """Sequence -> for every turn what scores it by itself or beside its repeats."""
        return self.planned.lines

    def with_scores(self, job: JobRow, by_itself: JobScores) -> JobRow:
        """The job with the scores that its turns have by themselves, and those of judges and similarities."""
        similar = self.similarities.score(self.planned.sequences[job.sequence], job)
        return job.scored(merge_scores([by_itself, self.bench.score(job), similar]))


def plan_scorers(run: Run, sequences: Mapping[str, PromptSequence]) -> PlannedScorers:
    """What scores this run here and now; `sequences` by id. Raises SettingsError for a broken scorer of the user's."""
    phrases = installed_phrases() if asks_phrases(run, sequences) else ()
    return PlannedScorers(run, sequences, installed_scorers(), phrases)


async def read_run_sheet(run: Run, sequences: Mapping[str, PromptSequence], database: Database) -> RunScorers:
    """The scorers of a run with the results of its judge and embed jobs. Raises SettingsError."""
    return RunScorers(
        planned=plan_scorers(run, sequences),
        bench=await read_verdicts_of(run, database, sequences.values()),
        similarities=await read_similarities(run, database),
    )
