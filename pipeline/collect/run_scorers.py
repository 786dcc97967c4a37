"""All that scores the replies of one run: checks, measures, the user's own scorers, judges, embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nightjar.jobs.database import Database
from nightjar.jobs.documents import Run
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.embedding.similarities import Similarities
from nightjar.pipeline.embedding.write_jobs import read_similarities
from nightjar.pipeline.judging.read_results import read_verdicts_of
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.scoring.measures_asked import LOGPROB, asks_logprobs
from nightjar.pipeline.scoring.plugins import user_scorers
from nightjar.pipeline.scoring.turn_scorer import Lines, line_names, metric_scales, score_job, score_repeats, turn_lines
from nightjar.pipeline.transcripts import JobRow


@dataclass(frozen=True, kw_only=True)
class RunScorers:
    """`lines` and `sequences` by sequence id."""

    sequences: Mapping[str, PromptSequence]
    lines: Mapping[str, Lines]
    bench: JudgeResults
    similarities: Similarities

    def score(self, jobs: Iterable[JobRow]) -> None:
        """Scores jobs by themselves, in place."""
        for job in jobs:
            sequence = self.sequences[job.sequence]
            score_job(self.lines[job.sequence], sequence, job)
            self.bench.score(job)
            self.similarities.score(sequence, job)

    def score_together(self, jobs: Iterable[JobRow]) -> None:
        """Adds the scores that need all jobs of the run, in place."""
        score_repeats(jobs, self.lines, self.sequences)

    def line_names(self) -> dict[str, list[list[str]]]:
        """Sequence -> for every turn the names of the scores it should have."""
        return {
            name: self.similarities.with_lines(self.sequences[name], self.bench.with_lines(line_names(turns)))
            for name, turns in self.lines.items()
        }

    def scales(self) -> dict[str, Scale]:
        """Metric name -> scale, in the order they are shown."""
        return self.similarities.with_scales(self.bench.with_scales(metric_scales(self.lines.values())))


async def read_run_sheet(run: Run, sequences: Mapping[str, PromptSequence], database: Database) -> RunScorers:
    """What scores this run here and now. Raises SettingsError for a scorer of the user's that is broken."""
    own = user_scorers().scorers
    measures = run.measures
    if asks_logprobs([run.set_parameters, *run.set_model_parameters.values()]):
        measures = {LOGPROB: True, **measures}
    return RunScorers(
        sequences=sequences,
        lines={name: turn_lines(one, measures=measures, own=own) for name, one in sequences.items()},
        bench=await read_verdicts_of(run, database, sequences.values()),
        similarities=await read_similarities(run, database),
    )
