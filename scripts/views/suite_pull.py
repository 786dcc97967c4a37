"""Fetches a benchmark's data from the hub, checked, and makes a suite of it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.config.counting import how_many
from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.withheld import WHY_WITHHELD
from nightjar.scripts.views.output import plain

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.pipeline.suites.benchmarks.catalogue import Benchmark, HowAsked
    from nightjar.pipeline.suites.content import SuiteContent
    from nightjar.workers.library.hub import Hub, Listing
    from nightjar.workers.library.quants import RemoteFile

MOST_BYTES = 512 * 2**20
"""Of a Parquet file, unpacked."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkOffer:
    """What a pull would fetch."""

    benchmark: Benchmark
    asked: HowAsked
    listing: Listing
    files: dict[str, list[RemoteFile]]
    """By split."""

    @property
    def words(self) -> str:
        """For people, before anything is fetched."""
        files = [file for of_split in self.files.values() for file in of_split]
        size = sum(file.bytes for file in files) / 1e6
        said = (
            f"{self.benchmark.name}: {self.benchmark.title}. {self.listing.repo} at {self.listing.commit}, "
            f"{how_many(len(files), 'file')}, {size:.1f} MB, licence: {self.listing.licence or 'not given'}."
        )
        return f"{said} {WHY_WITHHELD}" if self.benchmark.withheld else said

    def shown(self) -> dict[str, Any]:
        """For `--json`."""
        files = [
            {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
            for of_split in self.files.values()
            for file in of_split
        ]
        return {
            "name": self.benchmark.name,
            "repo": self.listing.repo,
            "commit": self.listing.commit,
            "licence": self.listing.licence,
            "files": files,
        }


def known_benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises UnknownNameError with the nearest names."""
    from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS

    if name not in BENCHMARKS:
        raise UnknownNameError("benchmark", name, BENCHMARKS, "`nightjar suite pull` without a name lists them.")
    return BENCHMARKS[name]


def offer(benchmark: Benchmark, asked: HowAsked, hub: Hub, revision: str | None) -> BenchmarkOffer:
    """What the hub has of it. Raises HubError, UnknownNameError, SuiteError, UsageError."""
    from nightjar.pipeline.suites.benchmarks.catalogue import file_of, splits_needed

    splits = splits_needed(benchmark, asked)
    if benchmark.withheld and not hub.has_token:
        raise UsageError(
            f"The makers of {benchmark.name} give it to those whom they know: accept its terms at "
            f"{hub.endpoint}/datasets/{benchmark.repo}, and set HF_TOKEN to a token of that account."
        )
    if benchmark.needs is not None:
        benchmark.needs()
    listing = hub.listing(benchmark.repo, revision, "dataset")
    by_name = {file.name: file for file in listing.files}
    files = {split: [by_name[name] for name in file_of(benchmark, split, list(by_name))] for split in splits}
    return BenchmarkOffer(benchmark=benchmark, asked=asked, listing=listing, files=files)


def fetch_suite(offered: BenchmarkOffer, hub: Hub) -> SuiteContent:
    """The suite, of files that are gone when it returns. Raises HubError, SuiteError, OutputError, UsageError."""
    from nightjar.pipeline.suites.benchmarks.catalogue import pulled_from, suite_of
    from nightjar.scripts.views.model_pull import bar
    from nightjar.workers.library.digests import sha256

    rows: dict[str, list[Any]] = {}
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="nightjar-suite-") as folder, bar() as progress:
        for split, files in offered.files.items():
            progress.start(f"{offered.benchmark.name} {split}", sum(file.bytes for file in files))
            for file in files:
                path = hub.fetch(offered.listing, file, Path(folder), progress.advance)
                digests[file.name] = file.sha256 or sha256([path])
                rows.setdefault(split, []).extend(_rows(path, file.name))
    content = suite_of(offered.benchmark, rows, offered.asked, offered.listing.licence)
    return content.model_copy(update={"source": pulled_from(offered.listing.repo, offered.listing.commit, digests)})


def _rows(path: Path, name: str) -> list[Any]:
    from nightjar.pipeline.suites.csv_text import parse_csv
    from nightjar.pipeline.suites.json_text import parse_json_lines
    from nightjar.pipeline.suites.parquet_rows import read_parquet

    if name.endswith(".parquet"):
        return list(read_parquet(path, MOST_BYTES))
    if name.endswith(".csv"):
        return list(parse_csv(path.read_text("utf-8"), name).data)
    return list(parse_json_lines(path.read_text("utf-8"), name).data)


def print_benchmarks() -> None:
    """The benchmarks that can be pulled."""
    from nightjar.pipeline.suites.benchmarks.catalogue import BENCHMARKS
    from nightjar.scripts.views.output import console, table

    rows = [
        [one.name, one.title, one.repo, str(one.shots) if one.takes_shots else "-", one.metric]
        for one in BENCHMARKS.values()
    ]
    console().print(table(None, ("benchmark", "what", "data", "examples>", "metric"), rows))


def hub_for(settings: Settings) -> Hub:
    """The hub of the settings. Raises HubError where it may not be asked."""
    from nightjar.workers.library.hub import Hub

    return Hub(settings)


def tell_offer(offered: BenchmarkOffer) -> None:
    """What will be fetched, before it is."""
    print(plain(offered.words))
