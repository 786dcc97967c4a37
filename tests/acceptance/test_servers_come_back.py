"""Embedded servers that are killed, damaged, driven from their port, or copied: what runs finds them again by itself.

Nothing here types a command that would start a server; only processes that run already may do that.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.home import Home, PortThief, eventually, port_range

JOBS = 48
WITHIN_S = 90.0
"""Backoff of servers, workers and drivers together, on a busy machine."""


def begin_work(home: Home) -> None:
    """A run of real jobs, a worker with the demo model, and a dispatcher; returns when some jobs are done."""
    more = ("--limit", "4", "--repeats", str(JOBS // 4), "--name", "night")
    home.ok("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", *more)
    home.start("dispatcher", "dispatcher")
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "1")
    eventually(home.done, WITHIN_S)


def all_is_done(home: Home) -> None:
    eventually(lambda: home.done() == JOBS, WITHIN_S, lambda: f"{home.done()} of {JOBS} jobs are done")
    jobs = home.find("jobs")
    assert all(len(job["turns"]) == job["turns_total"] for job in jobs)


def kill(home: Home, server: str) -> int:
    """Kills a server as soon as there is one; returns its pid."""
    process = eventually(lambda: home.servers(server), WITHIN_S)[0]
    end(process)
    return int(process.pid)


def end(process: psutil.Process) -> None:
    """Kills a process and waits until it has ended; who started it need not have noticed."""
    process.kill()
    eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30)


def kill_while_it_starts(home: Home, server: str, last: int) -> int:
    """Kills the next process of a server before it is ready."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["name", "cwd"]):
            if process.pid != last and process.info["cwd"] == str(home.path.resolve() / server):
                end(process)
                return int(process.pid)
        time.sleep(0.02)
    raise AssertionError("nobody has started it again")


def test_killed_and_killed_again_while_it_starts(home: Home) -> None:
    """mongod and redis-server are killed, and twice again as they come up: work goes on to its end."""
    begin_work(home)
    mongo, redis = kill(home, "mongo"), kill(home, "redis")
    for _ in range(2):
        mongo = kill_while_it_starts(home, "mongo", mongo)
    kill_while_it_starts(home, "redis", redis)
    eventually(lambda: {s["state"] for s in home.states().values()} == {"up"}, WITHIN_S, lambda: str(home.states()))
    all_is_done(home)


def test_it_should_be_up_and_is_not(home: Home) -> None:
    """Nobody runs who would start it: `services status` and `doctor` say why its start failed."""
    home.ok("services", "up")
    data = home.path / "mongo"
    kill(home, "mongo")
    data.rename(home.folder / "aside")
    data.mkdir()
    (data / "WiredTiger").write_text("WiredTiger\nWiredTiger 99.0.0\n")
    (data / "WiredTiger.turtle").write_text("WiredTiger version string\nWiredTiger 99.0.0\n")
    assert home.run("services", "up").returncode == 1
    told = home.states()["mongo"]
    assert told["state"] == "dead"
    assert "It should be up. MongoDB" in told["reason"]
    assert "at its start" in told["reason"]
    assert "at its start" in " ".join(home.run("doctor").stdout.split())


def test_a_damaged_append_only_file(home: Home) -> None:
    """Redis cannot read its data, which only say what is due: they are put aside, that is said, and work goes on."""
    begin_work(home)
    stored = home.path / "redis" / "appendonly.aof"
    stored.write_bytes(b"*3\r\n$3\r\nSET\r\nbroken\r\n" + stored.read_bytes())
    kill(home, "redis")
    all_is_done(home)
    told = home.states()["redis"]
    aside = home.path / "redis" / "put-aside"
    assert told["state"] == "up"
    assert str(aside) in told["reason"]
    assert (aside / "appendonly.aof").read_bytes().startswith(b"*3\r\n$3\r\nSET\r\nbroken")
    assert str(aside) in "".join(home.run("doctor").stdout.split())
    assert "server_data_put_aside" in home.said("dispatcher") + home.said("worker")


def test_ports_that_were_taken_meanwhile(home: Home) -> None:
    """Both servers die and their ports are others' by the time they come back: dispatcher and worker find the new ones,
    and who has the old ones is sent no password."""
    home.environment["NIGHTJAR_EMBEDDED_PORTS"] = port_range()
    begin_work(home)
    before = {server: home.record(server) for server in ("mongo", "redis")}
    passwords = [record["password"].encode() for record in before.values()]
    for server in before:
        kill(home, server)
    with PortThief(before["mongo"]["port"]) as first, PortThief(before["redis"]["port"]) as second:
        all_is_done(home)
        assert not [word for word in (*passwords, b"AUTH") if word in first.heard + second.heard]
    assert all(home.record(server)["port"] != record["port"] for server, record in before.items())


def test_sockets_that_somebody_removed(home: Home) -> None:
    """The folder of the sockets goes away, as a user's runtime folder does at logout: work goes on."""
    begin_work(home)
    folder = Path(home.record("mongo")["socket"]).parent
    shutil.rmtree(folder)
    all_is_done(home)


