"""Where the numbers of an export come from, the same in every format. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.jobs.models import flat_facts
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport


def provenance(report: RunReport) -> dict[str, Any]:
    """Digests, seeds, parameters with their sources, versions and hardware, as JSON-able data."""
    run = report.provenance
    return {
        "tool": f"nightjar {report.generated_by}",
        "exported_at": report.generated_at.isoformat(),
        "run": {
            "id": run.id,
            "name": run.name,
            "status": run.status.value,
            "partial": run.partial,
            "seed": run.seed,
            "repeats": run.repeats,
            "date": run.date,
            "content": run.content,
            "nightjar_version": run.nightjar_version,
            "created_at": run.created_at.isoformat(),
            "finished_at": run.finished_at.isoformat() if run.finished_at else None,
            "set_parameters": dict(run.set_parameters),
            "set_model_parameters": {name: dict(values) for name, values in run.set_model_parameters.items()},
        },
        "suite": {
            "name": run.suite_name,
            "version": run.suite_version,
            "digest": run.suite_digest,
            "source": run.suite_source,
            "licence": run.suite_licence,
        },
        "prompts": {sequence.id: sequence.digest for sequence in report.sequences},
        "judging": judging(report),
        "models": [model_provenance(model) for model in report.models],
    }


def judging(report: RunReport) -> dict[str, Any] | None:
    """The judges, with digests of their prompts and of the scoring; None for a run without judges."""
    run = report.provenance
    if not run.judges:
        return None
    judged = report.judging
    return {
        "judges": list(run.judges),
        "judge_files": dict(judged.bench.files) if judged else {},
        "rubric": run.rubric.get("name") if run.rubric else None,
        "rubric_digest": run.rubric_digest,
        "prompt_digest": judged.prompt_digest if judged else None,
        "scoring_digest": judged.scoring_digest if judged else None,
        "against": judged.against if judged else None,
    }


_OF_JOBS = {"nearest": {"choices", "numbers"}}
"""Of a policy: what stands in each of its jobs."""


def model_identity(model: ModelReport) -> dict[str, Any]:
    """Which model it was, by its file's facts, and how it was loaded."""
    facts = model.input.facts
    return {
        "name": model.name,
        "model": model.input.name,
        "variant": model.input.variant.model_dump(mode="json") if model.input.variant else None,
        "digest": model.input.digest,
        "facts": flat_facts(facts) if facts else None,
        "loads": [load.shown() for load in model.input.loads],
        "threads": model.resources.threads.model_dump() if model.resources.threads else None,
        "policy": model.input.policy.model_dump(mode="json", exclude=_OF_JOBS) if model.input.policy else None,
    }


def thread_words(model: ModelReport) -> str | None:
    """How many threads computed: "2, from 1 to 2 as the load allowed"; None before the model was loaded."""
    threads = model.resources.threads
    if threads is None:
        return ", ".join(dict.fromkeys(str(load.threads) for load in model.input.loads)) or None
    if threads.lowest == threads.highest:
        return str(threads.used)
    return f"{threads.used}, from {threads.lowest} to {threads.highest} as the load allowed"


def model_provenance(model: ModelReport) -> dict[str, Any]:
    """Which model it was, how it was loaded, and what it generated with."""
    return {
        **model_identity(model),
        "parameters": {
            name: [{"value": use.value, "source": use.source, "turns": use.turns} for use in uses]
            for name, uses in model.parameters.items()
        },
    }


def flat(report: RunReport, model: ModelReport) -> dict[str, str]:
    """Provenance for formats that hold only pairs of texts: full digests, and the most used value of each parameter."""
    run = report.provenance
    facts = model.input.facts
    file = facts.file if facts else None
    texts: Mapping[str, Any] = {
        "nightjar.version": run.nightjar_version,
        "run.id": run.id,
        "run.name": run.name,
        "run.status": run.status.value,
        "run.seed": run.seed,
        "run.repeats": run.repeats,
        "run.date": run.date,
        "suite.name": f"{run.suite_name}@{run.suite_version}",
        "suite.digest": run.suite_digest,
        "prompts.digest": digest("prompts", [(sequence.id, sequence.digest) for sequence in report.sequences]),
        "judges": ", ".join(run.judges) or None,
        "rubric.digest": (judging(report) or {}).get("rubric_digest"),
        "model.name": model.name,
        "variant": model.input.variant.name if model.input.variant else None,
        "system": model.input.variant.system if model.input.variant else None,
        "model.digest": model.input.digest,
        "model.file": file.file_name if file else None,
        "model.quantisation": file.quantisation if file else None,
        "model.template_digest": facts.template_digest if facts else None,
        "llama.cpp": ", ".join(dict.fromkeys(load.llama_cpp_build for load in model.input.loads)) or None,
        "device": ", ".join(dict.fromkeys(load.device for load in model.input.loads)) or None,
        "threads": thread_words(model),
        **{
            f"parameter.{name}": f"{uses[0].value} ({uses[0].source})" + (" and others" if len(uses) > 1 else "")
            for name, uses in model.parameters.items()
        },
    }
    return {name: str(value) for name, value in texts.items() if value is not None}
