"""The package as pip installs it: one folder at its top, and it works beside a user's own `jobs/` and `config.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.shell import PROJECT

NEVER = ("nightjar.toml", ".models.toml.lock", ".env", "__pycache__")
"""Left in a working checkout, and nobody else's business."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a checkout in which people have worked."""
    checkout = tmp_path_factory.mktemp("built") / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        source = PROJECT / name
        if source.is_symlink() or source.is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, checkout / name, follow_symlinks=False)
    for left in ("config/nightjar.toml", "config/.models.toml.lock", ".env"):
        (checkout / left).write_text("secret = 1")
    out = checkout.parent / "out"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(checkout)], check=True, timeout=240)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and our dependencies but no checkout of ours."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=240)
    programs = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, timeout=240)
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: its modules have the names that our rooms have, and must not be imported."""
    for module in ("config.py", "jobs/__init__.py", "scripts/__init__.py", "nightjar_scorers.py"):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text("raise RuntimeError('this is not yours')")
    return tmp_path


def run(programs: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NIGHTJAR_", "PYTHONPATH"))}
    environment = kept | {"NIGHTJAR_HOME": str(folder / "home"), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"nightjar"}
    rooms = {name.split("/")[1] for name in names if name.startswith("nightjar/") and name.count("/") > 1}
    assert {"config", "jobs", "pipeline", "scripts", "web", "workers"} <= rooms
    assert wheel.name.startswith("nightjar_eval-")
    assert not [name for name in names if Path(name).name in NEVER]
    assert any(name.endswith("config/models/nightjar-demo.gguf") for name in names)


def test_it_runs_beside_modules_of_the_same_names(installed: Path, folder: Path) -> None:
    done = run(installed, folder, "nightjar", "--help")
    assert done.returncode == 0, done.stderr
    done = run(installed, folder, "nightjar", "try", "Hello.", "-m", "nightjar-demo", "--set", "max_tokens=12")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    done = run(installed, folder, str(installed / "python"), "-P", "-m", "nightjar", "model", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert "nightjar-demo" in done.stdout


def test_the_registry_of_an_installed_package_lies_under_the_home(installed: Path, folder: Path) -> None:
    """Nothing is written into site-packages, and what comes with the package stays known."""
    shutil.copy(PROJECT / "config/models/nightjar-demo.gguf", folder / "own.gguf")
    done = run(installed, folder, "nightjar", "model", "add", "own.gguf", "--name", "own")
    assert done.returncode == 0, done.stderr
    assert "[own]" in (folder / "home" / "models.toml").read_text()
    listed = run(installed, folder, "nightjar", "model", "list", "--json").stdout
    assert '"own"' in listed
    assert '"nightjar-demo"' in listed
