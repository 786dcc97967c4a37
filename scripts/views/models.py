"""What `nightjar model` shows: the inventory, and one model in full."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.database import Database
    from nightjar.workers.library.find import ModelEntry
    from nightjar.workers.library.gguf.shape import Shape
    from nightjar.workers.library.inventory import Held, Serving

CAPABILITIES = ("chat", "base", "embedding", "judge")


def prepared() -> Settings:
    """The settings, with logging set up by them."""
    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings

    settings = load_settings()
    configure(settings)
    return settings


async def inventory_rows(wanted: str | None) -> list[Held]:
    """The inventory, with what workers serve where MongoDB is up already: listing starts no server."""
    from nightjar.workers.library.inventory import inventory

    if wanted is not None and wanted not in CAPABILITIES:
        raise UsageError(f"--for {wanted!r} is not known. Choose one of: {', '.join(CAPABILITIES)}.")
    settings = prepared()
    rows = inventory(settings, await _serving(settings))
    return [row for row in rows if wanted is None or _has(row, wanted)]


def _has(row: Held, wanted: str) -> bool:
    if wanted == "judge":
        return row.kind == "chat" and "judge" in row.tags
    return row.kind == wanted


async def _serving(settings: Settings) -> dict[str, Serving]:
    from nightjar.config.embedded import service_urls, status
    from nightjar.jobs.database import connect

    if settings.mongo_url is None and any(server.state != "up" for server in status(settings)):
        return {}
    try:
        async with await connect(service_urls(settings).mongo, settings.mongo_database, timeout_s=2) as database:
            return await read_serving(database)
    except ServiceError:
        return {}


async def read_serving(database: Database) -> dict[str, Serving]:
    """By model: the workers whose beat is fresh, and the reason of the newest failed load."""
    from datetime import timedelta

    from nightjar.jobs.documents import WorkerState
    from nightjar.workers.library.inventory import Serving

    now = await database.now()
    result: dict[str, Serving] = {}
    async for worker in WorkerState.find_all().sort("+beat_at"):
        known = result.get(worker.model, Serving())
        alive = now - worker.beat_at < timedelta(seconds=30) and worker.state in ("loading", "ready", "draining")
        where = f"{worker.id.partition(':')[0]} {worker.device}".strip()
        result[worker.model] = Serving(
            workers=(*known.workers, where) if alive else known.workers,
            failure=worker.reason if worker.state == "failed" else None,
            last_beat=worker.beat_at,
        )
    return result


def show_inventory(rows: list[Held], *, as_json: bool) -> None:
    from nightjar.scripts.views.output import console, emit_json, plain, table

    if as_json:
        emit_json([asdict(row) for row in rows])
        return
    columns = ("Model", "State", "Kind", "Quant", "Size>", "Disk>", "Last used", "Loaded on", "Source")
    shown = [
        (
            row.name,
            row.state,
            row.kind,
            row.quantisation,
            decimal_size(row.file_bytes),
            decimal_size(row.disk_bytes or None),
            f"{row.last_used:%Y-%m-%d %H:%M}" if row.last_used else None,
            ", ".join(row.loaded_on) or None,
            row.source,
        )
        for row in rows
    ]
    listing = table(None, columns, shown)
    listing.columns[0].no_wrap = True  # a name must stay readable to be typed again
    for column in listing.columns:
        column.overflow = "fold"
    console().print(listing)
    for row in rows:
        if row.reason and row.state == "failed":
            console().print(plain(f"{row.name}: {row.reason}"), soft_wrap=True)


def describe(entry: ModelEntry) -> dict[str, Any]:
    """A model's facts, its load settings and the memory they take."""
    from nightjar.jobs.models import flat_facts
    from nightjar.workers.library.fit.estimate import kv_bytes, kv_bytes_per_token
    from nightjar.workers.library.fit.fit import CPU_UBATCH, context_of
    from nightjar.workers.library.gguf.shape import shape_of
    from nightjar.workers.library.inspect import entry_facts, inspect_file

    facts = entry_facts(entry)
    shape = shape_of(inspect_file(entry.path).metadata)
    caches = {"k": entry.load.cache_type_k, "v": entry.load.cache_type_v}
    context = context_of(entry.load.context, facts.file_facts.context_train)
    return {
        **flat_facts(facts),
        "path": str(entry.path),
        "context": context,
        "embedding_width": shape.width,
        "load": entry.load.model_dump(mode="json"),
        "template_source": "registry" if entry.template else "file" if facts.template_digest else None,
        "reasoning": entry.reasoning,
        "tags": list(entry.tags),
        "adapters": [{"path": str(path), "scale": scale} for path, scale in entry.adapters],
        "memory": {
            "weights_bytes": shape.weights_bytes,
            "kv_bytes_per_1000_tokens": 1000 * kv_bytes_per_token(shape, **caches),
            "kv_bytes_per_slot": kv_bytes(shape, context=context, slots=1, n_ubatch=CPU_UBATCH, **caches),
            "cache_type_k": entry.load.cache_type_k,
            "cache_type_v": entry.load.cache_type_v,
        },
        "fit": _fit(entry, shape),
    }


