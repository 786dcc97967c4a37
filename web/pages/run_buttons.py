"""What may be done about a run that goes on, wherever it is shown: buttons by its status. Pure."""

from __future__ import annotations

from nightjar.jobs.states import TERMINAL_RUNS, RunStatus
from nightjar.web.pages.words import run_address
from nightjar.web.sheet import Button


def control_buttons(name: str, status: RunStatus) -> tuple[Button, ...]:
    """Pause, resume and cancel, as far as the status allows them."""
    buttons = []
    if status is RunStatus.ACTIVE:
        buttons.append(Button(text="Pause", path=run_address(name, "pause")))
    if status in (RunStatus.PAUSED, RunStatus.STOPPED):
        buttons.append(Button(text="Resume", path=run_address(name, "resume")))
    if status not in TERMINAL_RUNS | {RunStatus.REMOVING}:
        question = f"Cancel {name}? What is not done will never be done."
        buttons.append(Button(text="Cancel", path=run_address(name, "cancel"), confirm=question))
    return tuple(buttons)
