"""The embedded servers: real processes, real crashes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pymongo.errors
import pytest
import redis
from filelock import FileLock
from pydantic import SecretStr

from nightjar.config import embedded, mongod, programs, server_log, servers
from nightjar.config.embedded import ServiceUrls, mongo_url, service_urls, status
from nightjar.config.errors import NightjarError, OutputError, ServiceError
from nightjar.config.settings import Settings
from nightjar.jobs.database import reconnect
from nightjar.jobs.documents import Run
from nightjar.scripts import keeper, session
from tests.home import port_range


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a home whose servers end with the test."""
    settings = Settings(home=tmp_path / "home", mongo_cache_gb=0.25)
    yield settings
    embedded.down(settings)


def mongo(urls: ServiceUrls) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(urls.mongo.get_secret_value(), serverSelectionTimeoutMS=3000)


def cache(urls: ServiceUrls) -> redis.Redis:
    return redis.Redis.from_url(urls.redis.get_secret_value())


def pids(settings: Settings) -> list[int]:
    return [found.pid for found in status(settings) if found.pid is not None]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Servers that run in a folder of this home, known or not."""
    return [p for p in psutil.process_iter(["cwd"]) if (p.info["cwd"] or "").startswith(str(folder.resolve()))]


def record_of(settings: Settings, name: str) -> Path:
    return settings.home / "services" / f"{name}.json"


def change_record(settings: Settings, name: str, **changes: object) -> None:
    path = record_of(settings, name)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def taken_port() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def program(folder: Path, name: str, body: str, *, version: str = "echo db version v6.0.5") -> None:
    """A stand-in for a server's program, first on PATH."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {version}; exit; fi\n{body}\n')
    path.chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "bin"


def with_ports(home: Settings) -> Settings:
    """The same home, its servers at ports of 127.0.0.1."""
    return home.model_copy(update={"embedded_ports": port_range()})


@pytest.mark.parametrize("ports", [False, True])
def test_both_serve_protected_and_on_this_machine_only(home: Settings, ports: bool) -> None:
    home = with_ports(home) if ports else home
    urls = service_urls(home)
    secrets = {json.loads(record_of(home, name).read_text())["password"] for name in ("mongo", "redis")}
    assert len(secrets) == 2, "each has credentials of its own"

    with mongo(urls) as client, cache(urls) as kept:
        options = client.admin.command("getCmdLineOpts")["parsed"]
        assert options["net"]["compression"] == {"compressors": "disabled"}  # CVE-2025-14847
        assert options["net"]["bindIp"] == ("127.0.0.1" if ports else status(home)[0].address)
        assert options["security"]["authorization"] == "enabled"
        assert client.admin.command("serverStatus")["storageEngine"]["persistent"]
        assert sum(found.size_bytes for found in status(home)) < 24 * 2**20, "a journal made in advance takes 300 MB"
        assert kept.config_get("append*") | {"appendonly": "yes", "appendfsync": "everysec"} == kept.config_get(
            "append*"
        )

    for found in status(home):
        assert found.state == "up"
        process = psutil.Process(found.pid)
        listening = [s.laddr.ip for s in process.net_connections("inet") if s.status == psutil.CONN_LISTEN]
        assert listening == (["127.0.0.1"] if ports else [])
        sockets = {Path(str(s.laddr)) for s in process.net_connections("unix") if s.laddr}
        if ports:
            assert not sockets, "no socket file beside the port"
        else:
            assert Path(found.address or "") in sockets
            folder = Path(found.address or "").parent
            assert {path.parent for path in sockets} == {folder}
            assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid) == (0o700, os.getuid())
        shown = " ".join(process.cmdline()) + str(process.environ())
        assert not [secret for secret in secrets if secret in shown]
    for path in home.home.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, f"{path} is open to others"
            assert path.suffix in (".json", ".conf") or not any(s.encode() in path.read_bytes() for s in secrets)