def _fit(entry: ModelEntry, shape: Shape) -> dict[str, Any]:
    """How the model would be loaded on this machine now, or why it cannot be."""
    from nightjar.config.errors import ModelFitError
    from nightjar.workers.library.fit.fit import fit
    from nightjar.workers.library.fit.hardware import room_of, this_machine

    try:
        found = fit(entry.name, shape, room_of(this_machine()), entry.load)
    except ModelFitError as error:
        return {"fits": False, "reason": str(error)}
    return {
        "fits": True,
        "offloaded_layers": found.offloaded_layers,
        "context": found.load.context,
        "slots": found.load.slots,
        "cache_type_k": found.load.cache_type_k,
        "memory_bytes": found.memory.total,
        "tokens_per_s": round(found.tokens_per_s, 1),
        "speed": found.speed,
        "compromises": list(found.notes),
    }


def show_info(facts: dict[str, Any], *, as_json: bool) -> None:
    from nightjar.scripts.views.output import console, emit_json, plain

    if as_json:
        emit_json(facts)
        return
    memory = facts["memory"]
    rows = [
        ("File", f"{facts['path']} ({decimal_size(facts['file_bytes'])})"),
        ("SHA-256", facts["digest"]),
        ("Kind", facts["kind"]),
        ("Architecture", f"{facts['architecture']}, {facts['layers']} layers, width {facts['embedding_width']}"),
        ("Parameters", f"{facts['parameters']:,}"),
        ("Quantisation", facts["quantisation"]),
        ("Context", f"{facts['context_train']:,} tokens in the file, {facts['context']:,} used per conversation"),
        ("Vocabulary", f"{facts['vocabulary']:,} tokens"),
        ("Template", facts["template_source"] and f"of the {facts['template_source']}"),
        ("Licence", facts["licence"]),
        ("Sampling", ", ".join(f"{key} {value}" for key, value in facts["sampling_defaults"].items()) or None),
        ("Weights", decimal_size(memory["weights_bytes"])),
        (
            "KV",
            f"{decimal_size(memory['kv_bytes_per_1000_tokens'])} per 1,000 tokens and slot ({memory['cache_type_k']})",
        ),
        ("KV of one slot", f"{decimal_size(memory['kv_bytes_per_slot'])} at {facts['context']:,} tokens"),
        ("Here", _here(facts)),
        ("Tags", ", ".join(facts["tags"]) or None),
    ]
    console().print(plain(facts["name"]))
    for label, value in rows:
        console().print(f"  {label:<15}{plain(str(value)) if value is not None else '-'}", soft_wrap=True)


def _here(facts: dict[str, Any]) -> str:
    """One line on how it runs on this machine."""
    fit = facts["fit"]
    if not fit["fits"]:
        return str(fit["reason"])
    layers = facts["layers"] + 1
    where = f"{fit['offloaded_layers']} of {layers} layers on the GPU" if fit["offloaded_layers"] else "on the CPU"
    speed = "" if facts["kind"] == "embedding" else f", expected speed: {fit['speed']}"
    lost = f"; {', '.join(fit['compromises'])}" if fit["compromises"] else ""
    return (
        f"{where}, {fit['slots']} slots of {fit['context']:,} tokens, {decimal_size(fit['memory_bytes'])}{speed}{lost}"
    )


def decimal_size(count: int | None) -> str | None:
    """Bytes for people, in powers of 1,000."""
    if count is None:
        return None
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.2f} GB"
