"""Which command adds an extra, builds llama.cpp again or removes the program: it depends on who installed it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nightjar.config import installation
from nightjar.config.installation import Installer, extra_line, installer, rebuild_line, removal_line

PROJECT = Path(__file__).resolve().parents[3]


def as_installed_by(monkeypatch: pytest.MonkeyPatch, prefix: Path, note: str, files: tuple[str, ...]) -> None:
    """An environment as that tool leaves it."""
    monkeypatch.setattr(installation, "checkout_folder", lambda: None)
    monkeypatch.setattr(installation, "_noted", lambda: note)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    for name in files:
        (prefix / name).touch()


@pytest.mark.parametrize(
    ("note", "files", "found", "extra", "rebuilt", "removed"),
    [
        (
            "pip",
            (),
            Installer.PIP,
            f"{sys.executable} -m pip install 'nightjar-eval[parquet]'",
            f"{sys.executable} -m pip install --no-deps --force-reinstall --no-cache-dir",
            f"{sys.executable} -m pip uninstall nightjar-eval",
        ),
        (
            "pip",
            ("pipx_metadata.json",),
            Installer.PIPX,
            "pipx install --force 'nightjar-eval[parquet]'",
            "pipx runpip nightjar-eval install --no-deps",
            "pipx uninstall nightjar-eval",
        ),
        (
            "uv",
            ("uv-receipt.toml",),
            Installer.UV_TOOL,
            "uv tool install 'nightjar-eval[parquet]'",
            f"uv pip install --python {sys.executable} --no-deps --reinstall --no-cache",
            "uv tool uninstall nightjar-eval",
        ),
        (
            "uv",
            (),
            Installer.UV_PIP,
            f"uv pip install --python {sys.executable} 'nightjar-eval[parquet]'",
            f"uv pip install --python {sys.executable} --no-deps --reinstall --no-cache",
            f"uv pip uninstall --python {sys.executable} nightjar-eval",
        ),
    ],
)
def test_commands_are_those_of_the_tool_that_installed_it(
    note: str,
    files: tuple[str, ...],
    found: Installer,
    extra: str,
    rebuilt: str,
    removed: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    as_installed_by(monkeypatch, tmp_path, note, files)
    assert installer() is found
    assert extra_line("parquet") == extra
    assert rebuild_line("-DGGML_CUDA=on").startswith(f'CMAKE_ARGS="-DGGML_CUDA=on" {rebuilt}')
    assert removal_line() == removed


def test_a_checkout_is_installed_from_itself() -> None:
    """Wherever the command is typed; its build tools are locked, so llama.cpp is built with those."""
    assert installer() is Installer.CHECKOUT
    assert extra_line("parquet") == f"{sys.executable} -m pip install -e '{PROJECT}[parquet]'"
    assert " -m pip install --no-build-isolation --no-deps --force-reinstall --no-cache-dir " in rebuild_line("-D")
    assert removal_line().startswith(f"rm -r {PROJECT}  # the checkout")
