"""The environment has one reader."""

from __future__ import annotations

import ast
from pathlib import Path

from nightjar import config

ROOT = Path(config.__file__).resolve().parent.parent
ALLOWED = {
    "config/settings.py",  # the reader
    "scripts/one_prompt.py",  # pins this process to the card of --gpu
    "scripts/dev/train_demo_model.py",  # quiets the tokenizer library; not part of the pipeline
    "pipeline/notify/command.py",  # hands it on to a command of --on-finish
    "scripts/dev/bench/whole.py",  # gives the processes it measures a home of their own
    "scripts/dev/collecting_bench.py",  # and a database
    "config/limited_process.py",  # hands on what Python needs to start, and nothing else
    "workers/engine/llama/library.py",  # tells llama.cpp to end at once where it aborts
    "config/endpoint_keys.py",  # a key, by the name that models.toml gives
    "config/interpreter.py",  # keeps the current folder off the module path of what it starts
    "workers/process/supervisor.py",  # hands it on to the worker processes
    "workers/library/hub.py",  # tells the hub's library where its files belong, before it is imported
}
NAMES = {"environ", "environb", "getenv", "getenvb", "putenv"}


def uses(path: Path) -> set[str]:
    """What the file takes from os to get at the environment, whether as `os.environ` or imported by name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            found.update(alias.name for alias in node.names)
    return found & NAMES


def test_only_the_settings_read_the_environment() -> None:
    rooms = [
        path for room in ("config", "jobs", "pipeline", "workers", "scripts") for path in (ROOT / room).rglob("*.py")
    ]
    assert len(rooms) > 50
    guilty = {str(path.relative_to(ROOT)) for path in rooms if uses(path)}
    assert guilty <= ALLOWED
    assert "config/settings.py" in guilty, "the search finds what it looks for"
