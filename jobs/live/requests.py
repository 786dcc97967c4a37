"""Live requests: a reply that somebody waits for is a job, and this is how it is asked for, followed and cancelled.

What a program calls is `LiveRequests`. It knows no HTTP: errors are typed (`config.errors`), so that a layer above maps
UnknownNameError to 404, TooLongError and UsageError to 400, QueueFullError to 429, NotServedError to 503.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

from nightjar.config.errors import LiveError, QueueFullError, ServiceError, UnknownNameError, UsageError
from nightjar.config.live_settings import LiveSettings
from nightjar.jobs.documents import Job
from nightjar.jobs.live import bell as live_bell
from nightjar.jobs.live import runs as live_runs
from nightjar.jobs.live.account import LiveAccount, open_account
from nightjar.jobs.live.channel import LiveChannel, Texts
from nightjar.jobs.live.places import want_model
from nightjar.jobs.live.refusal import why_not_served
from nightjar.jobs.live.runs import LiveJob
from nightjar.jobs.live.state import LiveEnd, LiveState, read_live_state
from nightjar.jobs.live.task import LiveTask
from nightjar.jobs.live.text import LivePiece, ReplyText, TextMessage
from nightjar.jobs.live_request import LiveAsk, refuse_unable
from nightjar.jobs.models import ModelFacts, ModelKind
from nightjar.jobs.mongo import Database, DatabaseError, Row
from nightjar.jobs.patience import patiently
from nightjar.jobs.published import published
from nightjar.jobs.queue import Doorbell, DueJob
from nightjar.jobs.states import JobStatus

LOOK_S = 1.0
"""How often whoever waits looks into MongoDB, whatever is heard."""
LOOK_ANYWAY_S = 3.0
"""The same while text comes."""
LOOK_AWAY_S = 0.25
"""The same while Redis is away."""
FULL_RETRY_S = 5.0
WANT_EVERY_S = 3.0
VANISHED_S = 15.0
"""A lease that ended so long ago, and was not taken back: nobody does so."""


@dataclass(eq=False)
class LiveReply:
    """A reply under way. Iterate it for its text, then look at `end`; `result` does both."""

    job: LiveJob
    _requests: LiveRequests
    rings: bool = False
    """It was stored just now, and is pushed to a worker when it is iterated; else it was pushed before."""
    end: LiveEnd | None = None
    """Set when the iteration has ended well."""
    computed: Row | None = None
    """The same of a task, which has no text."""
    account: LiveAccount | None = None
    """Of a request that came with an API token, where this process stored it."""
    whole: bool = False
    """Set it where nobody sees the text before its end: a reply that began anew is as good as any then."""
    _since: float = field(default_factory=monotonic)
    """Since when it waits for a worker."""
    _looked: float = 0.0
    _asked_again: float = 0.0
    _heard_bytes: int = 0

    async def __aiter__(self) -> AsyncIterator[LivePiece]:
        """The reply's text, reasoning first. Raises LiveError, also for what came after the first pieces."""
        text = ReplyText(seen=not self.whole)
        async with self._requests.channel.follow(self.job.id) as texts:
            fresh, self.rings = self.rings, False
            await (self._requests.ring(self.job) if fresh else self._hear_again())
            while self.end is None and self.computed is None:
                message = await self._next(texts) if fresh or self._looked else None  # it may have ended long ago
                if message is not None and not message.ended:
                    for piece in text.hear(message):
                        self._heard_bytes += len(piece.text.encode("utf-8", "surrogatepass"))
                        yield piece
                    if text.gap:
                        await self._hear_again()
                    if monotonic() - self._looked < LOOK_ANYWAY_S:
                        continue
                state = await self._look()
                if state is not None and state.status is JobStatus.DONE:
                    if state.result is not None:
                        self.computed = state.result
                        break
                    end = state.end()
                    for piece in text.finish(end.fence, end.reasoning, end.reply):
                        yield piece
                    self.end = end
        await self._settle()
        await self._requests.fetched(self.job)

    async def result(self) -> LiveEnd:
        """The whole reply. Raises LiveError."""
        self.whole = True
        async for _ in self:
            pass
        assert self.end is not None
        return self.end

    async def cancel(self) -> None:
        """Ends the job within a step of its engine; nothing happens to one that has ended. Idempotent."""
        if self.end is None and self.computed is None:
            await self._requests.cancel(self.job.id)
            await self._settle()

    async def _settle(self) -> None:
        if self.account is not None:
            await self.account.settle(self._heard_bytes)

    async def _hear_again(self) -> None:
        """Asks for the text so far, where it was not asked for just now."""
        if monotonic() - self._asked_again > LOOK_S:
            self._asked_again = monotonic()
            with contextlib.suppress(ServiceError):
                await live_bell.call_out(self._requests.doorbell, live_bell.AGAIN, self.job.id)

    async def _next(self, texts: Texts) -> TextMessage | None:
        look_s = LOOK_AWAY_S if self._requests.channel.away else LOOK_S
        try:
            return texts.get_nowait() if not texts.empty() else await asyncio.wait_for(texts.get(), look_s)
        except TimeoutError:
            return None

    async def _look(self) -> LiveState | None:
        """How it stands. Raises the LiveError that ends it; None while MongoDB is away."""
        requests, self._looked = self._requests, monotonic()
        try:
            state = await read_live_state(self.job.id, requests.database)
        except ServiceError:
            return None
        if state.error is not None:
            await requests.cancel(self.job.id, why="its worker crashed")  # what has ended stays as it is
            await self._settle()
            raise state.error
        await requests.want(self.job.model)
        if state.status is JobStatus.RUNNING:
            self._since = monotonic()
            if state.lapsed_s > VANISHED_S:
                await requests.cancel(self.job.id)
                raise LiveError("Its worker vanished, and nobody took the request back. Ask again.")
        elif state.status is JobStatus.PENDING:
            await self._wait(monotonic() - self._since)
        return state

    async def _wait(self, waited_s: float) -> None:
        """Gives up after a while. Raises NotServedError."""
        requests = self._requests
        if waited_s < requests.settings.wait_s:
            return
        refusal = await why_not_served(self.job.model, waited_s, requests.database)
        await requests.cancel(self.job.id, why="no worker took it in time")
        raise refusal


