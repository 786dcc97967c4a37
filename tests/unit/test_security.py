"""What must not be in the code at all, found by reading it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("config", "jobs", "pipeline", "workers", "scripts", "web", "nightjar")
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
"""Reading what these write runs what is in it."""
CALLS = {
    "eval": "runs a text",
    "exec": "runs a text",
    "compile": "makes a text into code",
    "__import__": "imports by a text",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "yaml.load": "makes any object",
    "yaml.unsafe_load": "makes any object",
    "yaml.full_load": "makes any object",
    "numpy.load": "may unpickle",
    "np.load": "may unpickle",
    "tempfile.mktemp": "a name that anybody may take first",
}
ALLOWED = {("scripts/dev/demo_model", "compile")}
"""torch.compile, in the training of the demo model."""


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((PROJECT / room).rglob("*.py")):
            yield path.relative_to(PROJECT), ast.parse(path.read_text(encoding="utf-8"))


def faults_of(path: Path, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (f"{path}:{node.lineno} imports {name}" for name in names if name.partition(".")[0] in MODULES)  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS and (str(path.parent), called) not in ALLOWED:
                yield f"{path}:{node.lineno} calls {called}, which {CALLS[called]}"
            for keyword in node.keywords:
                given = f"{keyword.arg}={ast.unparse(keyword.value)}"
                if given in ("shell=True", "allow_pickle=True", "verify=False"):
                    yield f"{path}:{node.lineno} passes {given}"


def test_nothing_in_the_rooms_unpickles_evaluates_or_goes_through_a_shell() -> None:
    found = list(sources())
    assert len(found) > 200
    assert [fault for path, tree in found for fault in faults_of(path, tree)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "eval(x)",
        "os.system('ls')",
        "yaml.load(f)",
        "subprocess.run(x, shell=True)",
        "np.load(f, allow_pickle=True)",
        "requests.get(u, verify=False)",
    ],
)
def test_the_reading_finds_them(text: str) -> None:
    assert list(faults_of(Path("x.py"), ast.parse(text)))


async def test_arq_is_given_json_in_both_directions() -> None:
    """Its default is pickle: for what the dispatcher writes, and for what a worker reads."""
    from pydantic import SecretStr

    from nightjar.jobs import queue

    client: Any = queue.open_redis(SecretStr("redis://127.0.0.1:1"))
    assert (client.job_serializer, client.job_deserializer) == (queue.dump, queue.read_payload)

    async def start(rung: object) -> None:
        pass

    worker: Any = queue._PacedWorker(client, "m", start=start, free=lambda: 1, most=1)
    assert (worker.job_serializer, worker.job_deserializer) == (queue.dump, queue.read_payload)
    await client.aclose()


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("pwned"),))


def test_a_pickle_in_the_queue_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    from nightjar.jobs import queue

    monkeypatch.chdir(tmp_path)
    for payload in (pickle.dumps(_Bomb()), b"\x80\x05.", b"", b"{", b"[]", b'{"a": 1}', b"\xff"):
        assert queue._read(payload) is None
    assert not Path("pwned").exists()
    assert pickle.loads(pickle.dumps(_Bomb())) is None  # it would have gone off
    assert Path("pwned").exists()


def test_every_interpreter_is_started_without_the_current_folder() -> None:
    """`sys.executable` stands in one place, with -P; the tools of the makers, which run in the checkout, may."""
    tools = ("bench/beside_load.py", "bench/server.py", "collecting_bench.py")
    named = "config/installation.py"  # in commands that a person is told to type
    allowed = {"config/interpreter.py", named, *(f"scripts/dev/{tool}" for tool in tools)}
    found = {
        str(path)
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable"
    }
    assert found <= allowed, found - allowed
    from nightjar.config.interpreter import NIGHTJAR

    assert NIGHTJAR[1:] == ("-P", "-m", "nightjar")


def test_libraries_start_interpreters_without_it_too(tmp_path: Path) -> None:
    """As `multiprocessing` does: what the command sets in its environment reaches them."""
    (tmp_path / "multiprocessing").mkdir()
    (tmp_path / "multiprocessing" / "__init__.py").write_text("open('pwned', 'w')\n")
    program = tmp_path / "bin" / "program.py"
    program.parent.mkdir()
    program.write_text(
        "from nightjar.config.interpreter import distrust_current_folder\n"
        "from multiprocessing import get_context\n"
        "if __name__ == '__main__':\n"
        "    distrust_current_folder()\n"
        "    process = get_context('spawn').Process(target=print)\n"
        "    process.start(); process.join(); print(process.exitcode)\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["0"], done.stderr
    assert not (tmp_path / "pwned").exists()
