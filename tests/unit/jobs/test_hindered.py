"""An error that is not transient costs only the current piece of work, and is logged."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from pymongo.errors import AutoReconnect, OperationFailure
from structlog.testing import capture_logs

from nightjar.config.errors import EngineError, UsageError
from nightjar.jobs.hindered import Hindrances, hindered


def test_trouble_is_logged_and_goes_no_further() -> None:
    """The event has the fields it was given and the message; the caller sees the error, and whether there was one."""
    with capture_logs() as events:
        with hindered("report_failed", level=logging.WARNING, run="r") as hindrance:
            raise UsageError("There is no such run.")
        with hindered("report_failed") as nothing:
            pass
    assert events == [
        {"event": "report_failed", "log_level": "warning", "error": "There is no such run.", "run": "r"},
    ]
    assert str(hindrance.error) == "There is no such run."
    assert nothing.error is None


@pytest.mark.parametrize("error", [ValueError("a defect of ours"), OperationFailure("bad value", 2)])
def test_a_defect_goes_no_further_either_and_its_traceback_is_logged(error: Exception) -> None:
    with capture_logs() as events, hindered("report_failed"):
        raise error
    assert [(event["event"], event["exc_info"]) for event in events] == [("report_failed", error)]
    assert events[0]["error"].startswith(f"{type(error).__name__}: ")


@pytest.mark.parametrize("error", [EngineError("a decode failed"), AutoReconnect("away")])
def test_what_passes_by_itself_is_raised(error: Exception) -> None:
    with capture_logs() as events, pytest.raises(type(error)), hindered("report_failed"):
        raise error
    assert events == []


async def test_a_task_that_is_cancelled_is_not_taken_for_hindered() -> None:
    """A driver may answer a cancellation with an error of its own."""

    async def work() -> None:
        with hindered("report_failed"):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise OSError("connection closed") from None

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(OSError, match="connection closed"):
        await task


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def test_a_document_that_does_not_validate_is_not_quoted() -> None:
    """Its fields are named, and neither message nor traceback holds what is in them."""
    with capture_logs() as events, hindered("document_unreadable", run="r") as hindrance:
        Strict.model_validate({"reply": "x" * 100_000})
    assert isinstance(hindrance.error, ValidationError)
    assert events[0]["error"] == "it cannot be read: reply: Extra inputs are not permitted"
    assert len(str(events)) < 300


def test_a_round_collects_what_hindered_it_and_logs_what_is_new() -> None:
    """By subject; the same error is not logged again, also after a round that did not look; another one is."""
    hindrances = Hindrances()
    with capture_logs() as events:
        for text in ("no disk", "no disk", None, "no disk", "no net"):
            hindrances.begin()
            with hindrances.collecting(), hindered("run_not_advanced", run="r"):
                if text is not None:
                    raise UsageError(text)
    assert hindrances.now == {"run r": "no net"}
    assert [event["error"] for event in events] == ["no disk", "no net"]


def test_what_is_read_again_and_again_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each document, and again where the error is another."""
    clock = [1_000.0]
    monkeypatch.setattr("nightjar.jobs.hindered.monotonic", lambda: clock[0])
    with capture_logs() as events:
        for passed_s, run, error in ((0, "r", "a"), (1, "r", "a"), (58, "s", "a"), (2, "r", "a"), (1, "r", "b")):
            clock[0] += passed_s
            with hindered("document_unreadable", seldom_s=60, run=run):
                raise KeyError(error)
    assert [(event["run"], event["error"]) for event in events] == [
        ("r", "KeyError: 'a'"),
        ("s", "KeyError: 'a'"),
        ("r", "KeyError: 'a'"),
        ("r", "KeyError: 'b'"),
    ]
