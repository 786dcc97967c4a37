"""The report's tables on speed, machine and provenance, as plain data. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from nightjar.jobs.models import LoadFacts
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.fingerprints import parameters_digest, prompts_digest
from nightjar.pipeline.report.data.model import ModelReport
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.page.tables import Cell, Table, columns_of, measured, text_table

_COST = "of the decode speed with all slots busy"


def speed_table(report: RunReport) -> Table:
    """One row per measure, one column per model."""
    rows = []
    none = "nothing was generated"
    for label, note, show, read in (
        ("Prefill", "prompt tokens computed per second", fmt.number, "prefill_tokens_per_s"),
        ("Decode", fmt.PER_CONVERSATION, fmt.number, "decode_tokens_per_s"),
        ("Decode, in total", "reply tokens per second of busy time", fmt.number, "total_tokens_per_s"),
        ("First token, median", "", fmt.seconds, "first_token_p50_s"),
        ("First token, 95th percentile", "", fmt.seconds, "first_token_p95_s"),
        ("Whole reply, median", "", fmt.seconds, "latency_p50_s"),
        ("Whole reply, 95th percentile", "", fmt.seconds, "latency_p95_s"),
        ("Waiting for a slot, median", "", fmt.seconds, "queue_p50_s"),
        ("Busy time", "at least one reply being generated", fmt.seconds, "busy_s"),
    ):
        cells = (measured(show, getattr(model.total.speed, read), none) for model in report.models)
        row = (Cell(text=label, note=note), *cells)
        if report.generates or any(cell.text != fmt.ABSENT for cell in row[1:]):
            rows.append(row)
    rows.append((Cell(text="Prompt tokens", note="of them reused"), *map(_prompt_tokens, report.models)))
    if report.generates:
        rows.append((Cell(text="Reply tokens", note="of them reasoning"), *map(_reply_tokens, report.models)))
    return Table(id="speed-table", columns=columns_of(_columns("measured", report)), rows=tuple(rows))


def machine_table(report: RunReport) -> Table:
    """The speed probe, loading, memory, GPU."""
    rows = []
    for label, note, name, show in (
        ("Load time", "", "load_s", fmt.seconds),
        ("Process memory, peak", "since the worker started", "process_peak_bytes", _bytes),
        ("GPU memory, peak", "", "gpu_peak_bytes", _bytes),
        ("GPU busy", "mean since load", "gpu_utilisation", fmt.percent),
        ("GPU energy", "since load", "gpu_energy_j", _energy),
        ("GPU energy, this run", "while it worked on these replies", "energy_j", _energy),
        ("GPU energy, 1,000 reply tokens", "of this run, prompts included", "energy_j_per_1000_tokens", _joules),
        ("Cores taken by others", "mean while it worked", "others_cores", fmt.number),
    ):
        cells = (
            measured(show, getattr(model.resources, name), model.resources.reasons.get(name, ""))
            for model in report.models
        )
        rows.append((Cell(text=label, note=note), *cells))
    loads = [model.input.loads[-1] if model.input.loads else None for model in report.models]
    if any(load is not None and load.reproducible for load in loads):
        rows.append((Cell(text="Cost of reproducible", note=_COST), *map(_reproducible_cost, report.models)))
    for label, name, note in (
        ("Probe: prefill, one slot", "prefill_tokens_per_s", "tokens per second"),
        ("Probe: decode, one slot", "decode_tokens_per_s", "tokens per second"),
        ("Probe: decode, all slots", "all_slots_decode_tokens_per_s", "tokens per second, each with little context"),
    ):
        cells = (_probed(model, name) for model in report.models)
        rows.append((Cell(text=label, note=note), *cells))
    return Table(id="machine", columns=columns_of(_columns("measured", report)), rows=tuple(rows))


def _probed(model: ModelReport, name: str) -> Cell:
    """A speed of the probe, with its date and what it was measured by."""
    probe, reason = model.resources.probe, model.resources.reasons.get("probe", "")
    cell = measured(fmt.number, getattr(probe, name, None), reason or "not measured")
    if probe is None or probe.measured_at is None or getattr(probe, name) is None:
        return cell
    counts = {"prefill_tokens_per_s": probe.prompt_tokens, "decode_tokens_per_s": probe.generated_tokens}
    by = f", {fmt.whole(counts[name])} tokens" if name in counts else f", {probe.slots} slots"
    busy = ", on a busy machine" if probe.busy else ""
    return replace(cell, note=f"{probe.measured_at:%Y-%m-%d}{by}{busy}")


def facts_table(report: RunReport) -> Table:
    """What each model is and how it was loaded."""
    facts = [_facts(model) for model in report.models]
    names = list(dict.fromkeys(name for known in facts for name in known))
    rows = [
        (
            Cell(text=name),
            *(Cell(text=known.get(name, fmt.ABSENT), note="" if name in known else "not known yet") for known in facts),
        )
        for name in names
    ]
    return Table(id="facts", columns=columns_of(_columns("", report, right=False)), rows=tuple(rows))


def parameters_table(report: RunReport) -> Table:
    """Every generation parameter of every model, with the source of its value."""
    names = list(dict.fromkeys(name for model in report.models for name in model.parameters))
    rows = [(Cell(text=name), *(_parameter(model, name) for model in report.models)) for name in names]
    digests = ((parameters_digest(model) or fmt.ABSENT, model) for model in report.models)
    rows.append((Cell(text="digest of all"), *(Cell(text=text[:12], note=_no_turn(model)) for text, model in digests)))
    return Table(id="parameters", columns=columns_of(_columns("parameter", report, right=False)), rows=tuple(rows))


def run_table(report: RunReport) -> Table:
    """What the run was."""
    run = report.provenance
    pairs = [
        ("run", f"{run.name} ({run.id})"),
        ("status", run.status.value + (f": {run.status_reason}" if run.status_reason else "")),
        ("suite", f"{run.suite_name} version {run.suite_version} ({run.suite_digest})"),
        ("prompts", prompts_digest(report)),
        ("judges", ", ".join(run.judges) or "none"),
        ("rubric", run.rubric_digest or "none"),
        ("imported from", run.suite_source or "the suite is no longer stored"),
        ("licence of the suite", run.suite_licence or "none given"),
        _sizes(report),
        ("seed", str(run.seed)),
        ("--set", _json(run.set_parameters)),
        ("--set per model", _json(run.set_model_parameters)),
        ("date given to templates", run.date),
        ("content", run.content),
        ("started", _moment(run.created_at)),
        ("finished", _moment(run.finished_at) if run.finished_at else "not finished"),
        ("nightjar", f"{run.nightjar_version}; this report {report.generated_by}, {_moment(report.generated_at)}"),
    ]
    return text_table("run", ("", ""), pairs)


def _sizes(report: RunReport) -> tuple[str, str]:
    variants = [len(report.variants)] if report.variants else []
    sizes = [len(report.sequences), len({model.input.name for model in report.models}), *variants]
    what = "sequences x models x variants x repeats" if variants else "sequences x models x repeats"
    return what, " x ".join(map(str, [*sizes, report.provenance.repeats]))


def _facts(model: ModelReport) -> dict[str, str]:
    facts, shown = model.input.facts, {}
    if facts is not None and (file := facts.file) is not None:
        shown = {
            "file": f"{file.file_name}, {fmt.size(file.file_bytes)}",
            "SHA-256": facts.digest,
            "architecture": f"{file.architecture}, {fmt.whole(file.parameters)} parameters, {file.layers} layers",
            "quantisation": file.quantisation,
            "context trained": f"{fmt.whole(file.context_train)} tokens",
            "chat template": facts.template_digest or "none",
            "licence": file.licence or "not stated in the file",
        }
    elif (policy := model.input.policy) is not None:
        shown = {"policy": policy.id, "answered by": ", ".join(policy.candidates), "default": policy.default}
    elif model.input.digest is not None:
        shown = {"SHA-256": model.input.digest}
    for load in model.input.loads[-1:]:
        shown |= {
            "device": load.device,
            "driver": load.driver or "none known",
            "layers offloaded": str(load.offloaded_layers),
            "context per conversation": f"{fmt.whole(load.context)} tokens, {load.slots} slots",
            "batch / micro-batch": f"{load.n_batch} / {load.n_ubatch}",
            "threads": _threads(model, load),
            "flash attention": "on" if load.flash_attention else "off",
            "reproducible": _reproducible(load),
            "KV cache": f"{load.cache_type_k} / {load.cache_type_v}",
            "hosts": ", ".join(sorted({worker.id.partition(":")[0] for worker in model.input.workers})) or "not known",
            "llama.cpp": f"{load.llama_cpp_build}, llama-cpp-python {load.llama_cpp_python}",
        }
    return shown


def _reproducible(load: LoadFacts) -> str:
    if not load.reproducible:
        return "no"
    return "yes, one conversation per decode" if load.reproducible_alone else "yes"


def _reproducible_cost(model: ModelReport) -> Cell:
    """By the probe; loads of earlier versions measured it themselves."""
    load = model.input.loads[-1] if model.input.loads else None
    if load is None or not load.reproducible:
        return Cell(text=fmt.ABSENT, note="not reproducible")
    probe = model.resources.probe
    cost = probe.reproducible_cost if probe is not None else None
    return measured(fmt.percent, load.reproducible_cost if cost is None else cost, "not measured")


def _threads(model: ModelReport, load: LoadFacts) -> str:
    """Those that computed; where they followed the machine's load, from the fewest to the most."""
    use = model.resources.threads
    if use is None or use.lowest == use.highest:
        return str(load.threads if use is None else use.used)
    return f"{use.used} most of the time, from {use.lowest} to {use.highest} as the load allowed"


