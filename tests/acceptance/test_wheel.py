"""The package as people install it: one folder at its top, and docs/install.md followed from the first command to the
last, beside a user's own `jobs/` and `config.py`, with nothing written into the package.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.shell import PROJECT, QUICK

NEVER = ("nightjar.toml", ".models.toml.lock", ".env", "__pycache__")
"""Left in a working checkout, and nobody else's business."""
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDEX = "no package index can be reached; the fixture `installed` has pip install the wheel"
TOOL = "needs this tool and a package index"
CUDA = "compiles for a card that is not there"
NOT_RUN = {
    "python3 -m pip install nightjar-eval  # in a virtual environment": INDEX,
    "uv tool install nightjar-eval": TOOL,
    "pipx install nightjar-eval": TOOL,
    "python3 -m pip wheel --no-deps --wheel-dir dist .": "the fixture `wheel` does, from a copy of the checkout",
    'CMAKE_ARGS="-DGGML_CUDA=on" python3 -m pip install --no-cache-dir nightjar-eval': CUDA,
    'CMAKE_ARGS="-DGGML_CUDA=on" uv tool install --no-cache nightjar-eval': CUDA,
    'CMAKE_ARGS="-DGGML_CUDA=on" pipx install --pip-args=--no-cache-dir nightjar-eval': CUDA,
    "python3 -m pip install --upgrade nightjar-eval": INDEX,
    "uv tool upgrade nightjar-eval": TOOL,
    "pipx upgrade nightjar-eval": TOOL,
    "python3 -m pip wheel --wheel-dir wheels nightjar-eval": INDEX,
    "python3 -m pip install --no-index --find-links wheels nightjar-eval": "wants wheels of all dependencies",
    "python3 -m pip uninstall nightjar-eval": "the environment is removed with the test's folder",
    "uv tool uninstall nightjar-eval": TOOL,
    "pipx uninstall nightjar-eval": TOOL,
}
"""Commands of the page that a machine without network, card, uv and pipx cannot run, and why."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which people have worked."""
    checkout = tmp_path_factory.mktemp("built") / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        source = PROJECT / name
        if source.is_symlink() or source.is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, checkout / name, follow_symlinks=False)
    for left in ("config/nightjar.toml", "config/.models.toml.lock", ".env"):
        (checkout / left).write_text("secret = 1")
    return checkout


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    out = checkout.parent / "out"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(checkout)], check=True, timeout=240)
    return next(out.glob("*.whl"))


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An environment with the wheel, of which nothing can be changed, and a user with folders of their own."""

    environment: Path
    user: Path

    @property
    def site(self) -> Path:
        return next(self.environment.glob("lib/python*/site-packages"))

    @property
    def data(self) -> Path:
        return self.user / ".local/share/nightjar"

    def files(self) -> dict[str, tuple[int, int]]:
        """What is installed, with sizes and times."""
        states = {path: path.lstat() for path in sorted(self.site.rglob("*"))}
        return {str(path): (state.st_size, state.st_mtime_ns) for path, state in states.items()}

    def run(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """A line typed by this user in a shell."""
        path = os.pathsep.join([str(self.environment / "bin"), os.environ["PATH"]])
        bare = {"PATH": path, "HOME": str(self.user), "COLUMNS": "200", "NIGHTJAR_MONGO_CACHE_GB": "0.25"}
        line = ["bash", "-c", command]
        return subprocess.run(
            line, cwd=folder, env=bare | QUICK, capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL
        )

    def servers(self) -> dict[str, psutil.Process]:
        """The embedded servers of this user that are alive."""
        living = (process for process in psutil.process_iter(["cwd", "status"]) if process.info["status"] != "zombie")
        return {p.name(): p for p in living if (p.info["cwd"] or "").startswith(str(self.data))}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """With our dependencies, but no checkout of ours."""
    place = tmp_path_factory.mktemp("installed")
    machine = Installed(environment=place / "venv", user=place / "user")
    machine.user.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", machine.environment], check=True, timeout=240)
    pip = [sys.executable, "-m", "pip", "--python", str(machine.environment / "bin/python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, timeout=240)
    (machine.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for path in (machine.site, *machine.site.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    return machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: its modules have the names that our rooms have, and must not be imported."""
    for module in ("config.py", "jobs/__init__.py", "scripts/__init__.py", "nightjar_scorers.py"):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text("raise RuntimeError('this is not yours')")
    return tmp_path


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"nightjar"}
    rooms = {name.split("/")[1] for name in names if name.startswith("nightjar/") and name.count("/") > 1}
    assert {"config", "jobs", "pipeline", "scripts", "web", "workers"} <= rooms
    assert wheel.name.startswith("nightjar_eval-")
    assert not [name for name in names if Path(name).name in NEVER]
    assert any(name.endswith("config/models/nightjar-demo.gguf") for name in names)


