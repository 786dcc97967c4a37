"""What a request can reach: the application's parts, made once by `create_app` and handed to every route."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import Request

from nightjar.jobs.live.reply_cache import ReplyCache
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.money.rates import SharedRates
from nightjar.jobs.mongo import Database
from nightjar.web.auth.passwords import Passwords
from nightjar.web.auth.throttle import Throttle
from nightjar.web.cleaning import Cleaning
from nightjar.web.events.feed import EventFeed
from nightjar.web.gate import GateRules
from nightjar.web.heavy.pool import HeavyPool
from nightjar.web.latest import Latest
from nightjar.web.meters import Meters
from nightjar.web.nearest import NearestPolicies
from nightjar.web.payments import Payments
from nightjar.web.pulls import Pulls
from nightjar.web.render import Templates
from nightjar.web.verifications import Verifications

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.queue import Doorbell
    from nightjar.pipeline.routing.savings import CostRatio
    from nightjar.pipeline.runs.preflight import Enforceable


class MachineCheck(Protocol):
    """One check of `nightjar doctor`, as the room above makes it."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def found(self) -> str: ...
    @property
    def remedy(self) -> str | None: ...


Checks = Callable[[], Awaitable[Sequence[MachineCheck]]]


@dataclass(frozen=True, kw_only=True)
class Site:
    """The parts of one application."""

    settings: Settings
    database: Database
    redis: Doorbell
    rules: GateRules
    heavy: HeavyPool
    live: LiveRequests
    """To be used as a context while requests are taken, and so is `feed`."""
    replies: ReplyCache
    feed: EventFeed
    ratio: Latest[CostRatio | None]
    """What evaluations say of the reference model's costs."""
    pulls: Pulls
    templates: Templates
    verifications: Verifications
    nearest: NearestPolicies
    """To be closed when no requests are taken any more, and so are `verifications`."""
    closing: asyncio.Event
    """Set when the server is about to end: every stream ends, too."""
    rates: SharedRates
    """How often API tokens may ask."""
    meters: Meters
    payments: Payments
    checks: Latest[Sequence[MachineCheck]] | None = None
    """What `nightjar doctor` says; None where whoever runs the application cannot say it."""
    cleaning: Cleaning | None = None
    """What `nightjar cleanup` clears; None likewise."""
    enforceable: Enforceable | None = None
    """Whether replies can be held to a schema or a grammar, which the engine knows; None: the worker finds out."""
    passwords: Passwords = field(default_factory=Passwords)
    throttle: Throttle = field(default_factory=Throttle)
    form_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Signs the tokens of forms, for as long as this process lives."""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keeps a task that goes on after its request: the event loop alone would forget it."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site: Site = request.app.state.site
    return site
