"""How far a model's load is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nightjar.config.errors import ModelError
from nightjar.jobs.machines.doing import Activity, Doing


@dataclass
class LoadProgress:
    """How far a load is; read by one thread and written by another."""

    share: float | None = None
    """Of the weights, 0..1; None: it has not begun."""
    checked: float | None = None
    """Of what is tried under `reproducible` before the first reply, 0..1; None: it has not begun."""
    given_up: bool = False
    """Nobody wants it any more."""
    abort: Callable[[], None] | None = None
    """Ends the decode that is computed now."""

    def step(self, share: float) -> bool:
        """Called by llama.cpp: notes how far it is; False ends the load."""
        self.share = share
        return not self.given_up

    def check(self, share: float) -> None:
        """Notes how far the check is. Raises ModelError where nobody wants the model any more."""
        self.checked = share
        if self.given_up:
            raise ModelError("The load was given up.")

    def give_up(self) -> None:
        """Ends the load soon. From any thread."""
        self.given_up = True
        if self.abort is not None:
            self.abort()

    @property
    def doing(self) -> Doing:
        """The same for those who watch."""
        if self.checked is not None:
            return Doing(task=Activity.CHECKING, share=self.checked)
        return Doing(task=Activity.LOADING, share=self.share)
