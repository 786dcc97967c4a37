"""What kind of fault an error is."""

from __future__ import annotations

import pytest

from nightjar.config.errors import ContextError, EngineError, ModelError, ParameterError, ServiceError, TemplateError
from nightjar.jobs.retry import Fault
from nightjar.workers.process.tasks import classify


@pytest.mark.parametrize(
    ("error", "alone", "fault"),
    [
        (ContextError("too long"), False, Fault.PERMANENT),
        (TemplateError("no template"), False, Fault.PERMANENT),
        (ParameterError("temperature"), False, Fault.PERMANENT),
        (ModelError("an embedding model"), False, Fault.PERMANENT),
        (ServiceError("MongoDB"), False, Fault.TRANSIENT),
        (RuntimeError("unforeseen"), False, Fault.TRANSIENT),
        # a failing engine: whoever was in it may be the cause; alone there is no doubt
        (EngineError("decode failed"), False, Fault.CRASHED),
        (EngineError("decode failed"), True, Fault.CRASHED_ALONE),
    ],
)
def test_classify(error: Exception, alone: bool, fault: Fault) -> None:
    assert classify(error, alone=alone) is fault
