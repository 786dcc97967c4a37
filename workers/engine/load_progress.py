"""How far a model's load is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class LoadProgress:
    """How far a load is; read by one thread and written by another."""

    share: float | None = None
    """Of the weights, 0..1; None: it has not begun."""
    given_up: bool = False
    """Nobody wants it any more."""

    def step(self, share: float) -> bool:
        """Called by llama.cpp: notes how far it is; False ends the load."""
        self.share = share
        return not self.given_up
