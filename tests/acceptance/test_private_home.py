"""What Nightjar keeps is its user's alone; a report that is put elsewhere is as open as the user's umask says."""

from __future__ import annotations

import stat
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nightjar.config import embedded
from nightjar.config.settings import Settings
from tests.machines import Machine
from tests.shell import PROJECT

if TYPE_CHECKING:
    from nightjar.config.embedded import ServiceUrls

EVAL = (
    *("eval", "--suite", "story-starters", "--model", "nightjar-demo", "--limit", "1", "--set", "max_tokens=4"),
    *("--gpu", "none", "--slots", "1", "--name", "r"),
)


@pytest.fixture
def machine(tmp_path: Path, services: ServiceUrls) -> Machine:
    environment = {
        "NIGHTJAR_HOME": str(tmp_path / "home"),
        "NIGHTJAR_MONGO_URL": services.mongo.get_secret_value(),
        "NIGHTJAR_REDIS_URL": services.redis.get_secret_value(),
        "NIGHTJAR_MONGO_DATABASE": f"test_{uuid.uuid4().hex[:12]}",
    }
    return Machine(package=PROJECT, user=tmp_path / "user", environment=environment)


def open_to_others(folder: Path) -> list[str]:
    """Everything of the folder, itself too, that others have any right to."""
    there = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return [str(path.relative_to(folder.parent)) for path in there if path.stat().st_mode & 0o077]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_fresh_home_is_private_and_a_report_elsewhere_is_not(machine: Machine, tmp_path: Path) -> None:
    """After a whole evaluation: logs, reports, digests, usage. With `--out`, what umask 022 gives."""
    home, out = tmp_path / "home", tmp_path / "work" / "shared" / "reports"
    machine.ok(tmp_path / "work", *EVAL)
    assert (home / "reports" / "r.html").is_file()
    assert (home / "logs" / "eval.log").is_file()
    assert open_to_others(home) == []
    machine.ok(tmp_path / "work", "report", "r", "--out", str(out), "--format", "html,csv,sft")
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) > 2
    assert {mode(path) for path in written} == {0o644}
    assert (mode(out), mode(out.parent)) == (0o755, 0o755)
    machine.ok(tmp_path / "work", "run", "export", "r", "--out", "r.run.json")
    assert mode(tmp_path / "work" / "r.run.json") == 0o644


def test_a_home_that_others_can_read_is_closed(machine: Machine, tmp_path: Path) -> None:
    """As an older version left it; by the first command, which only reads. Another folder's files are not touched."""
    home = tmp_path / "home"
    for name in ("reports/old.html", "logs/eval.log", "digests.json", "users-own.txt"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
        (home / name).chmod(0o644)
    (tmp_path / "elsewhere.html").write_text("x")
    (tmp_path / "elsewhere.html").chmod(0o644)
    (home / "reports" / "link.html").symlink_to(tmp_path / "elsewhere.html")
    for folder in (home, home / "reports", home / "logs"):
        folder.chmod(0o755)
    machine.ok(tmp_path / "work", "run", "list")
    assert open_to_others(home) == ["home/users-own.txt"], "in a folder that nobody else can enter"
    assert mode(tmp_path / "elsewhere.html") == 0o644


def test_the_servers_of_a_fresh_home_are_private(machine: Machine, tmp_path: Path) -> None:
    own = Machine(package=PROJECT, user=machine.user, environment={"NIGHTJAR_HOME": str(tmp_path / "deep" / "home")})
    try:
        own.ok(tmp_path / "work", "services", "up")
        assert open_to_others(tmp_path / "deep" / "home") == []
    finally:
        embedded.down(Settings(home=tmp_path / "deep" / "home"))
