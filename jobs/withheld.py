"""Questions that nobody is shown: models are given their texts, and everything that people read has a sentence. Pure.

A withheld sequence lies twice in its document: as everybody reads it, without its texts, and as models are given it,
which only workers read. What they commit of it has no text either, so that no report, page, export, search or message
has any text to leave out.
"""

from __future__ import annotations

from string import ascii_uppercase

from nightjar.jobs.sequences import PLAIN, Choices, Sequence, TurnSpec

WITHHELD = (
    "(Withheld: whoever made this question asks that it be published nowhere, so that no model learns it by heart.)"
)
"""Stands in the place of every text."""
WHY_WITHHELD = (
    "Its questions are withheld: models are asked them, and no report, page, export, search or log shows any, since "
    "whoever made them asks that they be published nowhere."
)
"""Said of a suite."""


def withheld_problem(sequence: Sequence) -> str | None:
    """Why a sequence cannot be withheld; None where it can."""
    if not sequence.scored or sequence.mode not in PLAIN:
        return "only given texts in plain text can be withheld: a reply, or a chat template, may quote the question."
    if any(turn.expect or turn.reference is not None for turn in sequence.turns):
        return "what is withheld has choices or a continuation, and neither `expect` nor `reference`."
    return None


def without_texts(sequence: Sequence) -> Sequence:
    """The sequence as people are shown it: a withheld one has its form, its digest and its tags, and none of its texts.
    Any other is as it is."""
    if not sequence.withheld or sequence.withheld_digest is not None:
        return sequence
    return sequence.model_copy(
        update={
            "withheld_digest": sequence.digest,
            "turns": tuple(map(_turn, sequence.turns)),
            "system": None if sequence.system is None else WITHHELD,
            "messages": tuple(message.model_copy(update={"text": WITHHELD}) for message in sequence.messages),
            "documents": tuple(document.model_copy(update={"text": WITHHELD}) for document in sequence.documents),
            "values": dict.fromkeys(sequence.values, WITHHELD),
            "measures": (),
        }
    )


def choice_label(place: int) -> str:
    """What a choice is called whose text is withheld: A, B, ..."""
    return ascii_uppercase[place] if place < len(ascii_uppercase) else f"choice {place + 1}"


def _turn(turn: TurnSpec) -> TurnSpec:
    return turn.model_copy(
        update={
            "prompt": WITHHELD,
            "name": None,
            "expect": (),
            "reference": None,
            "answers": None,
            "choices": None if turn.choices is None else _choices(turn.choices),
        }
    )


def _choices(choices: Choices) -> Choices:
    labels = tuple(map(choice_label, range(len(choices.texts))))
    if choices.contexts:
        return choices.model_copy(update={"texts": (WITHHELD,) * len(labels), "contexts": labels})
    return choices.model_copy(update={"texts": labels})
