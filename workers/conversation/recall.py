"""Policy recall: which exchanges that were left out are put back, and how they are quoted. Pure.

The nearest to the new message by their embeddings go first, as many as the budget holds. They are quoted in the order
in which they were said, in front of the new message, and not where they once stood: what is before them stays as it
was, so that it is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float32]

BEGIN = "Recalled from earlier in our conversation:"
END = "(End of what was recalled.)"
DECIMALS = 4
"""Of a similarity, that count: what the arithmetic of two machines leaves open decides nothing."""


@dataclass(frozen=True, kw_only=True)
class LeftOutExchange:
    """A turn that was left out; `tokens`: how many its quotation takes."""

    turn: int
    vector: FloatVector
    tokens: int


def nearest_exchanges(query: FloatVector, exchanges: Sequence[LeftOutExchange], budget_tokens: int) -> tuple[int, ...]:
    """The turns nearest to `query` that the budget holds together, nearest first; all vectors are unit vectors.

    One that is too long for what is left is passed over. Of two that are equally near the later one goes first.
    """
    ranked = sorted(exchanges, key=lambda exchange: (-similarity(query, exchange.vector), -exchange.turn))
    chosen, left = [], budget_tokens
    for exchange in ranked:
        if exchange.tokens <= left:
            chosen.append(exchange.turn)
            left -= exchange.tokens
    return tuple(chosen)


def similarity(one: FloatVector, other: FloatVector) -> float:
    """The cosine of two unit vectors, as exactly as it counts here."""
    return round(float(np.dot(one.astype(np.float64), other.astype(np.float64))), DECIMALS)


def quotation(asked: str, replied: str) -> str:
    """An exchange as it is embedded and quoted."""
    return f"User: {asked}\n\nAssistant: {replied}"


def recalled_text(exchanges: Sequence[tuple[str, str]]) -> str:
    """What stands in front of the new message: pairs of message and reply, marked."""
    return "\n\n".join([BEGIN, *(quotation(asked, replied) for asked, replied in exchanges), END])
