"""`nightjar memory`: what conversations have kept, and what a person wants them to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from nightjar.config.counting import how_many
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from nightjar.jobs.memory import MemoryFact
    from nightjar.jobs.mongo import Database

T = TypeVar("T")
ID_SHOWN = 10
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Facts kept across conversations: shared/NAME, user/USER/NAME, run/RUN/CONTESTANT/NAME.",
)
Memory = Annotated[str, typer.Argument(metavar="MEMORY", help="Its whole name, as `nightjar memory list` has it.")]
FactId = Annotated[str, typer.Argument(metavar="ID", help="The fact's id, or the beginning of it.")]
Text = Annotated[str, typer.Argument(metavar="FACT", help="One sentence that can be understood by itself.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """All memories. Example: nightjar memory list"""
    from nightjar.jobs.memory import memories

    found = _on(memories, reading=True)
    if as_json:
        emit_json({"memories": [{"name": name, "facts": facts} for name, facts in found.items()]})
        return
    console().print(table(None, ("memory", "facts"), [[name, facts] for name, facts in found.items()]))


@app.command()
def show(memory: Memory, as_json: Json = False) -> None:
    """The facts of a memory, oldest first. Example: nightjar memory show shared/house"""
    from nightjar.jobs.memory import check_memory, facts_of_memory

    async def read(database: Database) -> list[MemoryFact]:
        await check_memory(memory, database)
        return await facts_of_memory(memory, database)

    rows = [_row(fact) for fact in _on(read, reading=True)]
    if as_json:
        emit_json({"memory": memory, "facts": rows})
        return
    cells = [[row["id"][:ID_SHOWN], row["fact"], _whence(row), row["kept_at"]] for row in rows]
    console().print(table(None, ("id", "fact", "from", "kept"), cells))


@app.command()
def add(memory: Memory, fact: Text, as_json: Json = False) -> None:
    """Write a fact by hand. Example: nightjar memory add shared/house 'The cat is called Minka.'"""
    from nightjar.jobs.memory import add_fact
    from nightjar.jobs.mongo import utc_now

    _tell("kept", _on(lambda database: add_fact(memory, fact, utc_now(), database)), as_json=as_json)


@app.command()
def edit(memory: Memory, identity: FactId, fact: Text, as_json: Json = False) -> None:
    """Write another text in a fact's place. Example: nightjar memory edit shared/house 3f1c 'The cat is called Mia.'"""
    from nightjar.jobs.memory import edit_fact
    from nightjar.jobs.mongo import utc_now

    _tell("changed", _on(lambda database: edit_fact(memory, identity, fact, utc_now(), database)), as_json=as_json)


@app.command()
def rm(
    memory: Memory,
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Of one fact; without it, all of them.")
    ] = None,
) -> None:
    """Remove a fact, or a whole memory. Example: nightjar memory rm shared/house 3f1c"""
    from nightjar.jobs.memory import find_fact, forget_memory

    async def remove(database: Database) -> int:
        if identity is None:
            return await forget_memory(memory, database)
        await (await find_fact(memory, identity, database)).delete()
        return 1

    print(plain(f"{how_many(_on(remove), 'fact')} removed from {memory!r}."))


def _on(work: Callable[[Database], Awaitable[T]], *, reading: bool = False) -> T:
    from nightjar.scripts.session import open_session, run_async

    async def do() -> T:
        async with open_session(reading=reading) as session:
            return await work(session.database)

    return run_async(do())


def _tell(done: str, fact: MemoryFact, *, as_json: bool) -> None:
    if as_json:
        emit_json({"memory": fact.memory, "fact": _row(fact)})
    else:
        print(plain(f"{fact.id[:ID_SHOWN]} is {done} in {fact.memory!r}: {fact.text}"))


def _row(fact: MemoryFact) -> dict[str, Any]:
    return {
        "id": fact.id,
        "fact": fact.text,
        "job": fact.job,
        "turn": None if fact.turn is None else fact.turn + 1,
        "model": fact.model,
        "kept_at": fact.kept_at,
        "edited_at": fact.edited_at,
    }


def _whence(row: dict[str, Any]) -> str:
    if row["job"] is None:
        return "by hand"
    return f"{row['model']}, turn {row['turn']} of job {row['job'][:ID_SHOWN]}" + (
        ", edited" if row["edited_at"] else ""
    )