@dataclass(eq=False)
class LiveRequests:
    """Submits live requests and follows them; a process has one, and uses it as a context."""

    database: Database
    doorbell: Doorbell
    settings: LiveSettings
    begun: Callable[[LiveJob], Awaitable[None]] | None = None
    """Told of each job that this process stored."""
    channel: LiveChannel = field(init=False)
    _wanted: dict[str, float] = field(default_factory=dict)
    """When this process last said that it wants a model."""

    def __post_init__(self) -> None:
        self.channel = LiveChannel(self.doorbell)

    async def __aenter__(self) -> LiveRequests:
        await self.channel.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.channel.__aexit__(*error)

    async def submit(self, ask: LiveAsk) -> LiveReply:
        """Stores the request as a job; the reply begins when it is iterated.

        Raises UnknownNameError for a model that nobody has published, UsageError for one that cannot chat and for what
        cannot be asked, QueueFullError, TokenBudgetError, ServiceError.
        """
        facts = await patiently(lambda: self._admitted(ask), patience_s=live_runs.PATIENCE_S)
        if facts.kind is ModelKind.EMBEDDING:
            raise UsageError(f"{ask.model!r} is an embedding model: it cannot write a reply. Choose a chat model.")
        if facts.kind is ModelKind.BASE and ask.text is None:
            raise UsageError(f"{ask.model!r} has no chat template: it goes on with a text, and cannot chat.")
        refuse_unable(ask, facts)
        return await self._begun(
            ask, facts, lambda identity: live_runs.insert_live(ask, facts, self.database, identity)
        )

    async def submit_task(self, task: LiveTask) -> LiveReply:
        """Stores a task as a job; iterated, its reply has no text, and then `computed`.

        Raises UnknownNameError, UsageError for what this kind of model cannot do, QueueFullError, TokenBudgetError,
        ServiceError.
        """
        facts = await patiently(lambda: self._admitted(task), patience_s=live_runs.PATIENCE_S)
        task.check(facts.kind)
        return await self._begun(
            task, facts, lambda identity: live_runs.insert_task(task, facts, self.database, identity)
        )

    async def _begun(
        self, ask: LiveAsk | LiveTask, facts: ModelFacts, insert: Callable[[str], Awaitable[LiveJob]]
    ) -> LiveReply:
        """What it may take is reserved before there is a job, so that whatever crashes nothing runs uncounted."""
        identity = live_runs.new_live_id()
        account = await open_account(identity, ask, facts, self.database)
        try:
            job = await insert(identity)
        except UsageError:  # of any other error nobody knows whether the job is there
            if account is not None:
                await account.give_back()
            raise
        if self.begun is not None:
            await self.begun(job)
        await self.want(ask.model)
        return LiveReply(job, self, rings=True, account=account)

    async def follow(self, job: str, user: str) -> LiveReply:
        """A request of this user's again, from its beginning: of another process, or after a connection broke.

        Raises UnknownNameError, also for another user's.
        """
        found = await live_runs.find_live(job, user, self.database)
        assert found.live is not None
        seed, store = found.live.seed, found.live.store
        live_job = LiveJob(id=found.id, run=found.run, model=found.model, fence=found.fence, seed=seed, store=store)
        return LiveReply(live_job, self)

    async def cancel(self, job: str, *, user: str | None = None, why: str = "cancelled by its user") -> bool:
        """Cancels a request; False where it has ended, or is not this user's. Its worker stops within a step."""
        done = await patiently(lambda: live_runs.cancel_live(job, why, self.database, user=user), patience_s=10)
        if done:
            with contextlib.suppress(ServiceError):
                await live_bell.call_out(self.doorbell, live_bell.CANCEL, job)
        return done

    async def ring(self, job: LiveJob) -> None:
        """Pushes the job to a worker. Without Redis its worker finds it in MongoDB."""
        with contextlib.suppress(ServiceError):
            await live_bell.push_live(self.doorbell, job.model, DueJob(job.run, job.id, job.fence))

    async def want(self, model: str) -> None:
        """Says that the model is wanted, from time to time; the places load it where they hold others."""
        if monotonic() - self._wanted.get(model, -WANT_EVERY_S) < WANT_EVERY_S:
            return
        self._wanted[model] = monotonic()
        with contextlib.suppress(DatabaseError):
            await want_model(model, self.database, for_s=self.settings.idle_s)

    async def fetched(self, job: LiveJob) -> None:
        """The whole reply was handed out: one that is not to be stored loses its texts."""
        if not job.store and (found := await Job.get(job.id)) is not None:
            await live_runs.drop_texts(found, self.database)

    async def _admitted(self, ask: LiveAsk | LiveTask) -> ModelFacts:
        facts, _ = await asyncio.gather(self.facts_of(ask.model), self._check_room(ask))
        return facts

    async def facts_of(self, model: str) -> ModelFacts:
        """What a host has published of a model. Raises UnknownNameError."""
        known = (await published([model], self.database)).get(model)
        if known is None:
            names = await self.database.raw["models"].distinct("_id")
            raise UnknownNameError("model", model, map(str, names), "`nightjar model list` shows them.")
        return known.facts

    async def _check_room(self, ask: LiveAsk | LiveTask) -> None:
        """Raises QueueFullError. Requests that come at the same moment may pass together."""
        settings = self.settings
        of_model, of_user = await asyncio.gather(
            live_runs.count_open(self.database, model=ask.model), live_runs.count_open(self.database, user=ask.user)
        )
        if of_model >= settings.queue:
            what, most, setting = f"for {ask.model!r}", settings.queue, "queue"
        elif of_user >= settings.queue_of_user:
            what, most, setting = "of this user's", settings.queue_of_user, "queue_of_user"
        else:
            return
        raise QueueFullError(
            f"{most} live requests {what} wait or are replied to, and more are not taken ([live] {setting}). Ask again "
            f"in {FULL_RETRY_S:.0f} s.",
            retry_after_s=FULL_RETRY_S,
        )
