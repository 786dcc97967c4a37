"""An error that is not transient costs only the current piece of work, and is logged."""

from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from nightjar.config.errors import EngineError, UsageError
from nightjar.config.hindered import hindered


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


@pytest.mark.parametrize("error", [EngineError("a decode failed"), ValueError("a defect of ours")])
def test_what_passes_by_itself_and_what_is_a_defect_is_raised(error: Exception) -> None:
    with capture_logs() as events, pytest.raises(type(error)), hindered("report_failed"):
        raise error
    assert events == []
