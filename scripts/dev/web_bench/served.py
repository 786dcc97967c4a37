"""`nightjar serve` in a home of its own, with a worker beside it and whoever comes to it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from nightjar.config.embedded import status
from nightjar.config.errors import ModelError, ServiceError
from nightjar.config.files import make_folder
from nightjar.config.interpreter import PYTHON
from nightjar.jobs.accounts.access import begin_session
from nightjar.jobs.status.workers import read_workers
from nightjar.scripts.children import Child
from nightjar.scripts.dev.bench.whole import home_session, started
from nightjar.scripts.session import Session

READY_S = 180.0
GRACE_S = 40.0
ENVIRONMENT = {"NIGHTJAR_LIVE__QUEUE": "1000", "NIGHTJAR_LIVE__QUEUE_OF_USER": "1000"}
"""One client process asks as many would."""
WORKER = "nightjar.scripts.dev.web_bench.noted_worker"
_ADDRESS = re.compile(r"is at http://\S+?:(\d+)/")


@dataclass(frozen=True, kw_only=True)
class ServedBench:
    """A home that is served. What is started goes to `children`, and ends with them."""

    session: Session
    server: Child
    port: int
    home: Path
    children: AsyncExitStack

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """This machine's own, with the scope of /v1."""
        return (self.home / "web" / "token").read_text("utf-8").strip()

    async def cookie(self) -> str:
        """The header of a browser that has just logged in."""
        secret = await begin_session(None, self.host, instead_of=None, database=self.session.database)
        return f"nightjar-{self.port}={secret}"

    async def worker(self, model: str, *options: str, noted: Path | None = None) -> Child:
        """A worker process that is ready; with `noted` it writes there, at its end, what was handed over when."""
        log = self.home / "logs/bench-worker.log"
        words = ["worker", "--model", model, "--gpu", "none", "--no-probe", "--single", *options]
        module = [WORKER, str(noted)] if noted is not None else ["nightjar"]
        process = await start_module([*module, *words], log)
        child = Child(arguments=tuple(words), process=process, log=log)
        self.children.push_async_callback(child.stop, GRACE_S)
        async with asyncio.timeout(READY_S):
            while not any(worker.state == "ready" for worker in await read_workers(self.session.database)):
                if process.returncode is not None:
                    raise ModelError(f"The worker ended before it was ready. Its log:\n{child.last_words()}")
                await asyncio.sleep(0.2)
        return child

    async def dispatcher(self) -> None:
        await started(self.children, ["dispatcher"], self.home / "logs/bench-dispatcher.log")

    def processes(self) -> dict[str, psutil.Process]:
        """The page's own, Redis' and MongoDB's."""
        served = {"web": psutil.Process(self.server.process.pid)}
        for found in status(self.session.settings):
            if found.pid is not None:
                served[found.name] = psutil.Process(found.pid)
        return served


@asynccontextmanager
async def served_bench(environment: Mapping[str, str] | None = None) -> AsyncIterator[ServedBench]:
    """A fresh home, its servers, and the page; all of it is gone in the end."""
    with TemporaryDirectory(prefix="nightjar-bench-web-") as folder:
        home = Path(folder) / "home"
        async with (
            home_session(home, ENVIRONMENT | dict(environment or {})) as session,
            AsyncExitStack() as children,
        ):
            server = await started(children, ["serve", "--port", "0", "--workers", "none"], home / "logs/bench.log")
            port = await _port_of(server)
            yield ServedBench(session=session, server=server, port=port, home=home, children=children)


async def start_module(words: Sequence[str], log: Path) -> asyncio.subprocess.Process:
    """`python -m WORDS`, which says what it says into the log."""
    make_folder(log.parent)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *PYTHON, "-m", *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )


async def _port_of(server: Child) -> int:
    async with asyncio.timeout(READY_S):
        while (found := _ADDRESS.search(server.log.read_text("utf-8", "replace"))) is None:
            if server.process.returncode is not None:
                raise ServiceError(f"The server ended at its start. Its log:\n{server.last_words()}")
            await asyncio.sleep(0.1)
    return int(found[1])


def report_progress(text: str) -> None:
    """What whoever waits is told meanwhile."""
    print(text, file=sys.stderr, flush=True)
