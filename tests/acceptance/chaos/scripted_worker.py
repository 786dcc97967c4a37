"""`nightjar worker` on the scripted engine: `python -m tests.acceptance.chaos.scripted_worker`, run by the fault tests.

Each generation is written into a ledger as it is asked for. Knobs come as JSON in CHAOS: ledger, slots, token_delay_s,
poison (a text in a prompt that makes the process die of SIGSEGV), no_fence (the negative control), die_at_claim (a
file with the number of claims before or after which the process still has to be killed), cards (a process for each
card that NVML lists), noop (replies cost nothing: a word, and no ledger), newer (it is of a version to come, and leaves
a field in every job that today's versions do not know).
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from nightjar.config.load_settings import LoadSettings
from nightjar.config.settings import Settings
from nightjar.config.stopping import OVERDUE_S, follow_parent
from nightjar.scripts.session import open_session
from nightjar.workers.conversation.local import LocalReplier
from nightjar.workers.engine.fake import Script, ScriptedEngine, echo
from nightjar.workers.engine.request import Generation, Request, TextTap
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.process.gpus import Pin, choose_pins, list_cards
from nightjar.workers.process.load_model import WorkerOptions
from nightjar.workers.process.main import serve
from nightjar.workers.process.supervisor import Supervisor

MODEL = "scripted"
NEWER_FIELD = "a_field_to_come"
LAST_WORDS = "about to read what is at address 0"
"""On standard error, before a process dies of poison."""
KNOBS: dict[str, Any] = json.loads(os.environ.get("CHAOS", "{}"))


class Recorded(ScriptedEngine):
    """Writes a line into the ledger for every generation, with the worker's time."""

    def __init__(self, ledger: int, script: Script, **options: Any) -> None:
        super().__init__(script, **options)
        self._ledger = ledger

    async def generate(self, request: Request, tap: TextTap | None = None) -> Generation:
        os.write(self._ledger, f"{time.time()} {request.seed}\n".encode())
        return await super().generate(request, tap)


def echo_or_die(prompt: str, seed: int) -> str:
    """Replies like `echo`; a poisonous prompt kills the process."""
    poison = KNOBS.get("poison")
    if poison is not None and poison in prompt:
        os.write(2, f"{LAST_WORDS}\n".encode())
        ctypes.string_at(0)
    return echo(prompt, seed)


def find(name: str, settings: Settings) -> ModelEntry:
    return ModelEntry(
        name=name, path=Path("none.gguf"), load=LoadSettings(), parameters={}, template=None, reasoning=None
    )


def say_little(prompt: str, seed: int) -> str:
    """A reply that costs nothing."""
    return "ok"


async def load(entry: ModelEntry, options: WorkerOptions, settings: Settings) -> LocalReplier:
    noop = KNOBS.get("noop")
    ledger = os.open(os.devnull if noop else KNOBS["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    engine = Recorded(
        ledger,
        say_little if noop else echo_or_die,
        name=entry.name,
        slots=KNOBS.get("slots", 6),
        context=65_536,
        n_batch=2048,
        token_delay_s=KNOBS.get("token_delay_s", 0.0),
    )
    return LocalReplier(engine, entry)


def take_out_the_fence() -> None:
    """The negative control: commits regardless of fence, owner and existing turns."""
    from pymongo import UpdateOne

    from nightjar.jobs import ownership

    async def lost(fences: dict[str, int], database: Any) -> set[str]:
        return set()

    def commit_of(job: Any, turn: Any, *, last: bool) -> UpdateOne:
        change: dict[str, Any] = {
            "$push": {"turns": turn.model_dump(mode="python")},
            "$inc": {"turns_committed": 1},
            "$set": {"status": "DONE" if last else "RUNNING"},
        }
        return UpdateOne({"_id": job.id}, change)

    ownership.lost = lost
    ownership.commit_of = commit_of


def be_newer() -> None:
    """A worker of a later version: it names itself so, and its jobs have a field more."""
    from nightjar.jobs import ownership
    from nightjar.jobs.documents import Job
    from nightjar.workers.process import heartbeat

    heartbeat.NIGHTJAR_VERSION = "999.0"  # type: ignore[attr-defined]
    Job.model_config["extra"] = "ignore"
    Job.model_rebuild(force=True)
    plain = ownership.commit_of

    def commit_of(job: Any, turn: Any, *, last: bool) -> Any:
        update = plain(job, turn, last=last)
        change: Any = update._doc
        change.setdefault("$set", {})[NEWER_FIELD] = 1
        return update

    ownership.commit_of = commit_of


def die_at_claims(left: Path) -> None:
    """While the file has a number, the process dies alternately before and right after a claim."""
    from nightjar.jobs import ownership

    claim = ownership.claim

    def deaths_left() -> int:
        return int(left.read_text() or "1")

    def die() -> None:
        left.write_text(str(deaths_left() - 1))
        os.kill(os.getpid(), signal.SIGKILL)

    async def dangerous(*arguments: Any, **options: Any) -> Any:
        deaths = deaths_left()
        if deaths > 0 and deaths % 2:
            die()
        claimed = await claim(*arguments, **options)
        if deaths > 0 and claimed:
            die()
        return claimed

    ownership.claim = dangerous


async def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--started-ms", type=int, default=0)
    parser.add_argument("--parent", type=int)
    parser.add_argument("--burst", action="store_true")
    parser.add_argument("--gpu")
    given = parser.parse_args(arguments)
    if KNOBS.get("no_fence"):
        take_out_the_fence()
    if KNOBS.get("newer"):
        be_newer()
    if "die_at_claim" in KNOBS:
        die_at_claims(Path(KNOBS["die_at_claim"]))
    async with open_session() as session:
        if not given.single:
            command = (sys.executable, "-m", "tests.acceptance.chaos.scripted_worker")
            burst = ["--burst"] if given.burst else []
            pins = choose_pins(None, list_cards()) if KNOBS.get("cards") else [Pin()]
            drain_s = session.settings.drain_s
            supervisor = Supervisor(burst, pins, session.database, burst=given.burst, drain_s=drain_s, command=command)
            return await supervisor.run()
        follow_parent(given.parent, within_s=session.settings.drain_s + OVERDUE_S)
        options = WorkerOptions(model=MODEL, gpu=given.gpu, burst=given.burst, probe=False, started_ms=given.started_ms)
        return await serve(options, session.settings, session.database, session.urls.redis, find=find, loader=load)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
