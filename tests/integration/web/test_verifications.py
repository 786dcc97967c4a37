"""Hashing a model for the page: it takes as long as it takes, tells how far it is, and ends where nothing moves."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from nightjar.config.errors import UsageError
from nightjar.config.settings import Settings
from nightjar.web import verifications
from nightjar.web.verifications import Verification, Verifications
from tests.demo_engine import DEMO
from tests.workbench import until

STAMP = "1"


def places(settings: Settings) -> str:
    names = ("home", "models_dir", "models_file")
    return json.dumps({name: str(getattr(settings, name)) for name in names})


async def outcome(running: Verifications, model: str) -> Verification:
    def ended() -> Verification | None:
        found = running.of(model, STAMP)
        return found if found is not None and not found.running else None

    found: Verification = await until(ended, within_s=60)
    return found


def acting(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """The process does this instead of hashing."""
    monkeypatch.setattr(verifications, "PYTHON", (sys.executable, "-P", "-c", program))


async def test_a_file_is_hashed_and_told_of(settings: Settings) -> None:
    told: list[None] = []
    running = Verifications(told=lambda: told.append(None))
    running.start(str(DEMO), STAMP, places(settings))
    with pytest.raises(UsageError, match="is being hashed already"):
        running.start(str(DEMO), STAMP, places(settings))
    found = await outcome(running, str(DEMO))
    assert found.error is None
    assert found.total_bytes == DEMO.stat().st_size
    assert found.checks is not None
    assert [len(check["found"]) for check in found.checks] == [64]
    assert await until(lambda: told)
    assert running.of(str(DEMO), "other") is None, "its files are others by now"
    running.start("nobody", STAMP, places(settings))
    assert "nobody" in ((await outcome(running, "nobody")).error or "")
    await running.close()


SLOW = """
import json, time
for done in range(1, 9):
    print(json.dumps({"done": done, "total": 8}), flush=True)
    time.sleep(0.2)
print(json.dumps({"checks": []}), flush=True)
"""


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (SLOW, None),  # longer than anything may stand still, but it gets on
        ("import time; time.sleep(60)", "Nothing could be read of its files"),
        ("raise SystemExit(1)", "It ended without a word"),
    ],
)
async def test_only_what_stands_still_is_given_up(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, program: str, error: str | None
) -> None:
    monkeypatch.setattr(verifications, "STALL_S", 1.0)
    acting(monkeypatch, program)
    running = Verifications()
    running.start("m", STAMP, places(settings))
    found = await outcome(running, "m")
    assert (found.error or "").startswith(error or "")
    assert (found.error is None) is (error is None)
    await running.close()


async def test_one_after_the_other_and_none_outlives_the_server(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    mark = tmp_path / "began"
    acting(monkeypatch, f"open({str(mark)!r}, 'a').write('x'); import time; time.sleep(60)")
    running = Verifications()
    running.start("a", STAMP, places(settings))
    running.start("b", STAMP, places(settings))
    await until(mark.exists, within_s=30)
    await asyncio.sleep(0.3)
    assert mark.read_text() == "x"
    async with asyncio.timeout(10):
        await running.close()
    assert mark.read_text() == "x"
