"""What keeps the house findable: one meaning a name, an opening line and an end for each file, raw data in one room."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("config", "jobs", "pipeline", "workers", "scripts", "web", "nightjar")
LONGEST = 400
COLLECTIONS = {"raw", "jobs", "runs", "workers", "worker_records", "leases"}
"""Attributes of `jobs.database.Database` that hand out raw collections."""
RAW_ELSEWHERE = {
    "pipeline/closing/close.py",
    "pipeline/closing/endings.py",
    "pipeline/closing/finish.py",
    "pipeline/collect/collector.py",
    "pipeline/collect/score_store.py",
    "pipeline/compare/baseline.py",
    "pipeline/embedding/write_jobs.py",
    "pipeline/judging/read_counts.py",
    "pipeline/judging/read_judged.py",
    "pipeline/judging/read_results.py",
    "pipeline/judging/start.py",
    "pipeline/judging/write_jobs.py",
    "pipeline/nights/retention.py",
    "pipeline/nights/schedules.py",
    "pipeline/notify/deliveries.py",
    "pipeline/runs/preflight.py",
    "pipeline/runs/producer.py",
    "pipeline/runs/repeat.py",
    "pipeline/runs/write_jobs.py",
    "pipeline/suites/importer.py",
    "scripts/dev/bench/whole.py",
    "scripts/dev/collecting_bench.py",
    "workers/conversation/embedding.py",
}
SHARED_NAMES = {
    "main": "the entry of a program",
    "load": "`nightjar.load` is what a program calls, `workers.engine.loading.load` what it stands on",
    **dict.fromkeys(
        ("adopt", "answers", "command", "protect", "unreadable", "url"),
        "config.mongod and config.redis_server are two of a kind",
    ),
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((PROJECT / room).rglob("*.py")):
            yield str(path.relative_to(PROJECT)), ast.parse(path.read_text(encoding="utf-8"))


def public_names(tree: ast.Module) -> Iterator[str]:
    """Of functions, classes and names of types; type variables are their files' own."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not _is_type_variable(node.value):
            name = _type_name(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        else:
            continue
        if name and not name.startswith("_"):
            yield name


def _type_name(target: ast.expr) -> str:
    """A type's name is written LikeThis, and a constant's LIKE_THIS."""
    name = target.id if isinstance(target, ast.Name) else ""
    return name if name[:1].isupper() and name.upper() != name else ""


def _is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"


def raw_accesses(tree: ast.AST) -> int:
    """Uses of raw collections: `database.raw`, `session.database.jobs`, `self._database.runs`, ..."""
    return sum(
        isinstance(node, ast.Attribute)
        and node.attr in COLLECTIONS
        and isinstance(node.value, ast.Name | ast.Attribute)
        and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr).lstrip("_") == "database"
        for node in ast.walk(tree)
    )


def test_a_public_name_means_one_thing() -> None:
    """Functions, classes and types; a command is named after what is typed, and its file says which."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path, tree in sources():
        if not path.startswith("scripts/commands/"):
            for name in public_names(tree):
                homes[name].append(path)
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in SHARED_NAMES} == {}
    assert set(twice) == set(SHARED_NAMES), "an exception that nobody needs goes"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(): ...\nasync def g(): ...\nclass C: ...", ["f", "g", "C"]),
        ("Row = dict[str, int]\nRows: TypeAlias = list[Row]", ["Row", "Rows"]),
        ("Text = Annotated[str, 1]\nDone = Literal[True]", ["Text", "Done"]),
        ("_Row = dict[str, int]\ndef _f(): ...", []),
        ("MOST = 3\nlog = 1\nT = TypeVar('T')\nKey = TypeVar('Key')\na.Row = 1", []),
    ],
)
def test_the_search_for_public_names_finds_them(code: str, names: list[str]) -> None:
    assert list(public_names(ast.parse(code))) == names


def test_every_file_opens_with_what_lives_there() -> None:
    silent = [path for path, tree in sources() if tree.body and not (ast.get_docstring(tree) or "").strip()]
    assert silent == []


def test_no_file_is_too_long_to_read() -> None:
    long = {
        path: lines
        for path, _ in sources()
        if (lines := len((PROJECT / path).read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_raw_collections_stay_in_jobs() -> None:
    """Elsewhere documents and the functions of `jobs` are asked; what is left is listed, and the list shrinks."""
    outside = {path for path, tree in sources() if not path.startswith("jobs/") and raw_accesses(tree)}
    assert outside == RAW_ELSEWHERE


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("await database.jobs.find({})", 1),
        ("session.database.raw['suites'].distinct('name')", 1),
        ("self._database.runs.find_one()", 1),
        ("run.jobs", 0),  # of something else
        ("database.now()", 0),  # no collection
    ],
)
def test_the_search_for_raw_collections_finds_them(code: str, count: int) -> None:
    assert raw_accesses(ast.parse(f"async def f(): {code}")) == count
