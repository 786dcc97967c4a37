"""The web application, made of its parts; nothing is kept in modules."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from fastapi import FastAPI
from pydantic import SecretStr

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.live.reply_cache import ReplyCache
from nightjar.jobs.live.requests import LiveRequests
from nightjar.jobs.money.rates import SharedRates
from nightjar.jobs.mongo import Database
from nightjar.web import metrics, open_routes
from nightjar.web.api import acting, page_actions, reading
from nightjar.web.api import live as live_requests
from nightjar.web.cleaning import Cleaning, CleanupCommand
from nightjar.web.events.feed import EventFeed
from nightjar.web.gate import GateMiddleware, GateRules
from nightjar.web.heavy.pool import HeavyPool, nowhere
from nightjar.web.latest import Latest
from nightjar.web.meters import Meters
from nightjar.web.nearest import NearestPolicies
from nightjar.web.openai import completions, tokens
from nightjar.web.openai import routes as openai
from nightjar.web.openapi import document_route
from nightjar.web.pages.routes import ROUTES
from nightjar.web.payments import Payments
from nightjar.web.problems import add_problem_handlers, defect_answer
from nightjar.web.prompts import PromptCommand, Prompts
from nightjar.web.pulls import Pulls
from nightjar.web.render import Templates
from nightjar.web.routing import mount
from nightjar.web.savings import read_ratio
from nightjar.web.service import routes as service
from nightjar.web.service import stats
from nightjar.web.site import Checks, Site
from nightjar.web.static_files import read_static
from nightjar.web.streams import moves, texts
from nightjar.web.verifications import Verifications

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.queue import Doorbell
    from nightjar.pipeline.runs.preflight import Enforceable

CHECKED_EVERY_S = 30.0
"""How old what `doctor` found may be."""
RATIO_EVERY_S = 300.0
"""The same of what evaluations say of the reference model's costs."""


def create_app(
    settings: Settings,
    database: Database,
    redis: Doorbell,
    *,
    rules: GateRules,
    mongo_url: SecretStr | None = None,
    checks: Checks | None = None,
    cleanup: CleanupCommand | None = None,
    prompts: PromptCommand | None = None,
    enforceable: Enforceable | None = None,
) -> FastAPI:
    """The application.

    `rules`: by which names it answers. `mongo_url`: where its children find MongoDB; None: where the settings say.
    """
    # FastAPI's own pages of the API load their scripts from elsewhere.
    app = FastAPI(title="Nightjar", version=NIGHTJAR_VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    url = mongo_url or settings.mongo_url
    heavy = HeavyPool(where=nowhere if url is None else lambda: (url.get_secret_value(), database.name))
    meters = Meters()
    payments = Payments(database=database, meters=meters)
    live = LiveRequests(database, redis, settings.live, begun=payments.watch)
    closing = asyncio.Event()
    feed = EventFeed(redis, database, closing)
    heavy.told = feed.computed
    app.state.site = Site(
        settings=settings,
        database=database,
        redis=redis,
        rules=rules,
        heavy=heavy,
        live=live,
        replies=ReplyCache(live, settings.live),
        feed=feed,
        ratio=Latest(make=lambda: read_ratio(settings.money.reference_model, database), fresh_s=RATIO_EVERY_S),
        pulls=Pulls(settings=settings),
        cleaning=None if cleanup is None else Cleaning(command=cleanup),
        prompts=None if prompts is None else Prompts(command=prompts, told=feed.computed),
        closing=closing,
        meters=meters,
        payments=payments,
        rates=SharedRates(redis, f"serve {secrets.token_hex(8)}"),
        checks=None if checks is None else Latest(make=checks, fresh_s=CHECKED_EVERY_S),
        enforceable=enforceable,
        verifications=Verifications(told=feed.computed),
        nearest=NearestPolicies(settings=settings),
        templates=Templates.load(read_static(), rules.root),
    )
    protocols = (*openai.ROUTES, *completions.ROUTES, *tokens.ROUTES, *service.ROUTES, *stats.ROUTES, *metrics.ROUTES)
    routes = (
        *open_routes.ROUTES,
        *moves.ROUTES,
        *texts.ROUTES,
        *ROUTES,
        *reading.ROUTES,
        *acting.ROUTES,
        *page_actions.ROUTES,
        *live_requests.ROUTES,
        *protocols,
    )
    mount(app, (*routes, document_route(routes)))
    add_problem_handlers(app)
    app.add_middleware(GateMiddleware, rules=rules, failed=defect_answer)
    return app
