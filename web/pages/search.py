"""Search: prompts, replies, judges' reasons and documents, by words and by meaning; one click to the turn."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from fastapi.responses import Response

from nightjar.config.counting import how_many
from nightjar.config.errors import ModelError, NightjarError, UnknownNameError
from nightjar.jobs.lookup import find_run, find_turn
from nightjar.jobs.status.run import newest_run_names
from nightjar.pipeline.report.page.grid import Cell
from nightjar.pipeline.search.question import SearchQuestion
from nightjar.web.auth.roles import Action
from nightjar.web.heavy.pool import HeavyTask
from nightjar.web.pages.computed import CHOICES, COMPUTING
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import linked, made_table, path_to, run_address
from nightjar.web.routing import Route
from nightjar.web.sheet import Choice, Field, Form, Link, Picture, Said, Section, Sheet
from nightjar.web.site import site_of
from nightjar.workers.embedder.spec import read_embedder_spec
from nightjar.workers.photos.pull import picture_folder
from nightjar.workers.photos.store import thumbnail

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

FRESH_S = 60
"""For so long the same question is not asked again."""
SHOWN = 20
PHOTOS = 12


async def build_search(visit: Visit) -> Sheet:
    """`q`, `run`, `model` and `like` (JOB:TURN) are in the address; without a question it is asked for."""
    text, run, model, like = visit.one("q"), visit.one("run"), visit.one("model"), visit.one("like")
    runs = await newest_run_names(CHOICES, visit.site.database)
    form = _form(text, run, model, runs)
    asked = Section(id="question", heading="What to look for", form=form, empty="" if runs else "No run yet.")
    if not text and not like:
        links = (Link(text="Replies of a run that are nearly the same", href="/duplicates"),)
        return Sheet(title="Search", links=links, sections=(asked,))
    settings, database = visit.site.settings, visit.site.database
    within = await find_run(run, database) if run else None
    turn = await find_turn(like, database, within) if like else None
    question = SearchQuestion(
        text=text,
        like=None if turn is None else (turn[0].id, turn[1]),
        run=None if within is None else within.id,
        model=model or None,
        user=visit.visitor.user or visit.visitor.name.partition(" ")[0],
        most=SHOWN,
    )
    question.check()
    try:
        spec = await asyncio.to_thread(read_embedder_spec, settings, "A search by meaning")
    except (ModelError, UnknownNameError) as error:
        return _refused(error, asked)
    photos = PHOTOS if visit.visitor.can(Action.MANAGE) else 0  # they are the owner's own
    version = f"{spec.facts.digest} {int(monotonic() / FRESH_S)}"
    asked_for = (json.dumps(asdict(question)), spec.model_dump_json(), str(settings.home), str(photos))
    arguments = (*asked_for, _picture_folder(settings) if photos else "")
    try:
        ready = await visit.site.heavy.look(HeavyTask(kind="search", arguments=arguments, version=version))
    except NightjarError as error:  # such as a model that nobody asked
        return _refused(error, asked)
    if ready is None:
        return Sheet(title="Search", live=True, said=(Said(text=COMPUTING),), sections=(asked,))
    answer = json.loads(await asyncio.to_thread(ready.read_text, "utf-8"))
    said = tuple(Said(text=notice, level="warning") for notice in (*answer["notices"], *answer["photo_notices"]))
    return Sheet(title="Search", said=said, sections=(asked, _found(answer), *_photos(answer)))


def _picture_folder(settings: Settings) -> str:
    """As a task takes it, which says what is wrong with it."""
    try:
        return str(picture_folder(settings) or "")
    except UnknownNameError:
        return settings.photo_model or ""


def _refused(error: NightjarError, asked: Section) -> Sheet:
    """What is in the way, above the question, which can be mended."""
    return Sheet(title="Search", said=(Said(text=str(error), level="warning"),), sections=(asked,))


def _form(text: str, run: str, model: str, runs: list[str]) -> Form:
    choices = (Choice(value="", text="all", chosen=not run), *(Choice(value=r, text=r, chosen=r == run) for r in runs))
    return Form(
        path="/search",
        submit="Search",
        fields=(
            Field(name="q", label="Words, or what it means", value=text, kind="search"),
            Field(name="run", label="Run", choices=choices),
            Field(name="model", label="Model", value=model),
        ),
    )


def _found(answer: dict[str, Any]) -> Section:
    times = answer["times"]
    return Section(
        id="found",
        heading="Found",
        hint=f"In {how_many(answer['texts'], 'text')}, by {answer['model']} ({answer['model_digest'][:12]}): question "
        f"{times['embed_s']:.3f} s, search {times['rank_s']:.3f} s.",
        table=made_table("hits", ("Text", "Where", "Model", "Nearness>", "Like it"), map(_row, answer["hits"])),
        empty="Nothing was found." if answer["texts"] else "Nothing is indexed yet: there is no reply to look into.",
    )


def _photos(answer: dict[str, Any]) -> tuple[Section, ...]:
    pictures = tuple(
        Picture(source=path_to("photos", photo["folder"], photo["id"]), text=_told(photo)) for photo in answer["photos"]
    )
    return (Section(id="photos", heading="Photos", pictures=pictures),) if pictures else ()


def _told(photo: dict[str, Any]) -> str:
    """What is known of a photo; a model's own words are marked."""
    text: str = photo["text"]
    return text if photo["caption_by"] is None else f"{text} (in part by {photo['caption_by']})"


async def photo_thumbnail(request: Request, folder: str, photo: str) -> Response:
    """By its ids; no path of a request is opened."""
    data = await asyncio.to_thread(thumbnail, site_of(request).settings.home, folder, photo)
    if data is None:
        raise HTTPException(404, "There is no such photo.")
    return Response(data, media_type="image/jpeg", headers={"x-content-type-options": "nosniff"})


def _row(hit: dict[str, Any]) -> tuple[Cell | str, ...]:
    place = hit["places"][0]
    more = f"and {how_many(hit['places_total'] - 1, 'place')} more" if hit["places_total"] > 1 else ""
    live = place["sequence"] is None
    where = f"{place['part']} of turn {place['turn']}, {place['sequence']} in {place['run']}"
    nearness = "" if hit["similarity"] is None else f"{hit['similarity']:.2f}"
    reply = next((there for there in hit["places"] if there["part"] == "reply" and there["sequence"] is not None), None)
    like = None if reply is None else f"{reply['job']}:{reply['turn']}"
    return (
        Cell(text=hit["sentence"], title=hit["text"][:500]),
        Cell(text=f"{place['part']} of a live request") if live else linked(where, turn_address(place), more),
        place["model"],
        Cell(text=nearness, note="exact" if hit["exact"] else ""),
        "" if like is None else linked("like this", path_to("search", like=like)),
    )


def turn_address(place: dict[str, Any]) -> str:
    """The conversation in its run's transcripts."""
    model = place["model"].partition("+")[0]
    address = run_address(place["run"], "transcripts", sequence=place["sequence"], model=model)
    return f"{address}#t{place['job']}"


ROUTES = (
    page("/search", "sheet.html", Sheet, build_search),
    Route(method="GET", path="/photos/{folder}/{photo}", action=Action.MANAGE, answer=photo_thumbnail),
)
