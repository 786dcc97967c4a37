"""How this Nightjar was installed, and so the commands that add an extra, build llama.cpp again, or remove it. Pure but
for a look at the environment's own notes.
"""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from importlib import metadata
from pathlib import Path

from nightjar.config.project import checkout_folder

DISTRIBUTION = "nightjar-eval"
"""What is installed; `nightjar` on the package index is another project."""


class Installer(Enum):
    """Who installed it, and can change or remove it."""

    CHECKOUT = "checkout"
    PIP = "pip"
    PIPX = "pipx"
    UV_PIP = "uv pip"
    UV_TOOL = "uv tool"


def installer() -> Installer:
    """Read from what each of them leaves in an environment."""
    if checkout_folder() is not None:
        return Installer.CHECKOUT
    if (Path(sys.prefix) / "uv-receipt.toml").is_file():
        return Installer.UV_TOOL
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return Installer.PIPX
    return Installer.UV_PIP if _noted() == "uv" else Installer.PIP


def extra_line(extra: str) -> str:
    """The command that adds an extra, such as `parquet`."""
    wanted = f"'{DISTRIBUTION}[{extra}]'"
    return {
        Installer.CHECKOUT: f"{_PIP} install -e {shlex.quote(f'{checkout_folder()}[{extra}]')}",
        Installer.PIP: f"{_PIP} install {wanted}",
        Installer.PIPX: f"pipx install --force {wanted}",
        Installer.UV_PIP: f"{_UV_PIP} install {_UV_PYTHON} {wanted}",
        Installer.UV_TOOL: f"uv tool install {wanted}",
    }[installer()]


def rebuild_line(flags: str) -> str:
    """The command that builds llama-cpp-python again, with CMake's flags.

    Without the caches, from which pip and uv would take the very build that is to be replaced.
    """
    version = metadata.version("llama-cpp-python")
    what = f"--no-binary llama-cpp-python llama-cpp-python=={version}"
    pip = f"install --no-deps --force-reinstall --no-cache-dir {what}"
    uv = f"{_UV_PIP} install {_UV_PYTHON} --no-deps --reinstall --no-cache {what}"
    command = {
        Installer.CHECKOUT: f"{_PIP} {pip.replace('install', 'install --no-build-isolation', 1)}",
        Installer.PIP: f"{_PIP} {pip}",
        Installer.PIPX: f"pipx runpip {DISTRIBUTION} {pip}",
        Installer.UV_PIP: uv,
        Installer.UV_TOOL: uv,
    }[installer()]
    return f'CMAKE_ARGS="{flags}" {command}'


def removal_line() -> str:
    """The command that removes the program, and leaves all data."""
    return {
        Installer.CHECKOUT: f"rm -r {shlex.quote(str(checkout_folder()))}  # the checkout, with all that lies in it",
        Installer.PIP: f"{_PIP} uninstall {DISTRIBUTION}",
        Installer.PIPX: f"pipx uninstall {DISTRIBUTION}",
        Installer.UV_PIP: f"{_UV_PIP} uninstall {_UV_PYTHON} {DISTRIBUTION}",
        Installer.UV_TOOL: f"uv tool uninstall {DISTRIBUTION}",
    }[installer()]


def _noted() -> str:
    try:
        return (metadata.distribution(DISTRIBUTION).read_text("INSTALLER") or "").strip()
    except metadata.PackageNotFoundError:  # run from a folder on the path
        return ""


_PIP = f"{shlex.quote(sys.executable)} -m pip"
_UV_PIP = "uv pip"
_UV_PYTHON = f"--python {shlex.quote(sys.executable)}"
