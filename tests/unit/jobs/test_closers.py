"""Who may close a run: dispatchers, its home, and hosts that score alike, which let the home go first."""

from __future__ import annotations

import pytest

from nightjar.jobs import closers
from nightjar.jobs.closers import HOME_FIRST_S, Closer, Closers, Right, right_of

HOME = Closers(home="h1", where="a:/home", scorers=("nightjar 1", "tone 2"))


@pytest.mark.parametrize(
    ("here", "closing", "right"),
    [
        (HOME, HOME, Right.OWN),
        # the home's scorers have changed since: it is still the home
        (HOME.model_copy(update={"scorers": ("nightjar 2",)}), HOME, Right.OWN),
        (HOME.model_copy(update={"home": "h2"}), HOME, Right.ALIKE),
        (Closers(home="h2", where="b:/home", scorers=("nightjar 1", "tone 3")), HOME, Right.NONE),
        (Closers(home="h2", where="b:/home", scorers=("nightjar 1",)), HOME, Right.NONE),
        # whose scorers are broken scores nothing, not even its own
        (HOME.model_copy(update={"scorers": None}), HOME, Right.NONE),
        (HOME.model_copy(update={"home": "h2"}), HOME.model_copy(update={"scorers": None}), Right.NONE),
        # a run of before it was recorded
        (HOME, None, Right.NONE),
    ],
)
def test_a_standbys_right(here: Closers, closing: Closers | None, right: Right) -> None:
    assert right_of(here, closing) is right
    assert Closer(here=here, dispatcher=False).right(closing) is right
    assert Closer(here=here, dispatcher=True).right(closing) is Right.OWN


def test_who_scores_alike_lets_the_home_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds after it first asked it may; the home may at once; others never."""
    now = 100.0
    monkeypatch.setattr(closers, "monotonic", lambda: now)
    alike = Closer(here=HOME.model_copy(update={"home": "h2"}), dispatcher=False)
    assert not alike.turn("r", HOME)
    now += HOME_FIRST_S - 1
    assert not alike.turn("r", HOME)
    now += 1
    assert alike.turn("r", HOME)
    assert not alike.turn("r2", HOME), "each run has its own time"
    assert Closer(here=HOME, dispatcher=False).turn("r", HOME)
    assert not Closer(here=HOME, dispatcher=False).turn("r", None)
