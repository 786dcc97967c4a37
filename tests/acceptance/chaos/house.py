"""A whole Nightjar in child processes of a test, to be damaged: servers, dispatcher, supervised workers.

What dies is started again by `mend`, as an init system would; servers come back on their port with their data.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil
from pydantic import SecretStr

from nightjar.config import embedded, mongod, redis_server
from nightjar.config.programs import find_program
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.mongo import Database

PROJECT = Path(__file__).resolve().parents[3]
RUN = "chaos"
LEASE_S = 3
DEMO = "nightjar-demo"
CLOUD = "cloud"
SCRIPTED = "scripted"


def free_port() -> int:
    """A port below the range of outgoing connections, so that none takes it meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class House:
    """Child processes by name; `mend` restarts those that have ended."""

    folder: Path
    workers: int
    knobs: dict[str, Any]
    demo_model: bool = False
    """Workers hold the bundled demo model instead of the scripted engine."""
    registry: str | None = None
    """models.toml of a model `cloud` at an endpoint, which the workers serve instead."""
    test_commands: bool = False
    """Start mongod so that it can be told to fail."""
    embedded: bool = False
    """No URL is set: MongoDB and Redis are Nightjar's own, which its processes start and revive."""
    mongo_port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    mongo_door: int | None = None
    """Where its processes find MongoDB, if not at its own port: a proxy that the test can spoil."""
    redis_door: int | None = None
    dispatchers: int = 1
    further: dict[str, str] = field(default_factory=dict)
    """Further environment of every process."""
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    """Further environment of single processes, by name."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    mending: bool = True
    _logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        servers = [] if self.embedded else ["mongo", "redis"]
        dispatchers = ["dispatcher", *(f"dispatcher{n}" for n in range(1, self.dispatchers))]
        return [*servers, *dispatchers, *(f"worker{n}" for n in range(self.workers))]

    @property
    def model(self) -> str:
        """What its workers serve."""
        return CLOUD if self.registry is not None else DEMO if self.demo_model else SCRIPTED

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def settings(self) -> Settings:
        """For the test's own commands to the embedded servers."""
        ports = {"embedded_ports": self.further["NIGHTJAR_EMBEDDED_PORTS"]} if self.further else {}
        return Settings.model_validate({"home": self.home, "mongo_cache_gb": 0.25, **ports})

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    def command(self, name: str) -> list[str]:
        if name == "mongo":
            (self.folder / "mongo").mkdir(exist_ok=True)
            program = str(find_program(mongod).path)
            options = ["--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25", "--quiet"]
            options += ["--setParameter", "enableTestCommands=1"] if self.test_commands else []
            return [program, "--dbpath", str(self.folder / "mongo"), "--port", str(self.mongo_port), *options]
        if name == "redis":
            program = str(find_program(redis_server).path)
            return [
                program,
                "--port",
                str(self.redis_port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self.folder),
            ]
        if name.startswith("dispatcher"):
            return [sys.executable, "-m", "nightjar", "dispatcher"]
        if self.registry is not None:
            self.home.mkdir(exist_ok=True)
            (self.home / "models.toml").write_text(self.registry, encoding="utf-8")
            return [sys.executable, "-m", "nightjar", "worker", "--model", CLOUD, "--gpu", "none"]
        if self.demo_model:
            return [sys.executable, "-m", "nightjar", "worker", "--model", DEMO, "--gpu", "none", "--slots", "4"]
        return [sys.executable, "-m", "tests.acceptance.chaos.scripted_worker"]

    def environment(self) -> dict[str, str]:
        """The environment of every process of the house."""
        urls = {
            "NIGHTJAR_MONGO_URL": f"mongodb://127.0.0.1:{self.mongo_door or self.mongo_port}",
            "NIGHTJAR_REDIS_URL": f"redis://127.0.0.1:{self.redis_door or self.redis_port}",
        }
        return ({} if self.embedded else urls) | {
            "NIGHTJAR_HOME": str(self.home),
            "NIGHTJAR_LEASE_S": str(LEASE_S),
            "NIGHTJAR_BEAT_S": "0.5",
            "NIGHTJAR_DRAIN_S": "3",
            "NIGHTJAR_MONGO_CACHE_GB": "0.25",
            "NIGHTJAR_MODEL__THREADS": "1",
            **self.with_knobs(),
            **self.further,
        }

    def with_knobs(self, **more: Any) -> dict[str, str]:
        """The environment of a scripted worker with these knobs beside the house's own."""
        return {"CHAOS": json.dumps({"ledger": str(self.ledger), **self.knobs, **more})}

    def start(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        environment = os.environ | self.environment() | self.own.get(name, {})
        self.processes[name] = subprocess.Popen(
            self.command(name), cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True
        )

    async def mend(self) -> None:
        """Restarts processes that have ended, until cancelled."""
        while True:
            for name in self.names:
                process = self.processes.get(name)
                if self.mending and (process is None or process.poll() is not None):
                    self.start(name)
            await asyncio.sleep(0.2)

    def generating(self) -> list[psutil.Process]:
        """The worker processes that have an engine: the supervisors' children."""
        found: list[psutil.Process] = []
        for name, process in self.processes.items():
            if name.startswith("worker") and process.poll() is None:
                with contextlib.suppress(psutil.Error):
                    found += psutil.Process(process.pid).children()
        return found

    def close(self) -> None:
        self.mending = False
        for name in reversed(self.names):
            process = self.processes.get(name)
            if process is None:
                continue
            for child in _descendants(process.pid):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            process.kill()
            process.wait()
        for log in self._logs:
            log.close()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


@contextlib.asynccontextmanager
async def inhabited(house: House) -> AsyncIterator[Database]:
    """The house with its servers up; yields a database connection for the test."""
    mender = None
    settings = Settings(home=house.home, mongo_cache_gb=0.25)
    try:
        if house.embedded:
            url = (await asyncio.to_thread(embedded.service_urls, settings)).mongo
        else:
            for name in ("mongo", "redis"):
                house.start(name)
            url = SecretStr(f"mongodb://127.0.0.1:{house.mongo_port}")
        database = await connect(url, "nightjar", timeout_s=60)
        mender = asyncio.create_task(house.mend())
        async with database:
            yield database
    finally:
        if mender is not None:
            mender.cancel()
        house.close()
        if house.embedded:
            embedded.down(settings)


async def status(house: House) -> tuple[dict[str, Any], int, float]:
    """What `nightjar status --json` says, its exit code, and how long it took."""
    done, took = await nightjar(house, "status", "--json")
    return json.loads(done.stdout), done.returncode, took


async def nightjar(house: House, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Runs a command in this house and returns its result and how long it took."""
    began = time.monotonic()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "nightjar", *arguments],
        env=os.environ | house.environment(),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, time.monotonic() - began
