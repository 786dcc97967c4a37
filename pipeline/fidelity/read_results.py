"""What a run's FIDELITY jobs found, put together for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from nightjar.jobs.documents import Run
from nightjar.jobs.fidelity import Deviations, LoadedSide, ScoredPlaces
from nightjar.jobs.fidelity_jobs import fidelity_job_rows
from nightjar.jobs.fidelity_results import FidelityResultPart, joined, read_part, taken
from nightjar.jobs.identity import digest
from nightjar.jobs.mongo import Database
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.fidelity.plan import candidates_of, replies_of


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """A model of the run against the reference, over all conversations that were read."""

    reference: LoadedSide
    side: LoadedSide
    deviations: Deviations
    places: ScoredPlaces
    digest: str
    """Of what was read."""
    left_out: Mapping[str, int]
    not_together: str | None


@dataclass(frozen=True, kw_only=True)
class RunMeasurements:
    """What is known of a run's models against its reference."""

    reference: str
    replies_of: str
    models: Mapping[str, MeasuredModel]
    missing: Mapping[str, str]
    """Model -> why it is not, or only in part, measured."""


async def read_fidelity(run: Run, database: Database) -> RunMeasurements | None:
    """The results of the run's FIDELITY jobs; None for a run without a reference."""
    if run.fidelity is None:
        return None
    names, reference = [model.name for model in run.models], run.fidelity.reference
    parts: dict[str, list[FidelityResultPart]] = {}
    missing: dict[str, str] = {}
    for raw in await fidelity_job_rows(run.id, reference, database):
        result = raw["payload"].get("result")
        if raw["status"] == JobStatus.DONE and result is not None:
            parts.setdefault(raw["model"], []).append(read_part(result))
        else:
            missing[raw["model"]] = raw.get("reason") or "it is not measured yet"
    for name in candidates_of(names, reference):
        if name not in parts:
            missing.setdefault(name, "there were no replies to read, or it is not measured yet")
    return RunMeasurements(
        reference=reference,
        replies_of=replies_of(names, reference),
        models={name: together(parts[name]) for name in names if name in parts},
        missing=missing,
    )


def together(parts: list[FidelityResultPart]) -> MeasuredModel:
    """Results of several jobs as one. A conversation that two of them read counts once."""
    seen: set[str] = set()
    deviations: list[Deviations] = []
    spans: list[tuple[int, int]] = []
    texts: list[str] = []
    digests: list[str] = []
    left_out: Counter[str] = Counter()
    for part in parts:
        fresh = [each.job not in seen for each in part.conversations]
        seen |= {each.job for each in part.conversations}
        sizes = [each.tokens for each in part.conversations]
        deviations.append(taken(part.deviations, np.repeat(fresh, sizes)))
        left_out.update(part.left_out)
        for each, new in zip(part.conversations, fresh, strict=True):
            if new:
                spans += each.spans
                texts += repeat(each.sequence, len(each.spans))
                digests.append(each.digest)
    return MeasuredModel(
        reference=parts[0].reference,
        side=parts[0].candidate,
        deviations=joined(deviations),
        places=_places(spans, texts),
        digest=digest("passages", digests),
        left_out=left_out,
        not_together=next((part.not_together for part in parts if part.not_together is not None), None),
    )


def _places(spans: list[tuple[int, int]], texts: list[str]) -> ScoredPlaces:
    """Repeats of a sequence are one text."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    sizes = [end - start for start, end in spans]
    return ScoredPlaces(
        text=np.repeat([numbers[text] for text in texts], sizes),
        span=np.repeat(np.arange(len(spans)), sizes),
        position=np.concatenate([np.arange(size) for size in sizes]),
        depth=np.concatenate([np.arange(start, end) for start, end in spans]),
    )
