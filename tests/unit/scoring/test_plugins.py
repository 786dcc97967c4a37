"""A user's own scorers: what is accepted, what is refused by name, and what happens to nonsense results."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import SettingsError
from nightjar.config.settings import load_settings
from nightjar.jobs.sequences import Expectation, Sequence, TurnSpec
from nightjar.pipeline.scores import PASS, Direction, Scale, Score, ScoreState, passed, unscored
from nightjar.pipeline.scoring import plugins
from nightjar.pipeline.scoring.installed import installed_scorers, validate_check
from nightjar.pipeline.scoring.listing import listed
from nightjar.pipeline.scoring.plugins import ScorerSource, load_user_scorers
from nightjar.pipeline.scoring.scorer import Context, FunctionScorer, ScorerFactory, apply
from nightjar.pipeline.scoring.turn_scorer import line_names, score_job, turn_lines
from tests import factories

MARKS = Scale(worst=None, best=None, direction=Direction.NONE, least=0.0)
MODULE = """\
from nightjar.pipeline.scores import PASS
from nightjar.scorers import Direction, FunctionScorer, Scale, Score, ScorerFactory, passed

tone = FunctionScorer(
    name="tone",
    scale=Scale(worst=None, best=None, direction=Direction.NONE, unit="marks", least=0.0),
    function=lambda context: Score(value=float(context.reply.count("!"))),
    help="exclamation marks",
)


def _rhymes(value):
    if not isinstance(value, str):
        raise ValueError("rhymes takes a text.")
    return lambda context: passed(context.reply.endswith(value), reason="no rhyme")


rhymes = ScorerFactory(name="rhymes", build=_rhymes, help="ends with the text")
"""


def source(found: Any, origin: str = "NIGHTJAR_SCORERS mine:it") -> ScorerSource:
    def load() -> Any:
        if isinstance(found, BaseException):
            raise found
        return found

    return ScorerSource(origin=origin, module="mine", version="1", load=load)


def scorer(function: Callable[[Context], Any], name: str = "mine", scale: Scale = PASS) -> FunctionScorer:
    return FunctionScorer(name=name, scale=scale, function=function)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of scorers that the setting names."""
    file = tmp_path / "house_scorers.py"
    file.write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NIGHTJAR_SCORERS", "house_scorers:tone,house_scorers:rhymes")
    for cached in (load_settings, installed_scorers):
        cached.cache_clear()
    yield file
    sys.modules.pop("house_scorers", None)
    for cached in (load_settings, installed_scorers):
        cached.cache_clear()


def test_the_setting_brings_scorers(module: Path) -> None:
    """A scorer runs on every reply, a check where a suite names it; both are listed with where they come from."""
    about = Sequence(id="s", turns=(TurnSpec(prompt="p", expect=(Expectation(check="rhymes", value="so!"),)),))
    lines = turn_lines(about, own=installed_scorers())
    assert {"checks", "rhymes", "tone"} <= set(line_names(lines)[0])
    scores = score_job(lines, about, factories.row(about, ["and so!"]))
    assert scores[0]["rhymes"].value == 1
    assert apply(installed_scorers().scorers[0], Context(prompt="p", reply="a! b!")).value == 2
    origins = {one.name: (one.kind, one.origin) for one in listed()}
    assert origins["tone"] == ("measure", "NIGHTJAR_SCORERS house_scorers:tone")
    assert origins["rhymes"] == ("check", "NIGHTJAR_SCORERS house_scorers:rhymes")
    assert origins["includes"] == ("check", "nightjar")
    with pytest.raises(ValueError, match="rhymes takes a text"):
        validate_check("rhymes", 3)


def test_a_changed_file_is_another_version(module: Path) -> None:
    """Scores stored before the change are replaced."""
    before = installed_scorers().scorers[0].version
    installed_scorers.cache_clear()
    module.write_text(MODULE + "\n# changed\n")
    assert before
    assert installed_scorers().scorers[0].version != before


