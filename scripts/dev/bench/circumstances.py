"""What a result is worth only together with: the machine, the versions, the settings."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from nightjar.config.errors import ServiceError
from nightjar.config.hardware import memory_limit, usable_cores
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.scripts.dev.bench.measures import CONTEXT, DECODE_CONTEXT, DECODE_COUNTS, SLOTS, Setup
from nightjar.workers.engine.device import this_device
from nightjar.workers.engine.llama.library import BUILD
from nightjar.workers.engine.loading import resolve_load
from nightjar.workers.library.inspect import read_facts
from nightjar.workers.process.gpus import list_cards


def circumstances(setup: Setup) -> dict[str, Any]:
    """Date, model, machine, versions and settings, for the JSON."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "model": {"file": setup.model.name, "bytes": setup.model.stat().st_size},
        "machine": _machine(),
        "versions": _versions(setup),
        "settings": _settings(setup),
    }


def circumstances_summary(known: dict[str, Any]) -> str:
    """The same in a few lines, to stand over the table."""
    machine, versions, settings = known["machine"], known["versions"], known["settings"]
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no NVIDIA GPU"
    return "\n".join(
        [
            f"{known['date'][:10]}, {known['model']['file']} on {settings['device']}",
            f"machine: {machine['cpu']}, {machine['usable_cores']} of {machine['cores']} cores, "
            f"{machine['memory_bytes'] / 2**30:.1f} GiB, {gpus}, {machine['system']}",
            "versions: " + ", ".join(f"{name} {value or '-'}" for name, value in versions.items()),
            "settings: " + ", ".join(f"{name} {value}" for name, value in settings.items() if name != "device"),
        ]
    )


def _machine() -> dict[str, Any]:
    return {
        "cpu": this_device("none").name,
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": memory_limit(),
        "gpus": [{"name": card.name, "memory_bytes": card.memory_bytes} for card in list_cards()],
        "system": platform.platform(),
    }


def _versions(setup: Setup) -> dict[str, str | None]:
    return {
        "nightjar": NIGHTJAR_VERSION,
        "python": platform.python_version(),
        "llama-cpp-python": version("llama-cpp-python"),
        "llama.cpp": BUILD.removeprefix("llama.cpp "),
        "server": _server_version(setup),
    }


def _server_version(setup: Setup) -> str | None:
    """Or why it has none: a wheel may be made for newer processors than this one."""
    try:
        return setup.server.version() if setup.server else None
    except ServiceError as error:
        return str(error)


def _settings(setup: Setup) -> dict[str, Any]:
    """As the engine resolves them for this device; the server has slots, context and threads of these."""
    device = this_device(None)
    facts = read_facts(setup.model, setup.model.stem)
    resolved, _ = resolve_load(setup.model, setup.load(), facts, device)
    return {
        "device": device.described(resolved.threads),
        "threads": resolved.threads,
        "slots": SLOTS,
        "context": CONTEXT,
        "decode_slots": list(DECODE_COUNTS),
        "decode_context": DECODE_CONTEXT,
        "n_batch": resolved.n_batch,
        "n_ubatch": resolved.n_ubatch,
        "flash_attention": resolved.flash_attention,
        "cache_type_k": resolved.cache_type_k,
        "cache_type_v": resolved.cache_type_v,
        "rounds": setup.rounds,
        "large": setup.large,
    }
