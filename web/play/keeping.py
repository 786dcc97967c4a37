"""A conversation of the playground as a sequence of a suite. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nightjar.config.errors import UsageError
from nightjar.jobs.live_request import read_conversation
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.sequences import TurnSpec
from nightjar.pipeline.suites.content import NAME_PATTERN, SuiteContent
from nightjar.web.play.schema import PlayMessage

TAG = "playground"


def kept_sequence(identity: str, messages: Sequence[PlayMessage], reference: str | None) -> PromptSequence:
    """What was said before is fixed, and the last prompt is the turn. Raises UsageError.

    `reference`: a reply that is to be compared with.
    """
    if not re.fullmatch(NAME_PATTERN, identity):
        raise UsageError(f"The sequence cannot be called {identity!r}: letters, digits, '.', '_' and '-', at most 100.")
    system, said = read_conversation([message.model_dump() for message in messages])
    *before, last = said
    turn = TurnSpec(prompt=last.text, reference=reference or None)
    return PromptSequence(id=identity, system=system, messages=tuple(before), turns=(turn,), tags=(TAG,))


def with_sequence(suite: str, content: SuiteContent | None, sequence: PromptSequence) -> SuiteContent:
    """The suite's content with one more sequence; a suite of it alone where there is none. Raises UsageError."""
    if not re.fullmatch(NAME_PATTERN, suite):
        raise UsageError(f"A suite cannot be called {suite!r}: letters, digits, '.', '_' and '-', at most 100.")
    if content is None:
        return SuiteContent(name=suite, sequences=(sequence,), description="Kept from the playground.", source=TAG)
    if any(each.id == sequence.id for each in content.sequences):
        raise UsageError(f"Suite {suite!r} has a sequence {sequence.id!r} already. Choose another name.")
    return content.model_copy(update={"sequences": (*content.sequences, sequence)})
