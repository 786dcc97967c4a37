"""Where the sockets of embedded servers lie, who may be behind an address, and what is tried again when."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from nightjar.config import embedded, endpoint
from nightjar.config.endpoint import LONGEST_NAME, LONGEST_PATH, Endpoint, is_private, socket_endpoints
from nightjar.config.errors import ServiceError
from nightjar.config.server_record import LONGEST_PAUSE_S, ServerRecord, due_at
from nightjar.config.settings import Settings
from nightjar.jobs.queue import Doorbell
from tests.home import PortThief, port_range


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, and no runtime folder beside it."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(folder))
    monkeypatch.setattr(endpoint, "_runtime_folder", lambda: folder / "no-runtime-folder")
    return folder


def sockets(home: Path) -> list[Path]:
    return [Path(found.socket or "") for found in socket_endpoints(home, "mongo")]


def test_a_folder_of_ones_own(temporary: Path, tmp_path: Path) -> None:
    (path,) = sockets(tmp_path)
    assert path.is_relative_to(temporary)
    assert is_private(path.parent)
    assert sockets(tmp_path) == [path], "the same home, the same place"
    other = tmp_path / "other"
    other.mkdir()
    assert sockets(other) != [path]


def test_the_runtime_folder_goes_first(temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = temporary / "runtime"
    runtime.mkdir()
    monkeypatch.setattr(endpoint, "_runtime_folder", lambda: runtime)
    first, second = sockets(tmp_path)
    assert first.is_relative_to(runtime)
    assert not second.is_relative_to(runtime)


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_a_path_ends_at_the_kernels_limit(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: int, fits: bool
) -> None:
    """To the byte: with one more, mongod would not start."""
    (short,) = sockets(tmp_path)
    length = LONGEST_PATH - spare - len(str(short.with_name(LONGEST_NAME))) - 1
    long = temporary / ("x" * length)
    long.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(long))
    found = sockets(tmp_path)
    assert bool(found) == fits
    if fits:
        assert len(str(found[0].with_name(LONGEST_NAME))) == LONGEST_PATH
        with socket.socket(socket.AF_UNIX) as longest:
            longest.bind(str(found[0].with_name(LONGEST_NAME)))


def test_a_folder_that_others_can_enter_is_not_used(temporary: Path, tmp_path: Path) -> None:
    """Somebody made it first, or put a link there: then the servers listen on ports."""
    (path,) = sockets(tmp_path)
    path.parent.chmod(0o755)
    assert sockets(tmp_path) == []
    path.parent.rmdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    path.parent.symlink_to(elsewhere)
    assert sockets(tmp_path) == []


def test_a_socket_at_which_somebody_listens_is_not_taken_away(temporary: Path, tmp_path: Path) -> None:
    (path,) = sockets(tmp_path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert sockets(tmp_path) == []
    assert sockets(tmp_path) == [path], "nobody listens at what it left"


async def test_a_password_goes_only_to_our_own_process(tmp_path: Path) -> None:
    """Redis's port is somebody else's by now: a client that reconnects says nothing to it, and finds the new one."""
    settings = Settings(home=tmp_path / "home", mongo_url=SecretStr("mongodb://x/"), embedded_ports=port_range())
    latest = partial(embedded.latest_redis_url, settings)
    url = embedded.redis_url(settings)
    doorbell = await Doorbell.connect(url, latest)
    (server,) = embedded.status(settings)
    assert server.pid is not None
    try:
        psutil.Process(server.pid).kill()
        port = int((server.address or "").rpartition(":")[2])
        with PortThief(port) as thief:
            for _ in range(2):
                with pytest.raises(ServiceError):
                    await doorbell.ping()
            assert thief.heard == b""
            assert embedded.redis_url(settings) != url
            with pytest.raises(ServiceError):  # this one still knew the old address
                await doorbell.ping()
            await doorbell.ping()
            assert thief.heard == b""
    finally:
        await doorbell.close()
        embedded.down(settings)


RECORD = ServerRecord(password="p", version="6.0.5", wanted=True, tried_at=1000.0, tries=1)


@pytest.mark.parametrize(
    ("change", "now", "due"),
    [
        ({}, 1000.5, 1001.0),
        ({"tries": 4}, 1000.5, 1008.0),
        ({"tries": 500}, 1000.5, 1000.0 + LONGEST_PAUSE_S),
        ({"since": "ready", "tries": 4}, 1010.0, 1008.0),  # it was ready and did not stay up
        ({"since": "ready", "tries": 4}, 1090.0, 1090.0),  # it stayed up: at once
        ({"tried_at": 5000.0}, 1000.5, 1000.5),  # the clock was set back
    ],
)
def test_when_a_start_is_due_again(change: dict[str, object], now: float, due: float) -> None:
    assert due_at(replace(RECORD, **change), now) == due  # type: ignore[arg-type]


def test_an_address_is_a_socket_or_a_port() -> None:
    assert str(Endpoint(port=27017)) == "127.0.0.1:27017"
    assert str(Endpoint(socket="/run/x.sock")) == "/run/x.sock"
