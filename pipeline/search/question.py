"""What is asked of a search, and what it answers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightjar.config.errors import UsageError
from nightjar.jobs.search.vector_reading import HitPlace, Seen
from nightjar.jobs.search.vectors import TextKind

MOST_CHARS = 2_000
"""Of a question: the vector of a longer text is the mean of many things and near to none of them."""
MOST_HITS = 200
_PHRASE = re.compile(r'"([^"]+)"|(\S+)')


@dataclass(frozen=True, kw_only=True)
class SearchQuestion:
    """Exactly one of `text` and `like` is asked."""

    text: str = ""
    like: tuple[str, int] | None = None
    """Job and turn (from 0) of a reply that others are to be like."""
    run: str | None = None
    """Id of the only run to look into."""
    model: str | None = None
    """The only contestant."""
    user: str | None = None
    """Who asks: his own live requests are found, too."""
    most: int = 10

    def check(self) -> None:
        """Raises UsageError for what cannot be asked."""
        if (self.like is None) == (not self.text.strip()):
            raise UsageError("Say what to look for: some words, or the turn that others are to be like (--like).")
        if len(self.text) > MOST_CHARS:
            raise UsageError(
                f"The question has {len(self.text.split()):,} words; {MOST_CHARS:,} characters are the most that can "
                "be looked for by meaning. Ask for one thing; `--like JOB:TURN` finds what is like a long text."
            )
        if not 1 <= self.most <= MOST_HITS:
            raise UsageError(f"{self.most} results cannot be shown: from 1 to {MOST_HITS}.")

    @property
    def seen(self) -> Seen:
        """Like a reply are other replies alone."""
        part = None if self.like is None else TextKind.REPLY
        return Seen(user=self.user, run=self.run, model=self.model, part=part)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What a text must hold to be an exact hit: each word, and what stands in quotation marks as a whole."""
        found = (quoted or word for quoted, word in _PHRASE.findall(self.text))
        return tuple(text for text in (phrase.strip('"').strip() for phrase in found) if re.search(r"\w", text))


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A text that was found."""

    sentence: str
    """The one that matched."""
    text: str
    similarity: float | None
    """Cosine to the question; None for one that was found by its words and is not among the nearest."""
    exact: bool
    """It holds every word of the question."""
    places: tuple[HitPlace, ...]
    """Some of those where it stands."""
    places_total: int


@dataclass(frozen=True, kw_only=True)
class SearchTimes:
    """Seconds."""

    embed_s: float
    """The question's own embedding."""
    load_s: float
    """Finding the vectors' file, or making it anew."""
    rank_s: float
    show_s: float
    """Reading what was found, and its sentences."""


@dataclass(frozen=True, kw_only=True)
class SearchAnswer:
    """What a search found, and in what."""

    hits: tuple[Hit, ...]
    model: str
    model_digest: str
    texts: int
    """How many were searched."""
    unindexed: int
    """Conversations whose texts have no embedding yet, so that nothing of them is found."""
    notices: tuple[str, ...]
    times: SearchTimes
