"""`nightjar model recommend`: what to take for this machine, or for one of a given size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.scripts.views.models import decimal_size, prepared

if TYPE_CHECKING:
    from nightjar.workers.library.fit.fit import Room
    from nightjar.workers.library.fit.recommend import Recommendation

_SIZE = re.compile(r"^\s*([\d.]+)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)


def recommended(ram: str | None, vram: str | None, wanted: str | None) -> list[Recommendation]:
    """The recommendations for the given sizes, else for this machine. Raises UsageError."""
    from nightjar.workers.library.fit.curated import curated_list
    from nightjar.workers.library.fit.recommend import recommend

    prepared()
    if wanted not in (None, "chat", "embedding", "judge"):
        raise UsageError(f"--for {wanted!r} is not known. Choose one of: chat, embedding, judge, photos.")
    return recommend(curated_list().models, room_for(ram, vram), wanted)  # type: ignore[arg-type]  # checked above


def room_for(ram: str | None, vram: str | None) -> Room:
    """The room to plan for: sizes given, and this machine's where they are not."""
    from nightjar.config.settings import load_settings
    from nightjar.workers.library.fit.fit import Room
    from nightjar.workers.library.memory_model import room_here

    here = room_here(load_settings()) if ram is None or vram is None else Room(host=0)
    host = here.host if ram is None else parse_size(ram, "--ram")
    if vram is None:
        return Room(host=host, gpu=here.gpu if ram is None else 0, gpu_bandwidth=here.gpu_bandwidth)
    return Room(host=host, gpu=parse_size(vram, "--vram"))


def parse_size(text: str, option: str) -> int:
    """Bytes of "8GB", "8g", "8 GiB" or "8000000000". Raises UsageError."""
    match = _SIZE.match(text)
    try:
        assert match is not None
        number = float(match[1])
    except (AssertionError, ValueError):
        raise UsageError(f"{option} {text!r} is not a size. Write it as 8GB or 8GiB.") from None
    return int(number * (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " "))


def show_recommended(recommendations: list[Recommendation], *, as_json: bool) -> None:
    """As a table, or for --json."""
    from nightjar.scripts.views.output import console, emit_json, table
    from nightjar.workers.library.fit.curated import curated_list

    as_of = curated_list().as_of
    if as_json:
        emit_json({"as_of": as_of, "models": [_row(item) for item in recommendations]})
        return
    columns = ("Model", "Size>", "Memory>", "Context>", "Speed", "For", "Licence")
    rows = [
        (
            row["name"],
            decimal_size(row["file_bytes"]),
            decimal_size(row["memory_bytes"]),
            f"{row['slots']} x {row['context']:,}",
            ", ".join(filter(None, (row["speed"], row["where"]))),
            ", ".join(row["best_for"]) + (f" {row['embedding_dimensions']}" if row["embedding_dimensions"] else ""),
            row["licence"],
        )
        for row in map(_row, recommendations)
    ]
    console().print(table(f"Fits, of a list as of {as_of}", columns, rows))
    if not recommendations:
        console().print("None of the list fits. See `nightjar model recommend --ram 16GB` for what more would bring.")
    console().print("Register one with its settings: nightjar model recommend --write MODEL")


def write_recommended(recommendations: list[Recommendation], name: str) -> None:
    """Registers a recommended model with the settings it was fitted with. Raises UnknownNameError, UsageError."""
    from nightjar.workers.library.editing import add_entry
    from nightjar.workers.library.fit.recommend import recommended_entry

    chosen = next((item for item in recommendations if item.model.name == name), None)
    if chosen is None:
        raise UnknownNameError("recommended model", name, [item.model.name for item in recommendations])
    settings = prepared()
    add_entry(settings.models_file, name, recommended_entry(chosen))
    print(f"Added {name} to {settings.models_file}. Fetch it: nightjar model pull {name}")


def _row(item: Recommendation) -> dict[str, Any]:
    model, fit = item.model, item.fit
    embeds = model.embedding_dimensions is not None
    return {
        "name": model.name,
        "repo": model.repo,
        "quantisation": model.quantisation,
        "parameters": model.parameters,
        "file_bytes": model.shape.weights_bytes,
        "memory_bytes": fit.memory.total,
        "context": fit.load.context,
        "slots": fit.load.slots,
        "cache_type": fit.load.cache_type_k,
        "offloaded_layers": fit.offloaded_layers,
        "where": _where(fit.offloaded_layers, model.layers),
        "tokens_per_s": None if embeds else round(fit.tokens_per_s, 1),
        "speed": None if embeds else fit.speed,
        "embedding_dimensions": model.embedding_dimensions,
        "licence": model.licence,
        "best_for": list(model.best_for),
        "note": model.note,
        "compromises": list(fit.notes),
    }


def _where(offloaded: int, layers: int) -> str:
    if offloaded == 0:
        return "CPU"
    return "GPU" if offloaded > layers else f"GPU {offloaded}/{layers + 1}"
