"""What an embedded server logged before it ended, in one sentence."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from nightjar.config.errors import NightjarError, OutputError, ServiceError
from nightjar.config.programs import Kind

LARGEST = 16 * 2**20
"""Bytes after which a log is rotated; one older log is kept."""


def too_large(log: Path) -> bool:
    """Whether a log should be rotated."""
    return log.exists() and log.stat().st_size > LARGEST


def keep_small(log: Path) -> bool:
    """Moves a log that has grown too large to `NAME.1`. Returns whether it did."""
    if not too_large(log):
        return False
    log.replace(log.with_name(log.name + ".1"))
    return True


def said_since(log: Path, start: int) -> list[str]:
    """The lines written since the log had `start` bytes, a mongod's JSON made readable; at most the last 100."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [_readable(line) for line in text.splitlines()[-100:] if line.strip()]


def explain_end(kind: Kind, log: Path, lines: list[str], code: int, versions: tuple[str, str]) -> NightjarError:
    """Why the server ended while starting: an OutputError for a full disk, else a ServiceError with its last lines."""
    end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    last = " | ".join(_worst(lines)) or "nothing"
    if any("No space left on device" in line for line in lines):
        return OutputError(
            f"{kind.title} cannot start: the disk of {log.parent.parent} is full. "
            f"Make room, or set NIGHTJAR_HOME to another disk. Its log {log} ends with: {last}"
        )
    before, now = versions
    changed = "" if before == now else f"Its data was last used by {kind.program} {before}; this is {now}. "
    return ServiceError(f"{kind.title} {end} at its start. {changed}Its log {log} ends with: {last}")


def _worst(lines: list[str]) -> list[str]:
    """The last lines that look like trouble, else the last lines."""
    signs = ("error", "fatal", "fail", "can't", "cannot", "invalid", "# ", "bad ")
    return ([line for line in lines if any(sign in line.lower() for sign in signs)] or lines)[-4:]


def _readable(line: str) -> str:
    try:
        entry: Any = json.loads(line)
        text = f"{entry['msg']} {json.dumps(entry['attr']) if entry.get('attr') else ''}"
    except (ValueError, TypeError, KeyError):
        text = line
    return "".join(character for character in text if character.isprintable())[:400].strip()
