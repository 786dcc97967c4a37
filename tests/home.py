"""A home with embedded servers and processes that work in it, for tests through the command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pymongo

from nightjar.config import mongod, redis_server
from nightjar.config.endpoint import Endpoint
from tests.forked_commands import run_forked
from tests.shell import PROJECT, QUICK

COMMAND = (sys.executable, "-P", "-m", "nightjar")
DATABASE = "nightjar"


@dataclass
class Home:
    """A home; `start` leaves commands running in it. What it looks at itself starts no server."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / "home"

    def run(
        self, *words: str, home: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command that ends, in this home or another one."""
        environ = self._environ({"NIGHTJAR_HOME": str(home or self.path), **(env or {})})
        return run_forked(words, cwd=self.folder, environ=environ, limit_s=120)

    def ok(self, *words: str, home: Path | None = None) -> str:
        done = self.run(*words, home=home)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, *words: str, env: Mapping[str, str] | None = None) -> None:
        """Leaves a command running; what it says goes to a file."""
        environment = self._environ({"NIGHTJAR_HOME": str(self.path), **(env or {})})
        with self.log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                [*COMMAND, *words], cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def serving(self, name: str) -> psutil.Process:
        """Of a `worker` that was started: the process that holds the model, its supervisor's child."""
        started = psutil.Process(self.running[name].pid).children(recursive=True)
        [process] = [child for child in started if "--single" in child.cmdline()]
        return process

    def start_serve(self, *, within_s: float, workers: str = "none") -> httpx.Client:
        """Leaves `serve` running, as "serve"; a client of it with this machine's own token."""
        self.start("serve", "serve", "--port", "0", *(() if workers == "auto" else ("--workers", workers)))
        printed = lambda: re.search(r"is at http://\S+?:(\d+)/", self.said("serve"))  # noqa: E731
        port = eventually(printed, within_s, lambda: self.said("serve"))[1]
        headers = {"authorization": f"Bearer {(self.path / 'web' / 'token').read_text().strip()}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=within_s)

    def stop(self, name: str) -> None:
        """Ends a command as a supervisor would, and waits for it."""
        command = self.running.pop(name)
        command.terminate()
        command.wait(120)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        return self.log(name).read_text("utf-8", "replace")

    def _environ(self, more: Mapping[str, str]) -> dict[str, str]:
        bare = {key: value for key, value in os.environ.items() if not key.startswith("NIGHTJAR_")}
        few = {"NIGHTJAR_MONGO_CACHE_GB": "0.25", "NIGHTJAR_LEASE_S": "5"} | QUICK
        return bare | {"PYTHONPATH": str(PROJECT)} | few | self.environment | dict(more)

    def record(self, server: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.path / "services" / f"{server}.json").read_text())
        return record

    def servers(self, server: str, *, of: Path | None = None) -> list[psutil.Process]:
        """The living processes of a server that work in the home's folder, or in one that was there."""
        return list(self._servers(str((of or self.path).resolve() / server)))

    def _servers(self, folder: str) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["name", "cwd", "status"]):
            named = process.info["name"] in ("mongod", "redis-server")
            if named and process.info["cwd"] == folder and process.info["status"] != psutil.STATUS_ZOMBIE:
                yield process

    def states(self, *, home: Path | None = None) -> dict[str, dict[str, Any]]:
        """What `services status` says, which starts nothing."""
        done = self.run("services", "status", "--json", home=home)
        return {server["name"]: server for server in json.loads(done.stdout)["services"]}

    def find(self, collection: str, **query: object) -> list[dict[str, Any]]:
        """Documents, read where MongoDB is by its record; none while it is away."""
        with contextlib.suppress(OSError, ValueError, pymongo.errors.PyMongoError), self._connected() as client:
            return list(client[DATABASE][collection].find(query))
        return []

    def _connected(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.url("mongo"), serverSelectionTimeoutMS=500)

    def url(self, server: str) -> str:
        """Where a server is by its record, as somebody else would set it."""
        record, kind = self.record(server), mongod if server == "mongo" else redis_server
        return str(kind.url(Endpoint(socket=record["socket"], port=record["port"]), record["password"]))

    def insert(self, collection: str, rows: list[dict[str, Any]]) -> bool:
        """Stores documents as they are, in the same way; False while MongoDB is away."""
        with contextlib.suppress(OSError, ValueError, pymongo.errors.PyMongoError), self._connected() as client:
            client[DATABASE][collection].insert_many(rows)
            return True
        return False

    def done(self) -> int:
        """How many jobs are done."""
        return len(self.find("jobs", status="DONE"))

    def close(self) -> None:
        """Ends whatever works in the home. A worker has a session of its own and, were it left, would start servers."""
        for process in psutil.process_iter(["environ"]):
            if Path((process.info["environ"] or {}).get("NIGHTJAR_HOME", "/")).is_relative_to(self.folder):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        for command in self.running.values():
            command.wait()
        for folder in {self.path, *(path for path in self.folder.iterdir() if path.is_dir())}:
            for server in ("mongo", "redis"):
                for process in self.servers(server, of=folder):
                    process.kill()


def eventually(check: Callable[[], Any], within_s: float, said: Callable[[], str] = str) -> Any:
    """What the check returns once it is true."""
    deadline = time.monotonic() + within_s
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"it did not happen within {within_s:.0f} s; {said()}"
        time.sleep(0.05)


@dataclass
class PortThief:
    """Listens at a port that was a server's, accepts everybody, and keeps what they say."""

    port: int
    heard: bytes = b""
    _socket: socket.socket = field(init=False)

    def __enter__(self) -> PortThief:
        # A killed server keeps its port until the system has taken it down.
        self._socket = eventually(self._bound, 10, lambda: f"port {self.port} is still in use")
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _bound(self) -> socket.socket | None:
        bound = socket.socket()
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", self.port))
        except OSError:
            bound.close()
            return None
        return bound

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65_536):
                self.heard += data


def port_range(count: int = 12) -> str:
    """Free ports below the range of outgoing connections, as NIGHTJAR_EMBEDDED_PORTS wants them."""
    for first in range(15_000 + os.getpid() % 8_000, 32_000, count):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return f"{first}-{first + count - 1}"
    raise AssertionError("no free ports")
