"""What happens to homes in real use: servers that die twice, damaged documents, copies, SIGHUP, standstill.

Each kind of fault is a context: its body runs when the cause is gone, its end takes away what must not stay. Nothing
here starts a server or a worker of Nightjar's; what dies is started again by `House.mend`, as an init system would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.chaos.house import LEASE_S, RUN, House
from tests.home import COMMAND, Home, PortThief

LONGEST_STOP_S = 20.0
RECOVERY_S = LEASE_S + 30.0
"""Within this time after its cause is gone a fault is over: everything runs, and one more turn is committed."""
POISONED = "poisoned"
"""The run of the damaged jobs; it never ends."""
DAMAGES: tuple[dict[str, Any], ...] = (
    {"turns_total": "four"},
    {"attempts": 7},
    {"due_at": None},
    {"a_field_that_nobody_knows": 1},
    {"turns": [{"index": "first"}]},
)
LARGE = 15_900_000


@dataclass
class HomeFaults:
    """Causes faults in one house with embedded servers, and measures how long each takes to be over."""

    house: House
    chance: random.Random
    took_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _number: int = 0
    _still: list[psutil.Process] = field(default_factory=list)
    """Processes that were stopped for ever, one of each kind at a time."""

    @property
    def home(self) -> Home:
        return Home(folder=self.house.folder)

    @property
    def kinds(self) -> dict[str, Callable[[], AbstractAsyncContextManager[None]]]:
        return {
            "both servers killed, and again while they restart": self._servers_killed_twice,
            "a port taken meanwhile": self._port_taken,
            "a copied home": self._copied,
            "a poisoned run": self._poisoned_run,
            "a poisoned job": self._poisoned_job,
            "SIGHUP": self._hangup,
            "a document at 16 MB": self._large_document,
            "a removal cut in half": self._removal_cut,
            "SIGSTOP for up to 20 s": self._stopped,
            "SIGSTOP for ever, with a second one alive": self._stopped_for_ever,
            "kill -9": self._killed,
        }

    async def strike(self, kind: str) -> None:
        """Causes a fault and waits until all is well again. Fails if that takes too long."""
        self._number += 1
        async with self.kinds[kind]():
            before, began = await self.committed(), time.monotonic()
            while not await self._well(before):
                took = time.monotonic() - began
                assert took < RECOVERY_S, f"{kind}: {await self._state()} {took:.0f} s after its cause was gone"
                await asyncio.sleep(0.2)
            self.took_s[kind].append(time.monotonic() - began)

    async def committed(self) -> int:
        """Committed turns of the run; 0 while MongoDB cannot be asked."""
        jobs = await asyncio.to_thread(self.home.find, "jobs", run=RUN)
        return sum(job["turns_committed"] for job in jobs)

    async def until(self, turns: int) -> None:
        """Waits for so many committed turns, which come as long as nothing stands still."""
        last, end = -1, 0.0
        while (now := await self.committed()) < turns:
            if now > last:
                last, end = now, time.monotonic() + 2 * RECOVERY_S
            assert time.monotonic() < end, f"no progress: {await self._state()}"
            await asyncio.sleep(0.2)

    def release(self) -> None:
        """Ends the processes that were stopped for ever."""
        for process in self._still:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._still.clear()

    async def _well(self, before: int) -> bool:
        """Every process runs, and a turn was committed since, or all are."""
        if not all(self._runs(name) for name in self.house.names):
            return False
        jobs = await asyncio.to_thread(self.home.find, "jobs", run=RUN)
        turns = sum(job["turns_committed"] for job in jobs)
        return bool(jobs) and (turns > before or turns == sum(job["turns_total"] for job in jobs))

    def _runs(self, name: str) -> bool:
        process = self.house.processes.get(name)
        return process is not None and process.poll() is None

    async def _state(self) -> str:
        ended = [name for name in self.house.names if not self._runs(name)]
        return f"{await self.committed()} turns are committed, ended are {ended or 'none'}"

    def _server(self, name: str) -> list[psutil.Process]:
        return self.home.servers(name)

    @asynccontextmanager
    async def _servers_killed_twice(self) -> AsyncIterator[None]:
        killed: set[int] = set()
        for _ in range(2):
            for name in ("mongo", "redis"):
                end = time.monotonic() + RECOVERY_S
                while not (new := [p for p in self._server(name) if p.pid not in killed]):
                    assert time.monotonic() < end, f"nobody has started {name} again"
                    await asyncio.sleep(0.02)
                for process in new:
                    killed.add(process.pid)
                    process.kill()
        yield

    @asynccontextmanager
    async def _port_taken(self) -> AsyncIterator[None]:
        """Somebody else listens where the server did; at a socket in a private folder nobody can, so it is removed."""
        server = self.chance.choice(("mongo", "redis"))
        record = self.home.record(server)
        for process in self._server(server):
            process.kill()
        if record.get("port") is None:
            await asyncio.to_thread(shutil.rmtree, Path(record["socket"]).parent, ignore_errors=True)
            yield
            return
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # it came back at once
                stack.enter_context(PortThief(record["port"]))
            yield

    @asynccontextmanager
    async def _copied(self) -> AsyncIterator[None]:
        """The copy is asked for its servers, and told to stop them."""
        copy = self.house.folder / f"copy{self._number}"
        copying = await asyncio.create_subprocess_exec("cp", "-a", self.home.path, copy, stderr=subprocess.DEVNULL)
        await copying.wait()  # what changes meanwhile may be told
        servers = {p.pid for name in ("mongo", "redis") for p in self._server(name)}
        await asyncio.to_thread(self.home.run, "services", "down", home=copy)
        assert {p.pid for name in ("mongo", "redis") for p in self._server(name)} >= servers, "the copy stopped ours"
        yield
        await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)

    @asynccontextmanager
    async def _poisoned_run(self) -> AsyncIterator[None]:
        row = {"_id": f"bad{self._number}", "name": f"bad{self._number}", "status": "ACTIVE", "models": "none"}
        await self._insert("runs", [row])
        yield

    @asynccontextmanager
    async def _poisoned_job(self) -> AsyncIterator[None]:
        await self._insert("jobs", [await self._job("damaged") | self.chance.choice(DAMAGES)])
        yield

    @asynccontextmanager
    async def _large_document(self) -> AsyncIterator[None]:
        """It has room for no further turn: it ends, and its last turn is not generated again and again."""
        job = await self._job("large", done=True)
        first = job["turns"][0]
        draws = [first["draws"][0], first["draws"][0] | {"raw_text": "x" * LARGE}]
        large = {"turns": [first | {"draws": draws}], "turns_committed": 1, "attempts": []}
        await self._insert("jobs", [job | large])
        yield

    @asynccontextmanager
    async def _removal_cut(self) -> AsyncIterator[None]:
        """Either nothing of the run is gone, or all of it: somebody finishes what was begun."""
        name = f"gone{self._number}"
        run = (await asyncio.to_thread(self.home.find, "runs", _id=RUN))[0]
        await self._insert("runs", [run | {"_id": name, "name": name, "status": "CANCELLED"}])
        await self._insert("jobs", [await self._job(f"{name}-{n}", run=name, status="CANCELLED") for n in range(200)])
        remove = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("run", "rm", name, "--yes"),
            env=os.environ | self.house.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(remove.wait(), self.chance.uniform(1, 6))
        with contextlib.suppress(ProcessLookupError):
            remove.kill()
        await remove.wait()
        yield
        end = time.monotonic() + RECOVERY_S
        while (left := len(await asyncio.to_thread(self.home.find, "jobs", run=name))) not in (0, 200):
            assert time.monotonic() < end, f"{left} of 200 jobs of a run are left whose removal was cut"
            await asyncio.sleep(0.5)

    @asynccontextmanager
    async def _hangup(self) -> AsyncIterator[None]:
        with contextlib.suppress(psutil.Error):
            (await self._victim()).send_signal(signal.SIGHUP)
        yield

    @asynccontextmanager
    async def _killed(self) -> AsyncIterator[None]:
        with contextlib.suppress(psutil.Error):
            (await self._victim()).kill()
        yield

    @asynccontextmanager
    async def _stopped(self) -> AsyncIterator[None]:
        """Any process: worker, supervisor, dispatcher or server."""
        servers = [p for name in ("mongo", "redis") for p in self._server(name)]
        victim = self.chance.choice([*servers, await self._victim()])
        with contextlib.suppress(psutil.Error):
            victim.suspend()
            await asyncio.sleep(self.chance.uniform(1, LONGEST_STOP_S))
            victim.resume()
        yield

    @asynccontextmanager
    async def _stopped_for_ever(self) -> AsyncIterator[None]:
        """A dispatcher or a worker; the one that stands still since the last time is killed."""
        self.release()
        await asyncio.sleep(LEASE_S)
        victim = await self._victim(("dispatcher", "worker"))
        with contextlib.suppress(psutil.Error):
            victim.suspend()
            self._still.append(victim)
        yield

    async def _victim(self, kinds: tuple[str, ...] = ("dispatcher", "supervisor", "worker")) -> psutil.Process:
        """A living process of the house."""
        while True:
            kind = self.chance.choice(kinds)
            named = [
                p for name, p in self.house.processes.items() if name.startswith(kind.replace("supervisor", "worker"))
            ]
            found = (
                self.house.generating()
                if kind == "worker"
                else [psutil.Process(p.pid) for p in named if p.poll() is None]
            )
            found = [process for process in found if process not in self._still]
            if found:
                return self.chance.choice(found)
            await asyncio.sleep(0.1)

    def _started(self, name: str) -> list[psutil.Process]:
        """The living processes that the house has started under such a name."""
        named = [process for key, process in self.house.processes.items() if key.startswith(name)]
        return [psutil.Process(process.pid) for process in named if process.poll() is None]

    async def _job(self, suffix: str, *, done: bool = False, **changes: Any) -> dict[str, Any]:
        """A new job like one of the run's, PENDING in the poisoned run unless changed."""
        end = time.monotonic() + RECOVERY_S
        query = {"run": RUN} | ({"turns_committed": 4} if done else {})
        while not (jobs := await asyncio.to_thread(self.home.find, "jobs", **query)):
            assert time.monotonic() < end, "MongoDB did not answer"
            await asyncio.sleep(0.2)
        fresh = {"_id": f"{suffix}-{self._number}", "run": POISONED, "status": "PENDING", "fence": 0, "owner": None}
        bare = {} if done else {"turns": [], "turns_committed": 0, "attempts": []}
        return jobs[0] | fresh | bare | {"lease_until": None, "finished_at": None, "reason": None} | changes

    async def _insert(self, collection: str, rows: list[dict[str, Any]]) -> None:
        end = time.monotonic() + RECOVERY_S
        while not await asyncio.to_thread(self.home.insert, collection, rows):
            assert time.monotonic() < end, "MongoDB did not answer"
            await asyncio.sleep(0.2)
