"""`python -m scripts.bench`: measures, prints the table, and writes it as JSON with machine, versions and settings."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from config.hardware import usable_cores
from scripts.bench import measures
from scripts.bench.measures import Row, Setup
from scripts.bench.models import LARGE, SMALL, build
from scripts.bench.server import ServerProgram
from workers.engine.device import this_device
from workers.library.inspect import read_facts

ROOT = Path(__file__).parents[2]
MEASURES: dict[str, Callable[[Setup], Coroutine[Any, Any, list[Row]]]] = {
    "decode": measures.decode_rates,
    "workloads": measures.against_serial_and_server,
    "verdicts": measures.verdicts,
    "pipeline": measures.whole_pipeline,
    "texts": measures.differing_texts,
}


def main() -> None:
    arguments = _arguments()
    folder: Path = arguments.folder
    model = arguments.model or build(LARGE if arguments.large else SMALL, folder)
    setup = Setup(
        model=model,
        demo=ROOT / "config/models/nightjar-demo.gguf",
        threads=arguments.threads,
        rounds=arguments.rounds,
        folder=folder,
        server=_server(arguments),
        vocabulary=read_facts(model, model.stem).vocabulary,
        large=arguments.large,
    )
    rows: list[Row] = []
    for name in arguments.only or MEASURES:
        rows += asyncio.run(MEASURES[name](setup))
    result = {**_circumstances(setup), "rows": [measures.as_json(row) for row in rows]}
    out = folder / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(table(rows))
    print(f"\n{out}")


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| measure | reached | goal | |", "|---|---|---|---|"]
    for row in rows:
        value = "-" if row.value is None else f"{row.value:.2f} {row.unit}".strip()
        mark = {True: "yes", False: "NO", None: "not measured"}[row.reached]
        lines.append(f"| {row.measure} | {value} | {'<=' if row.at_most else '>='} {row.goal:g} | {mark}; {row.note} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--model", type=Path, help="any GGUF file instead of the built one")
    parser.add_argument("--large", action="store_true", help="a 1 B Q4_0 model instead of 60 M Q8_0")
    parser.add_argument("--server", type=Path, help="a llama-server binary to compare with")
    parser.add_argument("--xllamacpp", type=Path, help="or a Python interpreter that has the xllamacpp wheel")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of every side (default 5)")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="one measure; may be repeated")
    parser.add_argument("--folder", type=Path, default=ROOT / ".nightjar/bench", help="for models and results")
    return parser.parse_args()


def _server(arguments: argparse.Namespace) -> ServerProgram | None:
    if arguments.server:
        return ServerProgram(path=arguments.server, is_python=False)
    return ServerProgram(path=arguments.xllamacpp, is_python=True) if arguments.xllamacpp else None


def _circumstances(setup: Setup) -> dict[str, Any]:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": this_device(None).described(setup.threads),
        "system": platform.platform(),
        "python": platform.python_version(),
        "llama_cpp_python": version("llama-cpp-python"),
        "model": setup.model.name,
        "threads": setup.threads,
        "rounds": setup.rounds,
        "server": str(setup.server.path.name) if setup.server else None,
    }


if __name__ == "__main__":
    main()
