"""Sends one request to an endpoint: within its limits, reserved before and settled after, again where that may help.

The only loop that tries again. What it cannot mend leaves as an error of `config.errors`: a job that comes back later
without a try counted, one that is tried again, or one that can never succeed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog

from nightjar.config.errors import ComeBackError, ContextError, EndpointError, ModelError
from nightjar.config.remote_settings import RemoteSettings
from nightjar.jobs.answer_names import AnswerName
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.money import spending
from nightjar.jobs.money.rates import Rate, SharedRates
from nightjar.jobs.money.spending import BudgetSpentError, Expense
from nightjar.jobs.mongo import Database
from nightjar.jobs.queue import Doorbell
from nightjar.jobs.remote_models import Price, TokenUse
from nightjar.jobs.retry import backoff
from nightjar.workers.library.find import RemoteTarget
from nightjar.workers.remote.concurrency import AdaptiveConcurrency
from nightjar.workers.remote.failures import FailureKind, RequestFailure

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 20.0
BREAK_AFTER = 5
"""Requests in a row that failed in a way that may pass: then the endpoint has a rest."""
REST_S = 15.0
RESTS = 3
"""So often in a row without an answer in between: then the endpoint is paused as one that refuses."""
AGAIN_S = 1.0
"""A job comes back so soon after its endpoint was paused: until then its worker claims nothing anyway."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Payer:
    """Whose request it is, and its name there."""

    job: Job
    run: Run
    name: str
    """TURN.DRAW.LEFT_OUT, of which LEFT_OUT counts the turns that are not sent: unique in one execution of the job."""


@dataclass(frozen=True, kw_only=True)
class CallSize:
    """What a request takes at most, and about: reserved, and taken of the rates."""

    most: TokenUse
    about_tokens: int


@dataclass(frozen=True, kw_only=True)
class Called:
    """What came of a request."""

    expense: Expense
    use: TokenUse
    waited_s: float
    """From the call to the moment when it was sent for the last time."""


def _nameless() -> None:
    return None


Named = Callable[[], AnswerName | None]
"""How the answer names its model; asked after it was read."""
Used = Callable[[], TokenUse]
"""What a request took so far; asked where it was cut, too."""


