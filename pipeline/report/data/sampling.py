"""How replies were sampled, and whether models were sampled alike. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.pipeline.report.data.model import ParameterUse
from nightjar.pipeline.transcripts import JobRow


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A parameter whose value differed between models for the same turn, with one example."""

    parameter: str
    values: Mapping[str, Any]
    """Model -> its value at the first turn where they differ."""


def parameter_uses(jobs: Iterable[JobRow]) -> Mapping[str, tuple[ParameterUse, ...]]:
    """Parameter -> its values, most used first."""
    sets: Counter[tuple[int, int]] = Counter()
    seen: dict[tuple[int, int], tuple[Mapping[str, Any], Mapping[str, str]]] = {}
    for job in jobs:
        for turn in job.turns:
            key = (id(turn.parameters), id(turn.sources))  # rows of equal values share one object
            sets[key] += 1
            seen[key] = (turn.parameters, turn.sources)
    uses: dict[str, Counter[tuple[str, str]]] = {}
    values: dict[str, Any] = {}
    for key, turns in sets.items():
        parameters, sources = seen[key]
        for name, value in parameters.items():
            mark = digest(value)
            values[mark] = value
            uses.setdefault(name, Counter())[mark, str(sources.get(name, "default"))] += turns
    return {
        name: tuple(
            ParameterUse(value=values[mark], source=source, turns=turns)
            for (mark, source), turns in counter.most_common()
        )
        for name, counter in uses.items()
    }


def sampling_differences(jobs: Sequence[JobRow]) -> tuple[Difference, ...]:
    """The parameters in which models differ for the same turn of the same sequence."""
    first: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for job in jobs:
        for turn in job.turns:
            first.setdefault((job.sequence, turn.index), {}).setdefault(job.contestant, turn.parameters)
    differences: dict[str, Difference] = {}
    for by_model in first.values():
        sets = list(by_model.values())
        if all(parameters == sets[0] for parameters in sets[1:]):
            continue
        for name in dict.fromkeys(key for parameters in sets for key in parameters):
            values = {model: parameters.get(name) for model, parameters in by_model.items()}
            if name not in differences and any(value != next(iter(values.values())) for value in values.values()):
                differences[name] = Difference(parameter=name, values=values)
    return tuple(differences.values())