def test_nobody_comes_in_without_the_password(home: Settings) -> None:
    home = with_ports(home)
    urls = service_urls(home)
    mongo_port, redis_port = (int((found.address or "").split(":")[1]) for found in status(home))
    for wrong in (
        f"mongodb://127.0.0.1:{mongo_port}/?directConnection=true",
        f"mongodb://nightjar:wrong@127.0.0.1:{mongo_port}/?authSource=admin&directConnection=true",
    ):
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(wrong, serverSelectionTimeoutMS=3000)
        with client, pytest.raises(pymongo.errors.OperationFailure, match=r"requires authentication|failed"):
            client["nightjar"]["jobs"].find_one()
    # The exception for the first user is closed.
    client = pymongo.MongoClient("127.0.0.1", mongo_port)
    with client, pytest.raises(pymongo.errors.OperationFailure, match="requires authentication"):
        client.admin.command("createUser", "second", pwd="x", roles=["root"])
    for password in (None, "wrong"):
        with (
            redis.Redis(port=redis_port, password=password) as other,
            pytest.raises((redis.AuthenticationError, redis.ConnectionError)),
        ):
            other.ping()
    assert urls.mongo.get_secret_value() not in repr(urls)


START = """
import sys
from pathlib import Path
from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import reconnect
from nightjar.jobs.documents import Run
from nightjar.scripts import session

urls = service_urls(Settings(home=Path(sys.argv[1]), mongo_cache_gb=0.25))
print(urls.mongo.get_secret_value(), urls.redis.get_secret_value())
"""


