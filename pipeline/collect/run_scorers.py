"""All that scores the replies of one run, with what its judges and its embedding model have found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.collect.planned_scorers import PlannedScorers, asks_phrases
from nightjar.pipeline.embedding.similarities import Similarities
from nightjar.pipeline.embedding.write_jobs import read_similarities
from nightjar.pipeline.judging.read_results import read_verdicts_of
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.scores import JobScores, merge_scores
from nightjar.pipeline.scoring.installed import installed_phrases, installed_scorers
from nightjar.pipeline.scoring.turn_scorer import Lines, score_job, score_repeats
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

    def score(self, jobs: Iterable[JobRow]) -> list[JobRow]:
        """The jobs with the scores that each has by itself."""
        return [job.scored(self._scores(job)) for job in jobs]

    def score_together(self, jobs: Iterable[JobRow]) -> list[JobRow]:
        """The jobs, all of the run's, with the scores that need the others, too."""
        jobs = list(jobs)
        scores = score_repeats(jobs, self.lines, self.planned.sequences)
        return [job.scored(scores[job.id]) if job.id in scores else job for job in jobs]

    def _scores(self, job: JobRow) -> JobScores:
        sequence = self.planned.sequences[job.sequence]
        by_itself = score_job(self.lines[job.sequence], sequence, job)
        return merge_scores([by_itself, self.bench.score(job), self.similarities.score(sequence, job)])


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
