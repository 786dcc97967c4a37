"""The playground's page, its stream, and keeping a conversation as a suite's turn."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError

from nightjar.config.errors import NightjarError, UsageError
from nightjar.jobs.backlog import live_workers
from nightjar.jobs.documents import SuiteVersion
from nightjar.jobs.live_request import LiveAsk
from nightjar.jobs.models import ModelKind
from nightjar.jobs.published import all_published
from nightjar.web.auth.roles import Action
from nightjar.web.openai.asking import asker, check_memory_here, on_account, with_memory_named
from nightjar.web.openai.bodies import read_json
from nightjar.web.openai.schema import read_loosely
from nightjar.web.pages.declare import Done, Visit, page, post_action
from nightjar.web.play.keeping import kept_sequence, with_sequence
from nightjar.web.play.schema import MOST_MODELS, PlayMessage, PlayRequest
from nightjar.web.play.streams import play_all
from nightjar.web.routing import Route
from nightjar.web.sheet import Content
from nightjar.web.site import Site, site_of
from nightjar.web.streams.moves import STREAMED, holder_of
from nightjar.web.visitors import visitor_of

OWN_MEMORY = "playground"
"""What a memory is called unless its user calls it something else."""
_MESSAGES = TypeAdapter(list[PlayMessage])


@dataclass(frozen=True, kw_only=True)
class PlayModel:
    """A model that can chat. `loaded`: a worker has it."""

    name: str
    loaded: bool
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class PlayPage(Content):
    """What can be chosen; the conversations are the script's."""

    models: tuple[PlayModel, ...]
    most: int
    seed: str
    prompt: str
    memory: str
    """The one that is switched on; empty: none is."""
    own_memory: str
    can_remember: bool


async def build_play(visit: Visit) -> PlayPage:
    """`model` (up to six), `prompt`, `seed` and `memory` (its name: it is switched on) may be in the address."""
    database = visit.site.database
    names = sorted(model.id for model in await all_published(database) if model.facts.kind is ModelKind.CHAT)
    loaded = set(await live_workers(database))
    asked = set(visit.many("model")) or set([name for name in names if name in loaded][:1] or names[:1])
    models = tuple(PlayModel(name=name, loaded=name in loaded, chosen=name in asked) for name in names)
    return PlayPage(
        title="Playground",
        models=models,
        most=MOST_MODELS,
        seed=visit.one("seed"),
        prompt=visit.one("prompt"),
        memory=visit.one("memory"),
        own_memory=OWN_MEMORY,
        can_remember=await _can_remember(visit.site),
        scripts=("play.js",),
    )


async def _can_remember(site: Site) -> bool:
    try:
        await check_memory_here(OWN_MEMORY, site)
    except NightjarError:
        return False
    return True


async def ask_models(request: Request) -> StreamingResponse:
    """Replies of up to six models, as events; leaving the stream cancels those that have not ended."""
    site = site_of(request)
    asked = read_loosely(await read_json(request), PlayRequest)
    site.feed.check_room(holder_of(visitor_of(request)))
    parameters = asked.parameters.model_dump(exclude_none=True)
    user = asker(request)
    asks = [
        LiveAsk(user=user, model=ask.model, messages=ask.said(), parameters=parameters, seed=ask.seed)
        for ask in asked.asks
    ]
    asks = [on_account(ask, request) for ask in await with_memory_named(asked.memory, asks, site)]
    return StreamingResponse(play_all(asks, request, site), media_type="text/event-stream", headers=STREAMED)


async def _keep(visit: Visit) -> Done:
    """A new version of the suite, with the conversation as one more sequence."""
    from nightjar.pipeline.suites.importer import import_suite, load_whole  # reads suites, which other pages never do

    database = visit.site.database
    try:
        messages = _MESSAGES.validate_json(visit.one("messages"))
    except ValidationError as error:
        raise UsageError(f"The messages cannot be read: {error.errors()[0]['msg']}.") from None
    suite = visit.one("suite")
    newest = await SuiteVersion.find({"name": suite}).sort("-version").first_or_none()
    sequence = kept_sequence(visit.one("sequence"), messages, visit.one("reference"))
    content = None if newest is None else await load_whole(newest, database)
    version, _ = await import_suite(with_sequence(suite, content, sequence), database)
    said = f"Kept as {sequence.id} of {version.name}, version {version.version}."
    return Done(said=said, about=version.name, details={"sequence": sequence.id, "version": version.version})


ROUTES = (
    page("/play", "play_page.html", PlayPage, build_play, action=Action.GENERATE),
    Route(method="POST", path="/play/ask", action=Action.GENERATE, answer=ask_models),
    post_action("/play/keep", Action.RUN, _keep),
)