def test_built_in_checks_import_nothing_of_the_users(module: Path) -> None:
    """Import cost only where scoring happens: validating a suite of built-in checks loads no module of the user's."""
    validate_check("includes", "fox")
    assert "house_scorers" not in sys.modules
    with pytest.raises(ValueError, match="'rhymes'"):
        validate_check("rhyme", "x")
    assert "house_scorers" in sys.modules


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package's scorer, with the package's name and version."""
    found = scorer(lambda _: passed(True), name="packaged")

    @dataclass
    class Dist:
        name: str = "tone-scorers"
        version: str = "1.2"

    @dataclass
    class Point:
        name: str = "tone"
        value: str = "tone_scorers:tone"
        module: str = "tone_scorers"
        dist: Dist | None = None

        def load(self) -> Any:
            return found

    asked: list[str] = []

    def entry_points(*, group: str) -> list[Point]:
        asked.append(group)
        return [Point(dist=Dist())]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    loaded = load_user_scorers(plugins._entry_points())
    assert asked == ["nightjar.scorers"]
    assert loaded.origins == {"packaged": "entry point tone of tone-scorers 1.2"}
    assert loaded.scorers[0].version == "1.2"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (ImportError("No module named 'mine'"), "cannot be loaded: ImportError: No module named 'mine'"),
        (AttributeError("module 'mine' has no attribute 'it'"), "no attribute 'it'"),
        (SystemExit(3), "cannot be loaded: SystemExit"),  # a module that ends the process at import
        (7, "must be a FunctionScorer"),
        (lambda context: passed(True), "must be a FunctionScorer"),  # a function without a scale
        (scorer(lambda _: passed(True), name="Mine!"), "small letters"),
        (scorer(lambda _: passed(True), name="includes"), "taken by Nightjar itself"),
        (scorer(lambda _: passed(True), name="words"), "taken by Nightjar itself"),
        (scorer(lambda _: passed(True), name="chrf"), "taken by Nightjar itself"),
        (scorer(lambda _: passed(True), name="checks"), "taken by Nightjar itself"),
        (scorer(lambda _: passed(True), name="judge"), "taken by Nightjar itself"),
        (ScorerFactory(name="regex", build=lambda value: lambda _: passed(True)), "taken by Nightjar itself"),
    ],
)
def test_a_broken_scorer_is_named(found: Any, told: str) -> None:
    """With where it comes from, before anything is generated."""
    with pytest.raises(SettingsError) as caught:
        load_user_scorers([source(found)])
    assert "NIGHTJAR_SCORERS mine:it" in str(caught.value)
    assert told in str(caught.value)


def test_two_of_one_name() -> None:
    """Both places are named."""
    with pytest.raises(SettingsError, match=r"B has the name 'mine', which is taken by A"):
        load_user_scorers([source(scorer(passed_), origin) for origin in ("A", "B")])


def passed_(_: Context) -> Score:
    return passed(True)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (7, "not a Score"),
        (None, "not a Score"),
        (Score(value=float("nan")), "not a finite number"),
        (Score(value="high"), "not a finite number"),  # type: ignore[arg-type]
        (Score(value=2.0), "outside its scale"),
        (Score(value=-0.1), "outside its scale"),
        (Score(value=None), "needs the state unscored"),
        (Score(value=0.5, state=ScoreState.WORST), "state worst"),
    ],
)
def test_nonsense_is_a_recorded_failure(result: Any, told: str) -> None:
    """Never a number."""
    (mine,) = load_user_scorers([source(scorer(lambda _: result))]).scorers
    score = apply(mine, Context(prompt="p", reply="r"))
    assert (score.value, score.state) == (None, ScoreState.FAILED)
    assert told in (score.reason or "")


def test_raising_and_exiting_are_recorded_failures() -> None:
    """The collector survives."""

    def leave(_: Context) -> Score:
        sys.exit(3)

    def fall(_: Context) -> Score:
        raise KeyError("tone")

    for function, told in ((leave, "end the process"), (fall, "KeyError: 'tone'")):
        (mine,) = load_user_scorers([source(scorer(function))]).scorers
        score = apply(mine, Context(prompt="p", reply="r"))
        assert score.state is ScoreState.FAILED
        assert told in (score.reason or "")


def test_sense_passes_through() -> None:
    """A whole number is a number; unscored with a reason stays so."""
    (mine,) = load_user_scorers([source(scorer(lambda _: Score(value=1, answer="yes")))]).scorers
    assert apply(mine, Context(prompt="p", reply="r")) == Score(value=1.0, answer="yes")
    (silent,) = load_user_scorers([source(scorer(lambda _: unscored("too short")))]).scorers
    assert apply(silent, Context(prompt="p", reply="r")) == unscored("too short")


def test_a_factory_that_falls_over_refuses_the_argument() -> None:
    """Whatever it raises: the suite is refused, not the process ended."""

    def build(value: Any) -> Any:
        return {}[value]

    loaded = load_user_scorers([source(ScorerFactory(name="mine", build=build))])
    with pytest.raises(ValueError, match="failed on this argument: KeyError"):
        loaded.checks["mine"].scorer("x")


def test_the_example_of_the_documentation_works() -> None:
    """The example in docs/scorers.md is accepted and does what the page says."""
    text = (Path(plugins.__file__).resolve().parents[2] / "docs" / "scorers.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    loaded = load_user_scorers([source(names["exclamations"]), source(names["ends_with"])])
    assert apply(loaded.scorers[0], Context(prompt="p", reply="a! b!")).value == 2
    check = loaded.checks["ends_with"]
    assert apply(check.scorer("b!"), Context(prompt="p", reply="a! b!")).value == 1
    with pytest.raises(ValueError, match="ends_with takes a text"):
        check.scorer(3)
