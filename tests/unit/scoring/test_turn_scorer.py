"""Which scores a turn has."""

from __future__ import annotations

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring.turn_scorer import line_names, metric_of, score_job, share_met, turn_lines
from nightjar.pipeline.transcripts import JobRow, RowReader
from tests import factories

TWICE = Sequence.model_validate(
    {
        "id": "s",
        "turns": [
            {"prompt": "a", "expect": [{"check": "includes", "value": "fox"}, {"check": "includes", "value": "owl"}]},
            {"prompt": "b"},
        ],
    }
)


def scored(*replies: str, **extra: str) -> JobRow:
    turns = [factories.turn(sequence=TWICE, index=at, reply=reply, **extra) for at, reply in enumerate(replies)]  # type: ignore[arg-type]
    raw = factories.job(sequence=TWICE, turns=turns)
    row = RowReader().job({**raw, "reply_tokens": [3] * len(turns)})
    return row.scored(score_job(turn_lines(TWICE), TWICE, row))


def test_second_check_of_a_kind_has_its_own_line() -> None:
    """Two `includes` on one turn are two lines of one metric."""
    names = line_names(turn_lines(TWICE))
    assert names[0][:3] == ["checks", "includes", "includes#2"]
    assert "checks" not in names[1]
    assert metric_of("includes#2") == "includes"


def test_share_of_checks() -> None:
    """`checks` is the share met; a turn without expectations has none."""
    first, second = scored("a fox", "x").turns
    assert first.scores["checks"].value == 0.5
    assert "checks" not in second.scores


def test_share_is_missing_when_a_check_is() -> None:
    """One check without a value leaves the share without a value."""
    share = share_met([Score(value=1.0), Score(value=None, state=ScoreState.UNSCORED, reason="slow")])
    assert (share.value, share.state) == (None, ScoreState.UNSCORED)
    assert "1 of 2" in (share.reason or "")


def test_failed_reply_is_worst_everywhere_it_can_be() -> None:
    """An empty reply: worst for the checks, 0 words, no distinct-n."""
    scores = scored("", empty="no text").turns[0].scores
    assert scores["checks"].state is ScoreState.WORST
    assert scores["checks"].value == 0
    assert scores["words"].value == 0
    assert scores["distinct_2"].value is None


def test_check_of_another_version_is_a_failure() -> None:
    """A stored suite that names a check this version does not have: the turn's score failed, the rest goes on."""
    old = Sequence.model_validate(
        {"id": "s", "turns": [{"prompt": "a", "expect": [{"check": "sentiment", "value": 1}]}]}
    )
    row = factories.row(old, ["fine"])
    scores = row.turns[0].scores
    assert (scores["sentiment"].state, scores["sentiment"].value) == (ScoreState.FAILED, None)
    assert "no check 'sentiment'" in (scores["sentiment"].reason or "")
    assert scores["words"].value == 1
    metric = factories.report_of([row], [old]).models[0].total.metrics
    assert (metric["sentiment"].failed, metric["checks"].unscored) == (1, 1)
