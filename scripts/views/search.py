"""What `nightjar search` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from nightjar.config.counting import how_many
from nightjar.scripts.views.output import emit_json, plain

if TYPE_CHECKING:
    from nightjar.jobs.search.vector_reading import HitPlace
    from nightjar.pipeline.search.duplicates import EqualGroup
    from nightjar.pipeline.search.question import SearchAnswer

PLACES_SHOWN = 4
"""Of replies that are nearly the same."""


def show_answer(answer: SearchAnswer, *, as_json: bool) -> None:
    """The hits with their sentence, and what was searched."""
    if as_json:
        emit_json(asdict(answer))
        return
    for number, hit in enumerate(answer.hits, start=1):
        near = "" if hit.similarity is None else f"  {hit.similarity:.2f}"
        print(plain(f"{number}.{near}{'  exact' if hit.exact else ''}  {hit.sentence}"))
        for place in hit.places[:1]:
            more = f"  (and {how_many(hit.places_total - 1, 'place')} more)" if hit.places_total > 1 else ""
            print(plain(f"   {place_words(place)}{more}"))
    if not answer.hits:
        print("Nothing was found." if answer.texts else "Nothing is indexed yet: there is no reply to look into.")
    for notice in answer.notices:
        print(plain(notice))
    times = answer.times
    print(
        plain(
            f"{how_many(answer.texts, 'text')} by {answer.model} ({answer.model_digest[:12]}); question "
            f"{times.embed_s:.3f} s, vectors {times.load_s:.3f} s, search {times.rank_s:.3f} s, "
            f"sentences {times.show_s:.3f} s."
        )
    )


def place_words(place: HitPlace) -> str:
    """Where a text stands, as what `nightjar show` and `--like` take."""
    repeat = f", repeat {place.repeat}" if (place.repeat or 1) > 1 else ""
    sequence = place.sequence or "live request"
    return (
        f"{place.part} of {place.run}: {sequence}, {place.model}{repeat}, turn {place.turn}; {place.job}:{place.turn}"
    )


def show_equal(groups: Sequence[EqualGroup], *, as_json: bool) -> None:
    """Replies that are nearly the same, group by group."""
    if as_json:
        emit_json({"groups": [asdict(group) for group in groups]})
        return
    for group in groups:
        print(plain(f"{how_many(len(group.places), 'reply')} ({group.least:.2f}): {group.sentence}"))
        for place in group.places[:PLACES_SHOWN]:
            print(plain(f"   {place_words(place)}"))
        if len(group.places) > PLACES_SHOWN:
            print(f"   and {len(group.places) - PLACES_SHOWN} more")
    if not groups:
        print("No two replies are that near.")
