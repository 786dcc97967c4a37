"""What the numbers depend on: the files, builds and texts that may differ between two nights. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nightjar.jobs.answer_names import names_of
from nightjar.jobs.identity import digest
from nightjar.pipeline.report.data.changes import Fingerprint
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport


def run_marks(report: RunReport) -> dict[str, str | None]:
    """The marks of the whole run: suite, prompts, judges, rubric, Nightjar's version, scorers."""
    run = report.provenance
    return {
        "suite": f"{run.suite_name} version {run.suite_version}",
        "prompts": prompts_digest(report),
        "judge": ", ".join(sorted(run.judges)) or None,
        "rubric": run.rubric_digest,
        "nightjar": run.nightjar_version,
        "scorers": scorer_marks(report.scorer_versions),
    }


def scorer_marks(versions: Mapping[str, Mapping[str, str]]) -> str | None:
    """The scorers that are not as they were first, with their versions; None where all are."""
    scorers = {name: version for of_metric in versions.values() for name, version in of_metric.items()}
    return ", ".join(f"{name} {version}" for name, version in sorted(scorers.items()) if version != "1") or None


def model_marks(model: ModelReport, report: RunReport) -> dict[str, str | None]:
    """The marks of one model: its file, template, build, driver, device, context, cache, parameters, variant, policy,
    and how its endpoint names it.
    """
    facts, load = model.input.facts, model.input.loads[-1] if model.input.loads else None
    return {
        "model file": model.input.digest or (facts.digest if facts else None),
        "template": facts.template_digest if facts else None,
        "llama.cpp": load.llama_cpp_build if load else None,
        "grammars": load.grammar_engine if load else None,
        "driver": load.driver if load else None,
        "device": load.device if load else None,
        "context": f"{load.context:,} tokens" if load else None,
        "cache": f"{load.cache_type_k}/{load.cache_type_v}" if load else None,
        "parameters": parameters_digest(model),
        "variant": variant_digest(model),
        "policy": model.input.policy.id if model.input.policy is not None else None,
        "answered by": names_of(report.answers, model.input.name),
    }


def prompts_digest(report: RunReport) -> str:
    """Digest of everything the models are sent, in suite order; a change to a suite's checks does not change it."""
    return digest("prompts", [sequence.digest for sequence in report.sequences])


def parameters_digest(model: ModelReport) -> str | None:
    """Digest of the values of all generation parameters; None before the first turn."""
    values = {name: sorted(repr(use.value) for use in uses) for name, uses in model.parameters.items()}
    return digest("parameters", values) if values else None


def variant_digest(model: ModelReport) -> str | None:
    """Digest of what its variant gives the model otherwise; None without a variant."""
    variant = model.input.variant
    return digest("variant", variant.model_dump(mode="json")) if variant is not None else None


def changed(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> tuple[Fingerprint, ...]:
    """The marks that differ; one that only one side knows counts as unchanged, except judge, rubric and scorers."""
    return tuple(_changes(before, after))


def _changes(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> Iterator[Fingerprint]:
    for what in dict.fromkeys([*before, *after]):
        old, new = _mark(before, what), _mark(after, what)
        both = old is not None and new is not None
        if old != new and (both or what in ("judge", "rubric", "scorers")):  # judging may begin or end
            yield Fingerprint(what=what, before=old, after=new)


def _mark(marks: Mapping[str, str | None], what: str) -> str | None:
    """Nights of earlier versions have no mark for grammars: they were llama.cpp's own."""
    before = "llama.cpp" if what == "grammars" and marks.get("llama.cpp") is not None else None
    return marks.get(what, before)