@pytest.mark.parametrize("ports", [False, True])
def test_a_copy_of_a_live_home_has_servers_of_its_own(home: Home, ports: bool) -> None:
    """`cp -a`: the copy neither uses nor stops the original's servers, and each keeps to its own data."""
    if ports:
        home.environment["NIGHTJAR_EMBEDDED_PORTS"] = port_range()
    home.ok("services", "up")
    originals = {server: home.servers(server)[0].pid for server in ("mongo", "redis")}
    copy = home.folder / "copy"
    subprocess.run(["cp", "-a", home.path, copy], check=True)
    assert {s["state"] for s in home.states(home=copy).values()} == {"down"}
    assert "No embedded server was running" in home.ok("services", "down", home=copy)
    assert {server: home.servers(server)[0].pid for server in originals} == originals
    home.ok("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--name", "copied", home=copy)
    copies = {server: home.servers(server, of=copy)[0].pid for server in originals}
    assert not set(copies.values()) & set(originals.values())
    assert "copied" not in home.ok("run", "list")
    assert "copied" in home.ok("run", "list", home=copy)
    home.ok("services", "down", home=copy)
    assert {server: home.servers(server)[0].pid for server in originals} == originals


def test_a_copy_put_in_the_place_of_a_live_home(home: Home) -> None:
    """The original is moved away while it runs, and the copy gets its path: still two homes."""
    home.ok("services", "up")
    originals = {server: home.servers(server)[0].pid for server in ("mongo", "redis")}
    moved = home.folder / "moved"
    home.path.rename(moved)
    subprocess.run(["cp", "-a", moved, home.path], check=True)
    assert "No embedded server was running" in home.ok("services", "down")
    home.ok("services", "up")
    assert {server: home.servers(server, of=moved)[0].pid for server in originals} == originals
    assert not {home.servers(server)[0].pid for server in originals} & set(originals.values())


def test_a_deleted_home_is_not_made_again(home: Home) -> None:
    """`status`, and other commands that only look, say so with exit code 1."""
    home.ok("services", "up")
    home.ok("services", "down")
    shutil.rmtree(home.path)
    for words in (("status",), ("status", "--json"), ("run", "list"), ("suite", "list")):
        done = home.run(*words)
        assert done.returncode == 1, words
        said = " ".join((done.stdout + done.stderr).split())
        assert "There is no home at" in said, words
        assert str(home.path) in said.replace(" ", ""), words
        assert not home.path.exists(), words


def test_what_runs_in_a_home_that_is_deleted_ends(home: Home) -> None:
    """Dispatcher, worker and servers say so and end; nothing is made again at its place."""
    begin_work(home)
    shutil.rmtree(home.path, ignore_errors=True)
    shutil.rmtree(home.path, ignore_errors=True)  # a server may have written meanwhile
    for name, process in home.running.items():
        assert process.wait(WITHIN_S) not in (0, -9), home.said(name)
        assert "was deleted" in home.said(name)
    eventually(lambda: not home.servers("mongo") + home.servers("redis"), WITHIN_S)
    assert not (home.path / "services").exists()


def test_nobody_rings(home: Home) -> None:
    """A dispatcher that lives and cannot reach Redis: `status`, which can, says so with exit code 1.

    The worker has no standby that would ring, as if it were on the dispatcher's side of the fault.
    """
    home.ok("services", "up")
    alone = ("--parent", str(os.getpid()))
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "1", *alone)
    eventually(lambda: "worker_ready" in home.said("worker"), WITHIN_S)
    with way_to_redis(home) as (way, url):
        home.start("dispatcher", "dispatcher", env={"NIGHTJAR_REDIS_URL": url})
        eventually(lambda: home.find("leases", standby=False), WITHIN_S, lambda: home.said("dispatcher"))
        assert home.run("status").returncode == 0
        way.send_signal(signal.SIGSTOP)
        home.ok("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--limit", "1", "--name", "night")
        done = eventually(lambda: _unwell(home), WITHIN_S)
    assert "nobody rings: no dispatcher has reached Redis for" in " ".join(done.stdout.split())


def _unwell(home: Home) -> subprocess.CompletedProcess[str] | None:
    done = home.run("status")
    return done if done.returncode == 1 else None


FORWARD = """
import asyncio, sys

async def pump(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def forward(reader, writer):
    far_reader, far_writer = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

async def main():
    server = await asyncio.start_server(forward, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def way_to_redis(home: Home) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process through which the home's Redis is reached, and the URL there."""
    port, record = int(port_range().partition("-")[0]), home.record("redis")
    command = [sys.executable, "-c", FORWARD, str(port), record["socket"]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as way:
        try:
            eventually(lambda: _answers(port), WITHIN_S)
            yield way, f"redis://:{record['password']}@127.0.0.1:{port}/0"
        finally:
            way.kill()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
