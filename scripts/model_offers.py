"""What `nightjar eval` without a model offers: the models that are here, those that others published, one to pull."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.scripts.views.output import console, plain, table

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

QUICK_SUITE = "story-starters"
MOST_SHOWN = 20
DEEP = 2
"""How many folders below this one are searched for model files."""
MOST_FOLDERS = 500


@dataclass(frozen=True, kw_only=True)
class ModelOffer:
    """A model that could be evaluated here."""

    given: str
    """What `--model` takes."""
    where: str
    file_bytes: int | None


def choose_offered(suite: str | None) -> tuple[str, list[str]]:
    """Shows the models that could be evaluated, and lets somebody at the terminal take one; suite and models.

    Exits with 2 where nobody took one.
    """
    from nightjar.scripts.views.models import decimal_size, prepared

    settings = prepared()
    suite = suite or QUICK_SUITE
    offers = list(model_offers(settings, Path.cwd()))
    screen = console(stderr=True)
    if offers:
        rows = [
            (number, offer.given, decimal_size(offer.file_bytes), offer.where)
            for number, offer in enumerate(offers[:MOST_SHOWN], start=1)
        ]
        screen.print(table("Models to evaluate", ("", "--model", "Size>", "Where"), rows))
    if len(offers) > MOST_SHOWN:
        screen.print(f"and {len(offers) - MOST_SHOWN} more: nightjar model list")
    _say_elsewhere(known={Path(offer.given).stem for offer in offers} | {offer.given for offer in offers})
    taken = _taken(offers[:MOST_SHOWN], suite)
    if taken is None:
        example = offers[0].given if offers else "FILE.gguf"
        _say("Evaluate one:", f"nightjar eval --suite {suite} --model {example}")
        raise SystemExit(2)
    _say("Next time:", f"nightjar eval --suite {suite} --model {taken.given}")
    return suite, [taken.given]


def _taken(offers: list[ModelOffer], suite: str) -> ModelOffer | None:
    from nightjar.scripts.views.asking import can_ask

    if not offers or not can_ask():
        return None
    sys.stderr.write(f"Which one shall be evaluated on {plain(suite)}? Its number, or Enter for none: ")
    sys.stderr.flush()
    typed = sys.stdin.readline().strip()
    return offers[int(typed) - 1] if typed.isdecimal() and 1 <= int(typed) <= len(offers) else None


def model_offers(settings: Settings, folder: Path) -> Iterator[ModelOffer]:
    """The models of this machine that write: known ones by name, then files in the folder and a little below it."""
    from nightjar.jobs.models import ModelKind
    from nightjar.workers.library.inventory import ModelState, inventory

    known: set[Path] = set()
    for held in inventory(settings):
        if held.path is not None:
            known.add(held.path.resolve())
        if held.state in (ModelState.READY, ModelState.LOADED) and held.kind is not ModelKind.EMBEDDING:
            where = "registered" if held.registered else "found in " + ("Ollama" if ":" in held.name else "models/")
            yield ModelOffer(given=held.name, where=where, file_bytes=held.file_bytes)
    for path in _files_near(folder):
        if path.resolve() not in known:
            yield ModelOffer(
                given=str(path.relative_to(folder)), where="in this folder", file_bytes=path.stat().st_size
            )


def _files_near(folder: Path) -> Iterator[Path]:
    """Model files in the folder and a little below it, whatever the folder is: "/" and a home have no end."""
    import os

    from nightjar.workers.library.gguf.split import is_later_part

    # The walk passes over folders that cannot be read, or go meanwhile.
    for place, below, names in islice(os.walk(folder), MOST_FOLDERS):
        deep = len(Path(place).relative_to(folder).parts)
        below[:] = sorted(name for name in below if not name.startswith(".")) if deep < DEEP else []
        yield from (
            path
            for path in (Path(place, name) for name in sorted(names) if name.lower().endswith(".gguf"))
            if path.is_file() and not is_later_part(path.name)
        )


def _say(what: str, command: str) -> None:
    """The command on a line of its own, so that it can be copied."""
    print(plain(f"{what}\n  {command}"), file=sys.stderr)


def _say_elsewhere(known: set[str]) -> None:
    """What would have to be fetched first. `known`: names of what is here."""
    from nightjar.scripts.completion.names import names_in_mongo
    from nightjar.scripts.views.model_recommend import recommended

    published = [name for name in names_in_mongo("models") if name not in known]
    if published:
        more = f" and {len(published) - MOST_SHOWN} more" if len(published) > MOST_SHOWN else ""
        console(stderr=True).print(
            plain(f"Published by hosts, their files not found here: {', '.join(published[:MOST_SHOWN])}{more}.")
        )
    fitting = recommended(None, None, "chat")
    if fitting:
        _say("One that fits this machine:", f"nightjar model pull {fitting[0].model.repo}")