def test_commands_that_start_together_start_one_pair(home: Settings) -> None:
    """Three processes at once; their servers outlive them."""
    commands = [
        subprocess.Popen([sys.executable, "-c", START, str(home.home)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = {command.communicate(timeout=60)[0] for command in commands}
    assert [command.returncode for command in commands] == [0, 0, 0]
    urls = service_urls(home)
    assert answers == {f"{urls.mongo.get_secret_value()} {urls.redis.get_secret_value()}\n"}
    assert sorted(p.pid for p in processes_in(home.home)) == sorted(pids(home))
    assert len(pids(home)) == 2


def test_killed_servers_come_back_with_address_and_data(home: Settings) -> None:
    urls = service_urls(home)
    with mongo(urls) as client, cache(urls) as kept:
        client["nightjar"]["jobs"].with_options(write_concern=pymongo.WriteConcern(j=True)).insert_one({"_id": 1})
        kept.set("bell", "rung")
    killed = pids(home)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(10)
    assert [found.state for found in status(home)] == ["dead", "dead"]
    assert service_urls(home) == urls, "clients that hold the address find the server again"
    assert not set(killed) & set(pids(home))
    with mongo(urls) as client, cache(urls) as kept:
        assert client["nightjar"]["jobs"].find_one() == {"_id": 1}
        assert kept.get("bell") == b"rung"


def test_only_what_died_is_revived(home: Settings) -> None:
    assert embedded.revive(home) == {}, "never started"
    urls = service_urls(home)
    assert embedded.revive(home) == {}
    killed = pids(home)[1]
    os.kill(killed, signal.SIGKILL)
    psutil.Process(killed).wait(10)
    assert until_revived(home) == {"redis": None}
    with cache(urls) as kept:
        assert kept.ping()
    embedded.down(home)
    time.sleep(1.1)  # a first backoff
    assert embedded.revive(home) == {}, "stopped on purpose"


def until_revived(home: Settings) -> dict[str, NightjarError | None]:
    """The first result of `revive` after its backoff."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if revived := embedded.revive(home):
            return revived
        time.sleep(0.05)
    raise AssertionError("nothing was tried again")


async def test_a_long_command_revives_what_it_needs(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """mongod is killed in the middle of the night; the same connection goes on."""
    monkeypatch.setattr(keeper, "LOOK_S", 0.1)
    async with session.open_session() as opened:
        await opened.database.jobs.insert_one({"_id": "kept"})
        os.kill(pids(home)[0], signal.SIGKILL)
        deadline = time.monotonic() + 60
        found = None
        while found is None and time.monotonic() < deadline:
            try:
                found = await opened.database.jobs.find_one({"_id": "kept"})
            except pymongo.errors.PyMongoError:
                await asyncio.sleep(0.1)
        assert found is not None


async def test_a_database_follows_its_server_more_than_once(home: Settings) -> None:
    """The documents go with every move, not only with the first: a former client is closed, and can do nothing more."""
    async with session.open_session() as opened:
        for _ in range(3):
            await reconnect(opened.database, opened.urls.mongo)
            await opened.database.close_former()
            assert await Run.get("none") is None
            assert await opened.database.runs.find_one({}) is None


def test_stopping_is_clean_and_keeps_the_data(home: Settings) -> None:
    urls = service_urls(home)
    with mongo(urls) as client:
        client["nightjar"]["jobs"].insert_one({"_id": 1})
    running = pids(home)
    assert embedded.down(home) == ["mongo", "redis"]
    assert not [pid for pid in running if psutil.pid_exists(pid)]
    assert [found.state for found in status(home)] == ["down", "down"]
    assert "shutting down" in (home.home / "logs" / "mongod.log").read_text().lower()
    assert embedded.down(home) == []
    with mongo(service_urls(home)) as client:
        assert client["nightjar"]["jobs"].find_one() == {"_id": 1}


def test_what_a_living_process_started_another_one_stops(home: Settings) -> None:
    """Who started the servers need not notice their end: they are zombies then, and nobody waits for those."""
    service_urls(home)
    running = [psutil.Process(pid) for pid in pids(home)]
    stop = [sys.executable, "-P", "-m", "nightjar", "services", "down"]
    done = subprocess.run(
        stop,
        env=os.environ | {"NIGHTJAR_HOME": str(home.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [process.status() for process in running] == [psutil.STATUS_ZOMBIE] * 2
    assert [found.state for found in status(home)] == ["down", "down"]


def test_a_record_of_before_the_reboot_is_recognised(home: Settings) -> None:
    """Its pid belongs to another process now (here, to this test). It is neither trusted nor killed."""
    urls = service_urls(home)
    embedded.down(home)
    with taken_port() as elsewhere:  # and its port as well
        for name in ("mongo", "redis"):
            now = {"pid": os.getpid(), "wanted": True, "since": "2020-01-01T00:00:00+00:00"}
            change_record(home, name, port=elsewhere.getsockname()[1], socket=None, **now)
        assert [found.state for found in status(home)] == ["dead", "dead"]
        with mongo(service_urls(home)) as client:
            assert client.admin.command("ping")["ok"] == 1
        assert os.getpid() not in pids(home)
    assert service_urls(home) == urls


def test_a_slow_server_is_not_killed(home: Settings) -> None:
    """A stopped process still owns its port: it is up, and its callers meet their own time limits."""
    urls = service_urls(home)
    running = pids(home)
    os.kill(running[1], signal.SIGSTOP)
    try:
        assert service_urls(home) == urls
    finally:
        os.kill(running[1], signal.SIGCONT)
    assert pids(home) == running


def test_a_server_whose_starter_died_is_replaced(home: Settings) -> None:
    """Killed between starting the server and recording it: the server has the data, and nobody knows its address."""
    urls = service_urls(home)
    before = pids(home)
    for name in ("mongo", "redis"):
        change_record(home, name, pid=None, since=None)
    assert service_urls(home) == urls
    assert not set(before) & set(pids(home))
    assert len(processes_in(home.home)) == 2


def test_a_removed_home_leaves_no_server_behind(home: Settings) -> None:
    service_urls(home)
    before = pids(home)
    shutil.rmtree(home.home)
    service_urls(home)
    left = [pid for pid in before if psutil.pid_exists(pid) and pid not in pids(home)]
    assert not [pid for pid in left if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_a_lost_password_is_named_and_nothing_is_overwritten(home: Settings) -> None:
    service_urls(home)
    embedded.down(home)
    kept = record_of(home, "mongo").read_text()
    record_of(home, "mongo").unlink()
    with pytest.raises(ServiceError, match=r"refuses the password in .*mongo\.json.*Put back"):
        service_urls(home)
    assert [p for p in processes_in(home.home) if p.name() == "mongod"] == []
    record_of(home, "mongo").write_text(kept)
    service_urls(home)


def test_a_configured_server_is_not_started(home: Settings) -> None:
    with_url = Settings(home=home.home, mongo_url=SecretStr("mongodb+srv://u:p@cluster.example/"))
    urls = service_urls(with_url)
    assert urls.mongo == with_url.mongo_url
    assert not (home.home / "mongo").exists()
    assert [found.name for found in status(with_url)] == ["redis"]


def test_a_large_log_is_put_aside_while_its_server_runs(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    service_urls(home)
    log = home.home / "logs" / "mongod.log"
    monkeypatch.setattr(server_log, "LARGEST", 1000)
    service_urls(home)
    assert log.with_name("mongod.log.1").stat().st_size > 1000
    deadline = time.monotonic() + 10
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert log.exists(), "mongod goes on in a new file"


def test_a_port_taken_in_between_is_tried_anew(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free when checked, taken when the server binds it; the process that has it is sent no secret."""
    with taken_port() as taken:
        original = servers._ports

        def unlucky(last: int | None, settings: Settings) -> Iterator[int]:
            yield taken.getsockname()[1]
            yield from original(last, settings)

        monkeypatch.setattr(servers, "_ports", unlucky)
        monkeypatch.setattr(servers, "socket_endpoints", lambda home, name: ())
        urls = service_urls(home)
        taken.settimeout(0)
        with pytest.raises(BlockingIOError):
            taken.accept()
    with mongo(urls) as client, cache(urls) as kept:
        assert client.admin.command("ping")["ok"] == 1
        assert kept.ping()


def test_no_free_port(home: Settings) -> None:
    with taken_port() as taken:
        port = taken.getsockname()[1]
        settings = Settings(home=home.home, embedded_ports=f"{port}-{port}")
        with pytest.raises(ServiceError, match=rf"no free port in {port}-{port} \(NIGHTJAR_EMBEDDED_PORTS\)"):
            service_urls(settings)


def test_a_disk_that_is_nearly_full(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """mongod would die in the middle of a run."""
    usage = shutil.disk_usage(home.home.parent)._replace(free=90 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    expected = r"MongoDB cannot start: .* has 90 MiB free and it needs 96\. Free some space"
    with pytest.raises(OutputError, match=expected):
        service_urls(home)
    assert processes_in(home.home) == []


@pytest.mark.parametrize("inner", ["file/home", "file"])
def test_a_home_that_cannot_be_made(tmp_path: Path, inner: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"cannot be written: .*set NIGHTJAR_HOME"):
        service_urls(Settings(home=tmp_path / inner))


def test_a_program_that_is_nowhere(home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mongod, "wheels", (("no-such-distribution", "mongod"),))
    expected = r"no mongod on PATH and no package no-such-distribution.*NIGHTJAR_MONGO_URL"
    with pytest.raises(ServiceError, match=expected):
        service_urls(home)


def test_a_program_without_its_mode_is_made_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some installers drop the mode of files in wheels."""
    program(tmp_path / "bin", "mongod", "exit 1")
    (tmp_path / "bin" / "mongod").chmod(0o644)
    monkeypatch.setattr(programs, "_locate", lambda kind: (tmp_path / "bin" / "mongod", False))
    assert programs.find_program(mongod).version == "6.0.5"


# What the program does when asked for its version, and the remedy in the error.
BROKEN_PROGRAMS = [
    (
        "echo 'error while loading shared libraries: libcurl.so.4: cannot open shared object file' >&2; exit 127",
        r"libcurl\.so\.4 is missing\. On Debian or Ubuntu: apt-get install libcurl4\. .*NIGHTJAR_MONGO_URL",
    ),
    ("kill -ILL $$", "AVX"),
    ("echo broken >&2; exit 3", r"code 3: broken\."),
]


@pytest.mark.parametrize(("version", "message"), BROKEN_PROGRAMS)
def test_a_program_that_does_not_run(home: Settings, bin_folder: Path, version: str, message: str) -> None:
    program(bin_folder, "mongod", "exit 1", version=version)
    with pytest.raises(ServiceError, match=message):
        service_urls(home)


# How a server ends at its start: the class of the error, and what it says.
DEATHS = [
    ("echo Fatal assertion 28595: broken files; exit 14", ServiceError, r"code 14 at its start.*mongod\.log .*28595"),
    ("echo no last words >/dev/null; exit 1", ServiceError, "ends with: nothing"),
    ("kill -SEGV $$", ServiceError, "was ended by SIGSEGV"),
    ("echo 'WiredTiger: No space left on device'; exit 1", OutputError, r"the disk of .* is full\. Make room"),
]


@pytest.mark.parametrize(("body", "kind", "message"), DEATHS)
def test_a_server_that_ends_at_its_start(
    home: Settings, bin_folder: Path, body: str, kind: type[Exception], message: str
) -> None:
    program(bin_folder, "mongod", body)
    with pytest.raises(kind, match=message):
        service_urls(home)


def test_a_server_that_never_answers_is_ended(
    home: Settings, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bin_folder, "mongod", "exec sleep 60")
    monkeypatch.setattr(servers, "START_S", 0.3)
    with pytest.raises(ServiceError, match=r"did not answer at \S+/mongo\.sock within"):
        service_urls(home)
    assert processes_in(home.home) == []


def test_waiting_for_another_command_has_an_end(home: Settings) -> None:
    (home.home / "services").mkdir(parents=True)
    with FileLock(home.home / "services" / "lock"), pytest.raises(ServiceError, match="Another command"):
        mongo_url(home, lock_s=0.1)


def test_the_command(tmp_path: Path) -> None:
    """up, status and down at the command line; no password is printed."""

    def nightjar(*words: str, code: int) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nightjar", *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    try:
        assert "not started" in nightjar("services", "status", code=1).lower()
        table = nightjar("services", "up", code=0)
        state = {
            found["name"]: found for found in json.loads(nightjar("services", "status", "--json", code=0))["services"]
        }
        for name in ("mongo", "redis"):
            assert str(state[name]["pid"]) in table
            assert state[name]["address"] in table
            password = json.loads((tmp_path / "home" / "services" / f"{name}.json").read_text())["password"]
            assert password not in table + json.dumps(state)
    finally:
        assert "Stopped mongo and redis" in nightjar("services", "down", code=0)


def compatibility(urls: ServiceUrls) -> str:
    with mongo(urls) as client:
        answer = client.admin.command("getParameter", featureCompatibilityVersion=1)
    return str(answer["featureCompatibilityVersion"]["version"])


def test_data_of_the_major_version_before_are_taken_over_on_a_copy(home: Settings) -> None:
    """As 5.0 leaves them: the copy's compatibility version is stepped, the original stays as it was."""
    with mongo(service_urls(home)) as client:
        client["nightjar"]["jobs"].insert_one({"_id": "kept"})
        client.admin.command("setFeatureCompatibilityVersion", "5.0")
    embedded.down(home)
    change_record(home, "mongo", version="5.0.14")
    before = (home.home / "mongo" / "WiredTiger.turtle").read_bytes()
    urls = service_urls(home)
    assert compatibility(urls) == "6.0"
    with mongo(urls) as client:
        assert client["nightjar"]["jobs"].find_one() == {"_id": "kept"}
    original = home.home / "mongo-of-5.0.14"
    assert (original / "WiredTiger.turtle").read_bytes() == before
    assert not (home.home / "mongo-trial").exists()
    embedded.down(home)
    assert service_urls(home) == urls
    assert len(list(home.home.glob("mongo*"))) == 2, "it is taken over once"


# The version that used the data last, and what is said besides its number.
REFUSED = [
    ("7.0.2", r"mongod 6\.0\.5 is not known to open .*untouched\. Put mongod 7\.0 first on PATH"),
    (
        "4.4.29",
        r"have to go through 5\.0 first, one major version at a time.*Put mongod 4\.4, or 5\.0 to take that step",
    ),
]


@pytest.mark.parametrize(("version", "said"), REFUSED)
def test_data_that_this_version_cannot_take_over_are_refused(home: Settings, version: str, said: str) -> None:
    service_urls(home)
    embedded.down(home)
    change_record(home, "mongo", version=version)
    before = {path: path.stat().st_mtime_ns for path in (home.home / "mongo").rglob("*")}
    for _ in range(2):
        with pytest.raises(ServiceError, match=said):
            service_urls(home)
    assert {path: path.stat().st_mtime_ns for path in (home.home / "mongo").rglob("*")} == before
    assert json.loads(record_of(home, "mongo").read_text())["version"] == version


def test_a_copy_that_cannot_be_taken_over_leaves_the_data_untouched(home: Settings, bin_folder: Path) -> None:
    """A mongod that calls itself 7.0 and cannot step the data to that."""
    with mongo(service_urls(home)) as client:
        client["nightjar"]["jobs"].insert_one({"_id": "kept"})
    embedded.down(home)
    real = programs.find_program(mongod).path
    program(bin_folder, "mongod", f'exec {real} "$@"', version="echo db version v7.0.2")
    with pytest.raises(ServiceError, match=r"cannot take over a copy of them: .*compatibility version 7\.0.*untouched"):
        service_urls(home)
    assert processes_in(home.home) == []
    (bin_folder / "mongod").unlink()
    with mongo(service_urls(home)) as client:
        assert client["nightjar"]["jobs"].find_one() == {"_id": "kept"}
    assert [path.name for path in home.home.glob("mongo*")] == ["mongo"]


def test_entries_of_another_redis_are_put_aside(home: Settings) -> None:
    """They only say what is due; the next dispatcher rings again."""
    with cache(service_urls(home)) as kept:
        kept.set("bell", "rung")
    embedded.down(home)
    change_record(home, "redis", version="7.2.4")
    with cache(service_urls(home)) as kept:
        assert kept.get("bell") is None
    assert status(home)[1].put_aside == (home.home / "redis" / "put-aside").resolve()
