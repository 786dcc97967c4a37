"""What will score the replies of a run, known from the run and its prompts before anything is generated. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nightjar.jobs.documents import Run
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.embedding.similarities import Similarities
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.scores import Scale
from nightjar.pipeline.scoring.measures_asked import LOGPROB, asks_logprobs, needs_phrases
from nightjar.pipeline.scoring.plugins import UserScorers
from nightjar.pipeline.scoring.turn_scorer import (
    Lines,
    averages_of,
    line_names,
    measures_asked,
    metric_of,
    metric_scales,
    scorer_versions,
    turn_lines,
    with_averages,
)


@dataclass(frozen=True)
class PlannedScorers:
    """Checks, measures, the user's own scorers, judges and similarities: their names and scales.

    The results of judges and embeddings are read separately (`run_scorers.py`).
    """

    run: Run
    sequences: Mapping[str, PromptSequence]
    """By id."""
    own: UserScorers
    phrases: Sequence[str] = ()
    """The installation's list, where a measure needs it (`asks_phrases`)."""

    @property
    def measures(self) -> Mapping[str, Any]:
        """What the run asks for; log-probabilities that it has recorded are measured, too."""
        varied = [variant.parameters for variant in self.run.variants]
        if asks_logprobs([self.run.set_parameters, *self.run.set_model_parameters.values(), *varied]):
            return {LOGPROB: True, **self.run.measures}
        return self.run.measures

    @cached_property
    def lines(self) -> Mapping[str, Lines]:
        """Sequence -> for every turn what scores it by itself or beside its repeats."""
        return {
            name: turn_lines(sequence, measures=self.measures, own=self.own, phrases=self.phrases)
            for name, sequence in self.sequences.items()
        }

    @cached_property
    def judges(self) -> JudgeResults:
        """The judges' part, with no verdict yet."""
        if self.run.judging.rubric is None or not self.run.judging.judges:
            return JudgeResults()
        return JudgeResults(rubric=read_rubric(self.run.judging.rubric, f"the rubric of run {self.run.name}"))

    @cached_property
    def similarities(self) -> Similarities:
        """The embedding model's part, with no similarity yet."""
        return Similarities(model=self.run.embed_model)

    def line_names(self) -> dict[str, list[list[str]]]:
        """Sequence -> for every turn the names of the scores it should have."""
        return {
            name: self.similarities.with_lines(self.sequences[name], self.judges.with_lines(line_names(turns)))
            for name, turns in self.lines.items()
        }

    def scales(self) -> dict[str, Scale]:
        """Metric name -> scale, in the order they are shown."""
        scales = self.similarities.with_scales(self.judges.with_scales(metric_scales(self.lines.values())))
        return with_averages(scales, self.averages)

    @cached_property
    def averages(self) -> dict[str, str]:
        """Average over parts -> the metric that it is taken of."""
        return averages_of(self.sequences.values())

    def versions(self) -> dict[str, dict[str, str]]:
        """Metric -> the scorers in it, with their versions; judges and similarities are not among them."""
        return with_averages(scorer_versions(self.lines.values()), self.averages)

    def quality_metrics(self) -> list[str]:
        """The metrics with a better end that the run will have."""
        names = {metric_of(name) for turns in self.line_names().values() for turn in turns for name in turn}
        names |= {name for name, metric in self.averages.items() if metric in names}
        return [name for name, scale in self.scales().items() if name in names and scale.has_better_end]


def asks_phrases(run: Run, sequences: Mapping[str, PromptSequence]) -> bool:
    """Whether some measure needs the installation's list of phrases."""
    return any(needs_phrases(measures_asked(sequence, run.measures)) for sequence in sequences.values())