def test_so_does_what_is_published_as_source(checkout: Path) -> None:
    """The rooms once, with the tests, and nothing that people left in them."""
    out = checkout.parent / "source"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(out)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True, timeout=240)
    with tarfile.open(next(out.glob("nightjar_eval-*.tar.gz"))) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {name.partition("/")[0] for name in names if "/" in name} == {"nightjar", "tests"}
    rooms = {name.split("/")[1] for name in names if name.startswith("nightjar/") and name.count("/") > 1}
    assert {"config", "jobs", "pipeline", "scripts", "web", "workers"} <= rooms
    assert not [name for name in names if Path(name).name in NEVER]
    assert "pyproject.toml" in names


def test_it_runs_beside_modules_of_the_same_names(installed: Installed, folder: Path) -> None:
    """As a command and as a module, with a model that came along."""
    told = {}
    for command in (
        "nightjar --help",
        "nightjar try Hello. -m nightjar-demo --set max_tokens=12",
        "python -P -m nightjar model list --json",
    ):
        done = installed.run(f"NIGHTJAR_HOME={folder}/home {command}", folder)
        assert done.returncode == 0, (command, done.stderr)
        told[command.split()[1]] = done.stdout
    assert "eval" in told["--help"]
    assert told["try"].strip()
    assert "nightjar-demo" in told["-P"]


def test_the_page_is_followed_from_install_to_uninstall(installed: Installed, folder: Path) -> None:
    """One pair of servers serves two folders, data and registry lie in the user's own folders, nothing is written into
    the package or the current folder, and at the end nothing runs and nothing is left but what is said."""
    commands = "".join(BLOCK.findall((PROJECT / "docs/install.md").read_text("utf-8"))).splitlines()
    assert NOT_RUN.keys() <= set(commands), "a reason for a command that the page no longer has"
    before, mine = installed.files(), sorted(folder.rglob("*"))
    shutil.copy(PROJECT / "config/models/nightjar-demo.gguf", installed.user / "story.gguf")
    other = folder.parent / f"{folder.name}-other"
    other.mkdir()
    said: dict[str, str] = {}
    servers: list[dict[str, int]] = []
    try:
        for command in (command for command in commands if command not in NOT_RUN):
            done = installed.run(command, other if "report" in command else folder)
            assert "Traceback" not in done.stderr, (command, done.stderr)
            assert done.returncode == 0 or command == "nightjar doctor", (command, done.stdout, done.stderr)
            said[command] = done.stdout
            if command.startswith(("nightjar eval", "nightjar report")):
                servers.append({name: process.pid for name, process in installed.servers().items()})
    finally:
        outlived = installed.servers()
        for process in outlived.values():
            process.terminate()
    assert not outlived
    assert servers[0] == servers[1]
    assert servers[0].keys() == {"mongod", "redis-server"}

    report = json.loads((other / "first-report/first.json").read_text())
    assert {job["status"] for job in report["jobs"]} == {"DONE"}
    assert f"{installed.data}, your data folder" in said["nightjar doctor"]
    assert f"Added story to {installed.data}/models.toml" in said["nightjar model add ~/story.gguf --name story"]
    assert {"story", "nightjar-demo"} <= set(said["NIGHTJAR_OFFLINE=true nightjar model list"].split())
    assert installed.files() == before
    assert sorted(folder.rglob("*")) == mine

    shown, removed = said["nightjar uninstall"], said["nightjar uninstall --data --yes"]
    assert "Running: mongo" in shown
    assert "`nightjar uninstall --data` ends what works there and removes all this." in shown
    for text in (shown, removed):
        assert f"{installed.environment}/bin/python -m pip uninstall nightjar-eval" in text
    assert not installed.data.exists()
    assert (installed.user / "nightjar-before/mongo").is_dir()
