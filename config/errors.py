"""Nightjar's exceptions.

    NightjarError                what happened, where, and what to do, in one paragraph; `exit_code` 1
    +-- UsageError               wrong usage or bad input; `exit_code` 2
    |   +-- SettingsError        an unknown, misspelt or invalid setting
    |   +-- SuiteError           a suite file that cannot be imported (file, line, field)
    |   +-- UnknownNameError     no such suite, model, run or job (with the nearest names)
    |   +-- RunConflictError     the run exists with other content (with the difference)
    |   +-- ParameterError       a generation parameter out of its range
    +-- ServiceError             MongoDB or Redis missing, unreachable or refusing us
    +-- SchemaError              a database whose documents another version of Nightjar wrote (with the remedy)
    +-- HubError                 the model hub unreachable or refusing us, or a download that is not what was promised
    +-- ModelError               a model that cannot do what is asked of it
    |   +-- ModelFileError       unreadable, truncated or not a GGUF
    |   +-- ModelFitError        too large for this machine (with the numbers)
    |   +-- EngineError          the engine failed under a request (decode error, no progress); transient
    |   +-- TemplateError        no chat template, or one that cannot render this conversation
    |   +-- EndpointError        an endpoint failed a request in a way that may pass; transient
    |   +-- ComeBackError        an endpoint is busy or paused, or money has run out: the job comes back, no try counted
    +-- LiveError                a live request that gets no reply
    |   +-- QueueFullError       as many as may wait do so (with when to ask again)
    |   +-- NotServedError       no worker took it in time (with what is in the way, and for how long)
    |   +-- TokenBudgetError     the budget of the API token that asks is used up (with when there is room again)
    |   +-- TokenBudgetError     its API token's budget has no room for it (with when there is room again)
    |   +-- TooLongError         its conversation does not fit the context (with both numbers)
    |   +-- RestartedError       its reply began again, otherwise than what was sent already
    |   +-- CancelledReplyError  it was cancelled, or whoever asked has gone
    +-- ContextError             a prompt that does not fit the context (with the numbers)
    +-- TranscriptError          a conversation that has grown too large to be stored
    +-- OutputError              a folder or file that cannot be written, a full disk
    +-- LeaseLostError           somebody else owns the job now; never shown to a person

For a job, `transient` decides what follows: True means that another try may succeed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class NightjarError(Exception):
    """Base of every error that Nightjar raises on purpose."""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False


class UsageError(NightjarError):
    exit_code = 2


class SettingsError(UsageError):
    pass


class SuiteError(UsageError):
    """`line`: where in the file, from 1, if that is known."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class UnknownNameError(UsageError):
    """Nothing has that name, `within` a run, say; the message lists the nearest existing names."""

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str = "", *, within: str = "") -> None:
        place = f" in {within}" if within else ""
        said = f"There is no {kind} {name!r}{place}. {suggest(name, known, kind)}"
        super().__init__(f"{said} {remedy}" if remedy else said)


class RunConflictError(UsageError):
    pass


class ParameterError(UsageError):
    pass


class ServiceError(NightjarError):
    transient = True


class SchemaError(NightjarError):
    pass


class HubError(NightjarError):
    pass


class ModelError(NightjarError):
    """The model cannot do what is asked of it; a job that meets this is DEAD, unless the error is transient."""


class ModelFileError(ModelError):
    pass


class ModelFitError(ModelError):
    pass


class EngineError(ModelError):
    """The engine failed under a request that may be fine: a decode error, or no progress. The job is tried again."""

    transient = True


class TemplateError(ModelError):
    pass


class EndpointError(ModelError):
    """An endpoint failed a request in a way that may pass; what it said is in the message. The job is tried again."""

    transient = True


class ComeBackError(ModelError):
    """Nothing is wrong with the job: it is to come back after `again_s` seconds, and that counts no try."""

    transient = True

    def __init__(self, message: str, *, again_s: float) -> None:
        super().__init__(message)
        self.again_s = again_s


class LiveError(NightjarError):
    """A live request gets no reply, or none of it any more."""


class QueueFullError(LiveError):
    """`retry_after_s`: when it makes sense to ask again."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotServedError(LiveError):
    """`run`: the name of the run in the way, None where none is; `eta_s`: how long it needs, None if not known."""

    def __init__(
        self, message: str, *, retry_after_s: float, run: str | None = None, eta_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.run = run
        self.eta_s = eta_s


class TokenBudgetError(LiveError):
    """`money`: dollars are missing, not tokens. `retry_after_s`: when there may be room; None: asking again is no use.
    `passing`: only requests under way are in the way.
    """

    def __init__(self, message: str, *, money: bool, retry_after_s: float | None = None, passing: bool = False) -> None:
        super().__init__(message)
        self.money = money
        self.retry_after_s = retry_after_s
        self.passing = passing


class TooLongError(LiveError):
    """`tokens`: of the prompt with the room kept for a reply; `context`: what the model holds."""

    def __init__(self, message: str, *, tokens: int, context: int) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.context = context


class RestartedError(LiveError):
    """What protocols call `generation_restarted`."""


class CancelledReplyError(LiveError):
    pass


class ContextError(NightjarError):
    """`tokens` and `context` where the numbers are those of a prompt: with the room for a reply, and what there is."""

    def __init__(self, message: str, *, tokens: int | None = None, context: int | None = None) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.context = context


class TranscriptError(NightjarError):
    pass


class OutputError(NightjarError):
    pass


class ScoringError(NightjarError):
    """The replies of a run cannot be scored: the process that does so was ended again and again."""


class LeaseLostError(NightjarError):
    """The job has another owner or was taken away: whoever meets it drops the job and writes nothing."""


def suggest(name: str, known: Iterable[str], kind: str = "name") -> str:
    """One sentence with the nearest of the known names, or saying that there are none."""
    names = sorted(set(known))
    if not names:
        return f"No {kind} exists yet."
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return "Did you mean " + " or ".join(repr(n) for n in near) + "?"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"Known: {shown}."
