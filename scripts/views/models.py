"""What `nightjar model` shows: the inventory, and one model in full."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.config.errors import SchemaError, ServiceError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from nightjar.config.settings import Settings
    from nightjar.jobs.status.workers import Serving
    from nightjar.workers.library.describe import ModelDetail
    from nightjar.workers.library.inventory import Held

CAPABILITIES = ("chat", "base", "embedding", "judge")


def prepared() -> Settings:
    """The settings, with logging set up by them: a person waits, perhaps at a bar, and is shown warnings alone."""
    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings

    settings = load_settings()
    quiet = settings.log_level == "info"
    configure(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
    return settings


async def inventory_rows(
    wanted: str | None, folder: Path | None = None, *, settings: Settings | None = None
) -> list[Held]:
    """The inventory, with what workers serve where MongoDB is up already: listing starts no server.

    `folder`: the model files in it instead. Without `settings` logging is set up as for a command. Raises
    ModelFileError where the folder holds none.
    """
    from nightjar.workers.library.inventory import folder_inventory, inventory

    if wanted is not None and wanted not in CAPABILITIES:
        raise UsageError(f"--for {wanted!r} is not known. Choose one of: {', '.join(CAPABILITIES)}.")
    settings = settings or prepared()
    rows = inventory(settings, await _serving(settings)) if folder is None else folder_inventory(folder, settings)
    return [row for row in rows if wanted is None or _has(row, wanted)]


def _has(row: Held, wanted: str) -> bool:
    if wanted == "judge":
        return row.kind == "chat" and "judge" in row.tags
    return row.kind == wanted


async def _serving(settings: Settings) -> dict[str, Serving]:
    from nightjar.config.embedded import service_urls, status
    from nightjar.jobs.database import Access, connect
    from nightjar.jobs.status.workers import read_serving

    if settings.mongo_url is None and any(server.state != "up" for server in status(settings)):
        return {}
    try:
        url = service_urls(settings).mongo
        async with await connect(
            url, settings.mongo_database, timeout_s=2, documents=False, access=Access.READ
        ) as database:
            return await read_serving(database)
    except (ServiceError, SchemaError):
        return {}


def show_inventory(rows: list[Held], *, as_json: bool) -> None:
    """As a table with the reasons of failed models below it, or for --json."""
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
    console().print(table(None, columns, shown))
    for row in rows:
        if row.reason and row.state == "failed":
            console().print(plain(f"{row.name}: {row.reason}"), soft_wrap=True)


def say_unlisted(rows: list[Held]) -> None:
    """Where model files lie in the current folder that are none of these: how they are listed."""
    from pathlib import Path

    known = {row.path.resolve() for row in rows if row.path is not None}
    other = [path for path in Path().glob("*.gguf") if path.resolve() not in known]
    if other:
        print(f"Beside these, this folder holds {how_many(len(other), 'model file')}: `nightjar model list .`")


def show_info(model: ModelDetail, *, as_json: bool) -> None:
    """One model in full."""
    from nightjar.scripts.views.output import console, emit_json, plain

    if as_json:
        emit_json(asdict(model))
        return
    memory = model.memory
    rows = [
        ("File", f"{model.path} ({decimal_size(model.file_bytes)})"),
        ("SHA-256", model.digest),
        ("Kind", model.kind),
        ("Architecture", f"{model.architecture}, {how_many(model.layers, 'layer')}, width {model.embedding_width}"),
        ("Parameters", f"{model.parameters:,}"),
        ("Quantisation", model.quantisation),
        ("Context", f"{model.context_train:,} tokens in the file, {model.context:,} used per conversation"),
        ("Vocabulary", f"{model.vocabulary:,} tokens"),
        ("Template", model.template_source and f"of the {model.template_source}"),
        ("Licence", model.licence),
        ("Sampling", ", ".join(f"{key} {value}" for key, value in model.sampling_defaults.items()) or None),
        ("Weights", decimal_size(memory.weights_bytes)),
        ("KV", f"{decimal_size(memory.kv_bytes_per_1000_tokens)} per 1,000 tokens and slot ({memory.cache_type_k})"),
        ("KV of one slot", f"{decimal_size(memory.kv_bytes_per_slot)} at {model.context:,} tokens"),
        ("Here", _here(model)),
        ("Tags", ", ".join(model.tags) or None),
    ]
    console().print(plain(model.name))
    for label, value in rows:
        console().print(f"  {label:<15}{plain(str(value)) if value is not None else '-'}", soft_wrap=True)


def _here(model: ModelDetail) -> str:
    """One line on how it runs on this machine."""
    fit = model.fit
    if not fit.fits:
        return fit.reason
    where = f"{fit.offloaded_layers} of {model.layers + 1} layers on the GPU" if fit.offloaded_layers else "on the CPU"
    speed = "" if model.kind == "embedding" else f", expected speed: {fit.speed}"
    lost = f"; {', '.join(fit.compromises)}" if fit.compromises else ""
    slots = f"{fit.slots} {'slot' if fit.slots == 1 else 'slots'} of {fit.context:,} tokens"
    return f"{where}, {slots}, {decimal_size(fit.memory_bytes)}{speed}{lost}"


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
