"""`python -m nightjar.scripts.dev.bench`: measures, prints the table, and writes it as JSON with its circumstances.

Exit code 0 whether or not the goals were reached: a figure is read, not obeyed. 2: wrong usage or bad input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightjar.config.errors import NightjarError
from nightjar.config.hardware import usable_cores
from nightjar.config.logging import configure
from nightjar.config.settings import Settings
from nightjar.scripts.dev.bench import measures
from nightjar.scripts.dev.bench.arguments import positive
from nightjar.scripts.dev.bench.beside_load import beside_load
from nightjar.scripts.dev.bench.circumstances import circumstances, circumstances_summary
from nightjar.scripts.dev.bench.likelihoods import likelihoods
from nightjar.scripts.dev.bench.measures import Setup
from nightjar.scripts.dev.bench.models import SIZES, build
from nightjar.scripts.dev.bench.programs import find_perplexity
from nightjar.scripts.dev.bench.rows import LEAST_ROUNDS, MOST_TIMES, BenchRow, as_json, rows_table, standing
from nightjar.scripts.dev.bench.schemas import under_schemas
from nightjar.scripts.dev.bench.server import find_server
from nightjar.workers.engine.device import this_device
from nightjar.workers.library.inspect import read_facts

ROOT = Path(__file__).parents[4]
MEASURES: dict[str, Callable[[Setup], Coroutine[Any, Any, list[BenchRow]]]] = {
    "decode": measures.decode_rates,
    "workloads": measures.against_serial_and_server,
    "verdicts": measures.verdicts,
    "pipeline": measures.whole_pipeline,
    "texts": measures.differing_texts,
    "alone": measures.one_conversation,
    "load": beside_load,
    "schemas": under_schemas,
    "likelihoods": likelihoods,
}
ON_A_GPU = ("alone",)
"""Made on a CPU only where they are named: a large model's 8,192 tokens of prompt take minutes there."""
NAMED = ("load", "schemas", "likelihoods")
"""Made only where they are named: they want a real model, a machine whose CPU computes, or minutes for one answer."""


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _arguments(argv)
    try:
        _run(arguments)
    except NightjarError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: argparse.Namespace) -> None:
    setup = _setup(arguments)
    configure(Settings(log_level="warning"))
    known = circumstances(setup)
    out = setup.folder / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    rows: list[BenchRow] = []
    usual = [name for name in MEASURES if name not in (*ON_A_GPU * this_device(None).is_cpu, *NAMED)]
    for name in arguments.only or usual:
        rows += asyncio.run(MEASURES[name](setup))
        result = {**known, "standing": standing(setup.rounds), "rows": [as_json(row) for row in rows]}
        out.write_text(json.dumps(result, indent=1), encoding="utf-8")  # a later measure may fail, after an hour
    print(circumstances_summary(known), rows_table(rows, setup.rounds), str(out), sep="\n\n")


def _setup(arguments: argparse.Namespace) -> Setup:
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    server = find_server(arguments.server, arguments.xllamacpp)
    model = arguments.model or build(SIZES[arguments.size], folder)
    facts = read_facts(model, model.stem).file_facts
    return Setup(
        model=model,
        demo=ROOT / "config/models/nightjar-demo.gguf",
        threads=arguments.threads,
        rounds=arguments.rounds,
        folder=folder,
        server=server,
        vocabulary=facts.vocabulary,
        parameters=facts.parameters,
        large=arguments.size != "60m",
        perplexity=find_perplexity(arguments.llama_perplexity),
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="any GGUF file instead of the built one")
    parser.add_argument(
        "--size",
        choices=list(SIZES),
        default="60m",
        help="of the built model: 60 M parameters in Q8_0 (the default); 0.5 B of 151,936 entries, 1.1 B, 8 B in Q4_0",
    )
    parser.add_argument("--large", action="store_const", dest="size", const="1b", help="the same as --size 1b")
    parser.add_argument("--server", metavar="PATH", help="a llama-server binary to compare with")
    parser.add_argument(
        "--xllamacpp",
        type=Path,
        metavar="PYTHON",
        help="or an interpreter whose xllamacpp wheel has the server (default: this one, where it has it)",
    )
    parser.add_argument(
        "--llama-perplexity", metavar="PATH", help="a llama-perplexity binary, for the row of `--only likelihoods`"
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=LEAST_ROUNDS,
        help=f"counted rounds of every side; from {LEAST_ROUNDS} on (the default, and least for the record) a ratio "
        f"gets up to {MOST_TIMES} times as many where they leave its goal open",
    )
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="default: the cores that are here")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="one measure; may be repeated")
    parser.add_argument("--folder", type=Path, default=ROOT / ".nightjar/bench", help="for models and results")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
