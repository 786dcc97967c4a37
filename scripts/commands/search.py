"""`nightjar search`: prompts, replies, judges' reasons and documents, by words and by meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.views.output import Json

if TYPE_CHECKING:
    from nightjar.scripts.session import Session
    from nightjar.workers.embedder.client import SmallEmbedder

app = typer.Typer(add_completion=False)
NEEDED_BY = "A search by meaning"
INDEXER = "search"
"""The user whose jobs embed texts for searches."""


@app.command(
    help="Find prompts, replies, judges' reasons and documents by words and by meaning.\n\n"
    "Words in quotation marks are looked for as a whole. `memory_model` names the embedding model.\n\n"
    'Example: nightjar search "a lighthouse in a storm" --run nightly-2026-11-20'
)
def search(
    question: Annotated[str, typer.Argument(help="What to look for.")] = "",
    run: Annotated[str | None, typer.Option("--run", "-r", help="Only in this run.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL[+VARIANT]", help="Only what it was asked or replied.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="JOB:TURN", help="Replies like this one; JOB is an id, or SEQUENCE:MODEL of --run."),
    ] = None,
    top: Annotated[int, typer.Option(help="Show so many.")] = 10,
    index: Annotated[
        bool, typer.Option("--index", help="First embed what is not indexed yet, by jobs of the embedding model.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Instead: which replies of --run are nearly the same.")
    ] = False,
    least: Annotated[float, typer.Option(help="How near is nearly the same.", min=0.0, max=1.0)] = 0.95,
    as_json: Json = False,
) -> None:
    from nightjar.scripts.session import run_async

    run_async(_search(question, run, model, like, top, index=index, same=duplicates, least=least, as_json=as_json))


async def _search(
    text: str,
    run: str | None,
    model: str | None,
    like: str | None,
    top: int,
    *,
    index: bool,
    same: bool,
    least: float,
    as_json: bool,
) -> None:
    from nightjar.config.errors import UsageError
    from nightjar.jobs.lookup import find_run, find_turn
    from nightjar.pipeline.search.duplicates import find_equal_replies
    from nightjar.pipeline.search.question import SearchQuestion
    from nightjar.pipeline.search.start import search as find
    from nightjar.scripts.session import open_session
    from nightjar.scripts.views.search import show_answer, show_equal
    from nightjar.workers.embedder.client import open_embedder

    asked = bool(text.strip()) or like is not None
    if same and (run is None or asked):
        raise UsageError("--duplicates looks through the replies of one run: name it with --run, and ask nothing else.")
    async with open_session(redis=index) as session, await open_embedder(session.settings, NEEDED_BY) as embedder:
        if index:
            await _index(session, embedder)
            if not asked and not same:
                return
        within = None if run is None else await find_run(run, session.database)
        if same:
            assert within is not None
            home = session.settings.home
            groups = await find_equal_replies(within.id, least, embedder, session.database, home)
            show_equal(groups, as_json=as_json)
            return
        turn = None if like is None else await find_turn(like, session.database, within)
        question = SearchQuestion(
            text=text,
            like=None if turn is None else (turn[0].id, turn[1]),
            run=None if within is None else within.id,
            model=model,
            most=top,
        )
        show_answer(await find(question, embedder, session.database, session.settings.home), as_json=as_json)


async def _index(session: Session, embedder: SmallEmbedder) -> None:
    """Has all that is missing embedded by jobs. Raises LiveError where no worker takes them."""
    import sys

    from nightjar.config.counting import how_many
    from nightjar.jobs.live.embedder import JobEmbedder
    from nightjar.jobs.live.requests import LiveRequests
    from nightjar.jobs.search.unindexed import find_unindexed
    from nightjar.pipeline.search.index import index_texts

    unindexed = await find_unindexed(embedder.facts.digest, session.database)
    if not unindexed.count:
        print("nightjar: every conversation is indexed", file=sys.stderr)
        return

    def progress(done: int, total: int) -> None:
        print(f"nightjar: {done} of {how_many(total, 'conversation')} indexed", file=sys.stderr)

    async with LiveRequests(session.database, session.doorbell, session.settings.live) as requests:
        jobs = await JobEmbedder.of(requests, embedder.facts, INDEXER)
        texts = await index_texts(unindexed, jobs, session.database, progress)
    print(f"nightjar: {how_many(texts, 'text')} embedded by {embedder.facts.name}", file=sys.stderr)