def _parameter(model: ModelReport, name: str) -> Cell:
    uses = model.parameters.get(name, ())
    if not uses:
        return Cell(text=fmt.ABSENT, note="no turns yet")
    shown = [json.dumps(use.value, ensure_ascii=False) for use in uses[:4]]
    more = f" and {len(uses) - 4} more" if len(uses) > 4 else ""
    sources = " / ".join(dict.fromkeys(use.source for use in uses[:4]))
    return Cell(text=", ".join(text if len(text) <= 60 else text[:57] + "..." for text in shown) + more, note=sources)


def _no_turn(model: ModelReport) -> str:
    return "" if model.parameters else "no turns yet"


def _columns(first: str, report: RunReport, *, right: bool = True) -> tuple[str, ...]:
    return (first, *(f"{model.name}{'>' if right else ''}" for model in report.models))


def _prompt_tokens(model: ModelReport) -> Cell:
    counts = model.total.counts
    return Cell(text=fmt.whole(counts.prompt_tokens), note=fmt.whole(counts.reused_tokens))


def _reply_tokens(model: ModelReport) -> Cell:
    counts = model.total.counts
    return Cell(text=fmt.whole(counts.reply_tokens), note=fmt.whole(counts.reasoning_tokens))


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), ensure_ascii=False, default=dict) if values else "nothing"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _bytes(value: float) -> str:
    return fmt.size(int(value))


def _energy(value: float) -> str:
    return f"{fmt.number(value / 3600)}\u202fWh"


def _joules(value: float) -> str:
    return f"{fmt.number(value)}\u202fJ"
