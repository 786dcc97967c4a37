"""The systemd units and the container file: sound, and in agreement with the settings they rest on."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[3] / "scripts" / "deploy"
UNITS = ("nightjar-worker@.service", "nightjar-dispatcher.service", "nightjar-web.service", "nightjar-remote@.service")
PROGRAM = "/opt/nightjar/.venv/bin/nightjar"


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of options are case-sensitive here
    parser.read(DEPLOY / name)
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Installed as its administrator would, with another program in Nightjar's place."""
    files = []
    for name in UNITS:
        files.append(tmp_path / name.replace("@.", "@0."))
        files[-1].write_text((DEPLOY / name).read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, files)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_a_unit_hardly_exposed(name: str, tmp_path: Path) -> None:
    """By its own measure, from 0 to 10; both were at 8.5."""
    file = tmp_path / name.replace("@.", "@0.")
    file.write_text((DEPLOY / name).read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    [summary] = [line for line in done.stdout.splitlines() if "Overall exposure level" in line]
    print(f"{name}: {summary}")
    assert float(summary.rpartition(": ")[2].split()[0]) <= 4


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_may_open_many_files_and_has_no_capability(name: str) -> None:
    lines = (DEPLOY / name).read_text().splitlines()
    assert {"CapabilityBoundingSet=", "AmbientCapabilities=", "LimitNOFILE=65536"} <= set(lines)
    assert "SystemCallFilter=@system-service" in lines
    assert not any(line.startswith("MemoryDenyWriteExecute") for line in lines), "CUDA and the charts make code"


def test_a_worker_sees_its_card() -> None:
    """Devices are closed but for those; a private /dev has none of them."""
    lines = (DEPLOY / UNITS[0]).read_text().splitlines()
    assert "DeviceAllow=char-nvidia* rw" in lines
    assert not any(line.startswith("PrivateDevices") for line in lines)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_restarts_for_ever_and_is_kept_in_bounds(name: str) -> None:
    found = unit(name)
    assert found["Unit"]["StartLimitIntervalSec"] == "0", "else systemd gives up after five restarts"
    service = found["Service"]
    assert (service["Restart"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("always", "yes", "strict")
    assert service["MemoryMax"]
    assert "/opt/nightjar/.nightjar" in service["ReadWritePaths"]


def test_systemd_waits_longer_than_a_drain_takes() -> None:
    service = unit(UNITS[0])["Service"]
    drain_s = int(service["Environment"].removeprefix("NIGHTJAR_DRAIN_S="))
    assert drain_s < int(service["TimeoutStopSec"]) <= drain_s + 30
    assert service["KillMode"] == "mixed", "the supervisor alone is told: it tells its worker"
    assert service["ExecStart"] == f"{PROGRAM} worker --model ${{MODEL}} --gpu %i"


def test_a_worker_of_a_remote_model_gets_its_key_from_a_file_of_its_own_and_sees_no_device() -> None:
    """Keys come from the environment alone: no unit, command line or file that others may read has one."""
    name = UNITS[3]
    text, service = (DEPLOY / name).read_text(), unit(name)["Service"]
    assert service["ExecStart"] == f"{PROGRAM} worker --model %i --gpu none"
    assert text.count("EnvironmentFile=") == 2
    assert service["EnvironmentFile"] == "-/etc/nightjar/remote-%i.env", "one endpoint's worker has no other's key"
    assert "mode 0600" in text
    assert "SetCredential" not in text
    assert not any(line.startswith("Environment=") and "KEY" in line for line in text.splitlines())
    assert service["PrivateDevices"] == "yes"
    assert (service["KillMode"], service["MemoryMax"]) == ("mixed", "2G")
    drain_s = int(service["Environment"].removeprefix("NIGHTJAR_DRAIN_S="))
    assert drain_s < int(service["TimeoutStopSec"]) <= drain_s + 30
    docs = (DEPLOY.parents[1] / "docs" / "remote.md").read_text()
    assert "install -m 0600 /dev/null /etc/nightjar/remote-large.env" in docs
    assert "nightjar-remote@large" in docs


def test_the_image_drains_and_holds_no_secret() -> None:
    text = (DEPLOY / "Containerfile.cuda").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert "STOPSIGNAL SIGTERM" in final
    assert "USER nightjar" in final, "not root"
    assert "NIGHTJAR_MONGO_URL" not in text
    assert "COPY . " not in text, "a .env would come along"
    for room in ("config", "jobs", "nightjar", "pipeline", "scripts", "web", "workers"):
        assert f"COPY {room} {room}\n" in text
    for limit in ("--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--ulimit nofile=65536"):
        assert limit in text
    drain_s = int(final.partition("NIGHTJAR_DRAIN_S=")[2].split()[0])
    assert drain_s < int(text.partition("--stop-timeout ")[2].split()[0])