class EndpointCaller:
    """The requests of one worker to one endpoint."""

    def __init__(
        self,
        target: RemoteTarget,
        model: str,
        worker: str,
        settings: RemoteSettings,
        slots: int,
        *,
        database: Database,
        doorbell: Doorbell,
    ) -> None:
        self._target = target
        self._model = model
        self._worker = worker
        self._settings = settings
        self._database = database
        self._doorbell = doorbell
        self._rates = SharedRates(doorbell, worker)
        self._concurrency = AdaptiveConcurrency(slots)
        self._failed_in_a_row = self._rests = 0
        self._until = 0.0
        self._met_pause = False
        self.paused: str | None = None
        """Why nothing is sent now; None where something may be."""
        self.refused = False
        """It is paused until somebody acts."""

    async def call(
        self,
        payer: Payer,
        asked: CallSize,
        price: Price | None,
        send: Callable[[], Awaitable[None]],
        used: Used,
        named: Named = _nameless,
    ) -> Called:
        """Sends until an answer is there; `send` and `used` are of one try each.

        Raises ComeBackError, EndpointError, ModelError, ContextError; nothing is sent while the endpoint is paused.
        """
        began = monotonic()
        for number in range(1, self._settings.tries + 1):
            async with self._concurrency.place():
                await self._keep_rates(asked.about_tokens)
                await self._may_send()  # last: it may have been paused while this waited
                waited_s = monotonic() - began
                expense = await self._reserve(payer, asked, price, number)
                try:
                    await send()
                except RequestFailure as failure:
                    await asyncio.shield(self._close_failed(expense, failure, used))
                    pause_s = await self._after(failure, number, payer)
                except BaseException:  # cancelled: what it wrote so far may have to be paid for
                    await asyncio.shield(spending.settle_expense(expense, _estimated(used()), self._database))
                    raise
                else:
                    use = used()
                    await asyncio.shield(spending.settle_expense(expense, use, self._database, answer=named()))
                    await self._went_well()
                    return Called(expense=expense, use=use, waited_s=waited_s)
            await asyncio.sleep(pause_s)
        raise AssertionError("the last try raises")

    async def _reserve(self, payer: Payer, asked: CallSize, price: Price | None, number: int) -> Expense:
        job, run = payer.job, payer.run
        expense = Expense(
            id=f"{job.id}.{job.fence}.{payer.name}.{number}",
            run=run.id,
            job=job.id,
            fence=job.fence,
            kind=job.kind,
            model=self._model,
            asked_as=None if job.routed is None else job.routed.asked_as,
            endpoint=self._target.endpoint,
            price=price,
            reserved_usd=None if price is None else price.cost(asked.most),
            reserved=asked.most,
            at=datetime.now(UTC),
        )
        budgets = spending.Budgets(run=run.budget, endpoint_month=self._target.at.budget)
        if price is None and budgets != spending.Budgets():  # a judge that was named later, for example
            raise ModelError(f"Nobody knows the price of {self._model}, so no budget can be kept: nothing is sent.")
        try:
            await spending.reserve(expense, budgets, self._database)
        except BudgetSpentError as error:
            if error.may_pass:  # what is under way has reserved more than it will cost
                raise ComeBackError(str(error), again_s=AGAIN_S * (1 + random.random())) from None  # noqa: S311
            if error.whose == "run":
                await spending.reach_budget(run.id, str(error), self._database)
            else:
                await self._pause(str(error))
            raise ComeBackError(str(error), again_s=AGAIN_S) from None
        return expense

    async def _close_failed(self, expense: Expense, failure: RequestFailure, used: Used) -> None:
        if failure.charged:
            await spending.settle_expense(expense, _estimated(used()), self._database)
        else:
            await spending.give_back_reservation(expense.id, self._database)

    async def _after(self, failure: RequestFailure, number: int, payer: Payer) -> float:
        """Seconds to wait before the next try. Raises where there is none."""
        said = f"{self._model} at {self._target.endpoint}: {failure.said}"
        match failure.kind:
            case FailureKind.TOO_LONG:
                raise ContextError(said, tokens=None, context=self._target.context)
            case FailureKind.INVALID:
                raise ModelError(said)
            case FailureKind.REFUSED:
                await self._pause(failure.said)
                raise ComeBackError(said, again_s=AGAIN_S)
            case FailureKind.BUSY:
                self._concurrency.too_much()
                pause_s = failure.retry_after_s or FIRST_PAUSE_S
                if pause_s > self._settings.wait_s or number == self._settings.tries:
                    raise ComeBackError(said, again_s=pause_s)
                return pause_s
        self._concurrency.too_much()
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= BREAK_AFTER and self.paused is None:
            await self._rest(f"{failure.said} ({self._failed_in_a_row} times in a row)")
        _log.warning(
            "request_failed", endpoint=self._target.endpoint, job=payer.job.id, error=failure.said, attempt=number
        )
        if number == self._settings.tries:
            raise EndpointError(said)
        return backoff(number, FIRST_PAUSE_S, LONGEST_PAUSE_S, random.random())  # noqa: S311

    async def _rest(self, reason: str) -> None:
        """This worker sends nothing for a little while; a pause for all where that was of no use."""
        self._rests += 1
        if self._rests > RESTS:
            self._rests = 0
            await self._pause(reason)
        else:
            self.paused, self._until = reason, monotonic() + REST_S

    async def _pause(self, reason: str) -> None:
        """Nothing is sent by any worker for a while; told once."""
        self.paused, self.refused, self._met_pause = reason, True, True
        self._until = monotonic() + self._settings.pause_s
        if await spending.pause_endpoint(
            self._target.endpoint, reason, self._worker, self._settings.pause_s, self._database
        ):
            _log.error("endpoint_paused", endpoint=self._target.endpoint, reason=reason)

    async def _may_send(self) -> None:
        """Raises ComeBackError while the endpoint is paused, here or by another worker."""
        if self.paused is None and (pause := await spending.paused_endpoint(self._target.endpoint, self._database)):
            self.paused, self.refused, self._met_pause = pause.reason, True, True
            self._until = monotonic() + max(0.0, (pause.until - datetime.now(UTC)).total_seconds())
        if self.paused is not None and monotonic() < self._until:
            raise ComeBackError(f"{self._target.endpoint} is paused: {self.paused}", again_s=AGAIN_S)

    async def look_again(self) -> None:
        """Call it every second: a pause that is over, or that somebody ended (`nightjar endpoint test`), ends here."""
        if self.paused is None:
            return
        ended = self.refused and await spending.paused_endpoint(self._target.endpoint, self._database) is None
        if ended or monotonic() >= self._until:
            self.paused, self.refused, self._until = None, False, 0.0

    async def close(self) -> None:
        """Its connection to Redis."""
        await self._doorbell.close()

    async def _went_well(self) -> None:
        self._concurrency.well()
        self._failed_in_a_row = self._rests = 0
        if self._met_pause:
            self._met_pause = False
            await spending.resume_endpoint(self._target.endpoint, self._database)

    async def _keep_rates(self, tokens: int) -> None:
        """Waits until the shared rates allow it; one that would take too long comes back later."""
        limits, name = self._target.at.limits, self._target.endpoint
        for unit, per_minute, amount in (("requests", limits.rpm, 1), ("tokens", limits.tpm, tokens)):
            if per_minute is None:
                continue
            rate = Rate(key=f"{name}:{unit}", per_minute=per_minute)
            while (pause_s := await self._rates.take(rate, amount)) > 0:
                if pause_s > self._settings.wait_s:
                    raise ComeBackError(f"{name} allows {per_minute} {unit} a minute", again_s=pause_s)
                await asyncio.sleep(pause_s)


def _estimated(use: TokenUse) -> TokenUse:
    return use.model_copy(update={"estimated": True})
