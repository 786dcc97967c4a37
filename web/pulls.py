"""Downloads of models that were begun in the page: commands of their own, which go on while nobody looks.

What is known of each lies in the home (`web/pulls`), so that it is still known when the server was started again; a
download that ended with it goes on from where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightjar.config.ended_child import end_child
from nightjar.config.errors import UsageError
from nightjar.config.files import private_folder, write_private
from nightjar.config.interpreter import NIGHTJAR
from nightjar.config.redact import redact_text
from nightjar.workers.library.partial import is_downloading, partial_bytes, total_bytes
from nightjar.workers.library.registry import NAME

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

MOST_AT_ONCE = 2
GRACE_S = 5.0
LAST_WORDS = 400
_SOURCE = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w.-]+)?(:[\w.*-]+)?")
_QUANTISATION = re.compile(r"[A-Za-z0-9_]{1,16}")


class PullStatus(StrEnum):
    """How a download stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Its server ended before it did."""


@dataclass(frozen=True, kw_only=True)
class PullState:
    """One download. `total_bytes`: None until the hub has said it."""

    model: str
    source: str
    quantisation: str | None
    by: str
    status: PullStatus
    begun_at: datetime
    error: str | None = None
    done_bytes: int = 0
    total_bytes: int | None = None

    @property
    def share(self) -> float | None:
        return self.done_bytes / self.total_bytes if self.total_bytes else None


def checked_source(text: str) -> str:
    """OWNER/REPO[@REVISION][:FILE] of the hub, and nothing else: no path and no address. Raises UsageError."""
    if not _SOURCE.fullmatch(text) or ".." in text:
        raise UsageError(f"{text!r} is no repository of the hub: write OWNER/NAME, with @REVISION or :FILE if need be.")
    return text


@dataclass(kw_only=True)
class Pulls:
    """The downloads of one server."""

    settings: Settings
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _cancelled: set[str] = field(default_factory=set)

    async def start(self, model: str, source: str, quantisation: str | None, by: str) -> None:
        """Begins, or goes on with, a download. `source`: a registered name, or what `checked_source` let through.

        Raises UsageError.
        """
        if not NAME.fullmatch(model):
            raise UsageError(f"{model!r} cannot be a model's name: letters, digits and . _ : + - only.")
        if quantisation is not None and not _QUANTISATION.fullmatch(quantisation):
            raise UsageError(f"{quantisation!r} is no quantisation; they are called like Q4_K_M.")
        if model in self._running or is_downloading(self.settings.models_dir / model):
            raise UsageError(f"{model} is being downloaded already.")
        if len(self._running) >= MOST_AT_ONCE:
            raise UsageError(f"{MOST_AT_ONCE} models are being downloaded already. Wait for one, or cancel it.")
        row = {"model": model, "source": source, "quantisation": quantisation, "by": by}
        row |= {"begun_at": datetime.now(UTC).isoformat(), "status": PullStatus.RUNNING, "error": None}
        self._write(row)
        self._cancelled.discard(model)
        self._running[model] = asyncio.create_task(self._run(row))

    async def cancel(self, model: str) -> None:
        """Ends it; what was fetched stays, to go on from. Raises UsageError where it is not under way here."""
        task = self._running.get(model)
        if task is None:
            raise UsageError(f"No download of {model} is under way here.")
        self._cancelled.add(model)
        await _cancelled(task)

    async def forget(self, model: str) -> None:
        """Takes one that has ended off the list. Raises UsageError while it is under way."""
        if model in self._running:
            raise UsageError(f"{model} is being downloaded. Cancel it first.")
        if NAME.fullmatch(model):
            self._file(model).unlink(missing_ok=True)

    def states(self) -> list[PullState]:
        """Those that are known, the newest first."""
        folder = self.settings.home / "web" / "pulls"
        found = [self._state(file) for file in folder.glob("*.json")] if folder.is_dir() else []
        return sorted((state for state in found if state is not None), key=lambda state: state.begun_at, reverse=True)

    async def close(self) -> None:
        """Ends them all, with the server."""
        for task in list(self._running.values()):
            await _cancelled(task)

    def _state(self, file: Path) -> PullState | None:
        try:
            row = json.loads(file.read_text("utf-8"))
            state = PullState(**{**row, "begun_at": datetime.fromisoformat(row["begun_at"])})
            status = PullStatus(row["status"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if status is PullStatus.RUNNING and state.model not in self._running:
            status = PullStatus.INTERRUPTED
        folder = self.settings.models_dir / state.model
        sizes = {"done_bytes": partial_bytes(folder), "total_bytes": total_bytes(folder)}
        return PullState(**{**vars(state), "status": status, **sizes})

    async def _run(self, row: dict[str, Any]) -> None:
        model = row["model"]
        registered = row["source"] == model
        command = ["model", "pull", row["source"] if registered else f"hf://{row['source']}"]
        command += [] if registered else ["--name", model]
        command += ["--quant", row["quantisation"]] if row["quantisation"] else []
        child: asyncio.subprocess.Process | None = None
        try:
            child = await self._start(command)
            _, said = await child.communicate()
            well = child.returncode == 0
            row |= {"status": PullStatus.DONE if well else PullStatus.FAILED, "error": None if well else _last(said)}
        except asyncio.CancelledError:
            row["status"] = PullStatus.CANCELLED if model in self._cancelled else PullStatus.INTERRUPTED
            raise
        except OSError as error:
            row |= {"status": PullStatus.FAILED, "error": str(error)}
        finally:
            if child is not None:
                await _end(child)
            del self._running[model]
            self._write(row)

    async def _start(self, command: list[str]) -> asyncio.subprocess.Process:
        settings = self.settings
        places = {"HOME": settings.home, "MODELS_DIR": settings.models_dir, "MODELS_FILE": settings.models_file}
        environment = os.environ | {f"NIGHTJAR_{name}": str(path) for name, path in places.items()}
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            *NIGHTJAR, *command, stdin=nothing, stdout=nothing, stderr=pipe, env=environment, start_new_session=True
        )

    def _file(self, model: str) -> Path:
        return private_folder(self.settings.home / "web") / "pulls" / f"{model}.json"

    def _write(self, row: dict[str, Any]) -> None:
        file = self._file(row["model"])
        private_folder(file.parent)
        write_private(file, json.dumps(row))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=2 * GRACE_S)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await child.wait()
        finally:
            await end_child(child)


def _last(said: bytes) -> str:
    """What a command said last, which is its error."""
    lines = [line for line in re.split(r"[\r\n]+", said.decode("utf-8", "replace")) if line.strip()]
    return redact_text(" ".join(lines[-3:])[-LAST_WORDS:]) or "It ended without a word."
