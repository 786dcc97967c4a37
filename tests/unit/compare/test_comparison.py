"""Two sides compared sequence by sequence, and gates on the comparison."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from nightjar.config.errors import UnknownNameError, UsageError
from nightjar.jobs.ending import Gate, GateKind, GateOutcome, GateResult, gates_failed
from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.collect.aggregates import pack, unpack
from nightjar.pipeline.compare.comparison import Comparison, PairBy, Side, compare_sides, pair_up, sides, unpaired
from nightjar.pipeline.compare.gates import check_comparison, check_report, out_of_reach, parse_gate
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.compared import PairDifference
from nightjar.pipeline.report.data.night import night_of
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.report.data.trend import trend
from nightjar.pipeline.scores import SHARE, Direction, Scale
from tests import factories


def sequence(number: int, turns: int = 4) -> Sequence:
    expect = [{"check": "includes", "value": "fox"}]
    return Sequence.model_validate({"id": f"s{number}", "turns": [{"prompt": f"p{number}", "expect": expect}] * turns})


def night(
    share: float, *, numbers: range = range(12), model: str = "m", turns: int = 4, dead: int = 0, **each: Any
) -> RunReport:
    """A run of one model that passes about its share of checks."""
    about = [sequence(number, turns) for number in numbers]
    jobs = []
    for at, one in enumerate(about):
        source = random.Random(f"{share} {one.id}")
        replies = ["fox" if source.random() < share else "no" for _ in range(turns)]
        status = JobStatus.DEAD if at < dead else JobStatus.DONE
        jobs.append(factories.row(one, [] if at < dead else replies, model=model, status=status, **each))
    return factories.report_of(jobs, about)


def held(base: RunReport, other: RunReport) -> Comparison:
    ((one, two),) = pair_up(sides(base, None), sides(other, None))
    return compare_sides(one, two)


def verdicts(comparison: Comparison) -> dict[str, PairDifference]:
    return {one.metric: one.pair.verdict for one in comparison.metrics}


def test_worse_better_and_no_telling() -> None:
    """The verdict is about the other side; a run against itself cannot be told apart."""
    good, bad = night(0.95), night(0.1)
    assert set(verdicts(held(good, bad)).values()) == {PairDifference.WORSE}
    assert set(verdicts(held(bad, good)).values()) == {PairDifference.BETTER}
    assert set(verdicts(held(good, good)).values()) == {PairDifference.CANNOT_TELL}


def test_measures_get_no_verdict() -> None:
    """Words and the like have no better end: their difference is shown, apart from the verdicts."""
    comparison = held(night(0.9), night(0.2))
    assert set(verdicts(comparison)) == {"checks", "includes"}
    assert {one.metric for one in comparison.measures} == {"words", "distinct_1", "distinct_2", "repetition", "loops"}


def test_aligned_by_content() -> None:
    """Sequences are matched by what reaches the model, not by their place; what one side lacks is listed."""
    comparison = held(night(0.9, numbers=range(12)), night(0.2, numbers=range(3, 14)))
    assert comparison.shared == 9
    assert comparison.only_base == ("s0", "s1", "s2")
    assert comparison.only_other == ("s12", "s13")


def test_same_name_other_content_is_no_match() -> None:
    """A sequence that kept its name and changed its prompts is another sequence."""
    with pytest.raises(UsageError, match="share no sequence"):
        held(night(0.9, turns=4), night(0.9, turns=3))


def test_two_suites_are_paired_by_id() -> None:
    """Two suites that differ in the system prompt: nothing is the same by content, all is by id, and it is said."""
    about = [sequence(number) for number in range(12)]
    kind = [one.model_copy(update={"system": "Think of a fox."}) for one in about]
    plain = factories.report_of([factories.row(one, ["no"] * 4) for one in about], about)
    told = factories.report_of([factories.row(one, ["fox"] * 4) for one in kind], kind)
    with pytest.raises(UsageError, match="12 have the same id and other prompts: --pair-by id compares those"):
        held(plain, told)
    (base,), (other,) = sides(plain, None, PairBy.ID), sides(told, None, PairBy.ID)
    comparison = compare_sides(base, other)
    assert (comparison.shared, comparison.only_base, comparison.only_other) == (12, (), ())
    assert set(verdicts(comparison).values()) == {PairDifference.BETTER}
    assert any("paired by id; 12 of 12 ask otherwise" in notice for notice in comparison.notices)


def varied_night(texts: Mapping[str, str | None], share: Mapping[str, float]) -> RunReport:
    """A run of one model with variants, each of which passes about its share of checks."""
    about = [sequence(number) for number in range(12)]
    variants = [Variant(name=name, system=text) for name, text in texts.items()]
    jobs = []
    for one in about:
        for name in texts:
            source = random.Random(f"{name} {one.id}")
            replies = ["fox" if source.random() < share[name] else "no" for _ in range(4)]
            jobs.append(factories.row(one, replies, variant=name))
    return factories.report_of(jobs, about, variants=variants)


def test_variants_of_one_model_are_ranked_and_compared_like_models() -> None:
    report = varied_night({"good": "Mind the fox.", "plain": None, "bad": ""}, {"good": 1.0, "plain": 0.9, "bad": 0.1})
    assert report.ranking is not None
    assert [(place.model, place.rank) for place in report.ranking.places][-1] == ("m+bad", 3)
    assert "beat m+bad" in answer(report)
    assert [side.name.partition(":")[2] for side in sides(report, "m")] == ["m+good", "m+plain", "m+bad"]
    (good,), (bad,) = sides(report, "m+good"), sides(report, "m+bad")
    assert set(verdicts(compare_sides(good, bad)).values()) == {PairDifference.WORSE}
    with pytest.raises(UnknownNameError, match=r"m\+god.*Did you mean 'm\+good'"):
        sides(report, "m+god")
    again = varied_night({"good": "Mind the hare.", "plain": None, "bad": ""}, {"good": 0.1, "plain": 0.9, "bad": 0.1})
    pairs = pair_up(sides(report, None), sides(again, None))
    compared = [compare_sides(*pair) for pair in pairs]
    assert [comparison.other.model.name for comparison in compared] == ["m+good", "m+plain", "m+bad"]
    changed = ["The variant's texts or parameters changed between the two runs." in c.notices for c in compared]
    assert changed == [True, False, False]
    nights = [night_of(one) for one in (report, again)]
    assert [model.name for model in nights[0].models] == ["m+good", "m+plain", "m+bad"]
    assert [model.marks["variant"] for model in nights[0].models] != [m.marks["variant"] for m in nights[1].models]
    assert unpack(pack(report)).models[0].input.variant == Variant(name="good", system="Mind the fox.")


def test_a_parameter_that_variants_set_is_no_difference_to_warn_of() -> None:
    """It is what is tried. Another one still is warned of."""
    about = [sequence(number, 1) for number in range(3)]
    hot = [Variant(name=name, parameters={"temperature": value}) for name, value in (("cold", 0.1), ("hot", 1.5))]
    for more, warned in ({}, False), ({"top_k": 1}, True):
        jobs = [
            factories.row(
                one, ["fox"], variant=each.name, parameters={**each.parameters, **(more if each is hot[0] else {})}
            )
            for one in about
            for each in hot
        ]
        texts = [notice.text for notice in factories.report_of(jobs, about, variants=hot).notices]
        assert any("sampled differently" in text for text in texts) is warned
        assert not any("temperature" in text for text in texts)


def test_missing_sequences_are_left_out() -> None:
    """A dead job is neither a win nor a loss."""
    comparison = held(night(0.9), night(0.9, dead=2))
    (includes,) = (one for one in comparison.metrics if one.metric == "includes")
    assert includes.pair.paired.n == 10
    assert includes.pair.paired.difference == 0


def dying_night(lost: int, *, at_turn: int, share: float = 0.5) -> RunReport:
    """A night like `night(share)` in which the first jobs died at a turn; the turns before it passed."""
    about = [sequence(number) for number in range(12)]
    whole = night(share)
    jobs = []
    for number, row in enumerate(whole.jobs):
        kept = [("fox" if turn.scores["includes"].value else "no") for turn in row.turns]
        died = number < lost
        replies = (["fox"] * at_turn) if died else kept
        status = JobStatus.DEAD if died else JobStatus.DONE
        jobs.append(factories.row(about[number], replies, model="m", status=status))
    return factories.report_of(jobs, about)


def test_turns_that_are_missing_are_no_improvement() -> None:
    """All twelve jobs died at turn 3, after two easy turns: what is left looks much better, and nothing is claimed."""
    base, other = night(0.5), dying_night(12, at_turn=2)
    comparison = held(base, other)
    (checks,) = (metric for metric in comparison.metrics if metric.metric == "checks")
    assert checks.pair.verdict is PairDifference.CANNOT_TELL
    assert (checks.pair.paired.n, checks.other) == (0, None)
    assert checks.pair.missing is not None
    assert checks.pair.missing.sequences == 12
    gate = parse_gate(GateKind.REGRESSION, "checks:0.05")
    assert outcomes(check_comparison([gate], comparison)) == [GateOutcome.INCONCLUSIVE]


def test_a_difference_that_the_missing_cannot_turn_stands() -> None:
    """Two dead jobs of twelve between 95 % and 10 %: even with theirs all right, or all wrong, it is worse."""
    comparison = held(night(0.95), night(0.1, dead=2))
    assert set(verdicts(comparison).values()) == {PairDifference.WORSE}
    assert all(metric.pair.missing is not None for metric in comparison.metrics)


def test_unlike_sampling_is_told() -> None:
    """A difference that may come from temperature is shown only with a warning."""
    comparison = held(night(0.9, parameters={"temperature": 0.1}), night(0.9, parameters={"temperature": 0.9}))
    assert comparison.notices == ("They were sampled differently: temperature.",)


def test_mcnemar_only_for_one_binary_value() -> None:
    """One turn a sequence: McNemar. Four turns: a share, and none."""
    single = held(night(0.9, turns=1), night(0.2, turns=1))
    several = held(night(0.9), night(0.2))
    assert all(one.pair.paired.p_mcnemar is not None for one in single.metrics if one.scale.unit == "pass")
    assert all(one.pair.paired.p_mcnemar is None for one in several.metrics)


def test_operands() -> None:
    """One model each: those two, whatever their names. Several: by name. None in common: an error with the remedy."""
    one, two = night(0.5, model="a"), night(0.5, model="b")
    assert [(x.model.name, y.model.name) for x, y in pair_up(sides(one, None), sides(two, None))] == [("a", "b")]
    many = factories.synthetic_report(repeats=1)
    assert len(pair_up(sides(many, None), sides(many, None))) == 3
    both = [*sides(one, None), *sides(two, None)]
    others: list[Side] = [*sides(night(0.5, model="c"), None), *sides(night(0.5, model="d"), None)]
    with pytest.raises(UsageError, match="RUN:MODEL"):
        pair_up(both, others)
    with pytest.raises(UnknownNameError, match="amber-1b"):
        sides(many, "amber-1c")


@pytest.mark.parametrize(
    ("kind", "text", "gate"),
    [
        (GateKind.BELOW, "checks:0.8", Gate(kind=GateKind.BELOW, metric="checks", value=0.8)),
        (GateKind.BELOW, "judge:tone:3", Gate(kind=GateKind.BELOW, metric="judge:tone", value=3)),  # the last colon
        (GateKind.MISSING, "0.05", Gate(kind=GateKind.MISSING, metric=None, value=0.05)),
        (GateKind.MISSING, "5%", Gate(kind=GateKind.MISSING, metric=None, value=0.05)),
        (GateKind.MISSING, "3", Gate(kind=GateKind.MISSING, metric=None, value=3, counted=True)),  # turns
        (GateKind.MISSING, "0", Gate(kind=GateKind.MISSING, metric=None, value=0, counted=True)),
    ],
)
def test_gate_is_read(kind: GateKind, text: str, gate: Gate) -> None:
    """METRIC:NUMBER, or a share."""
    assert parse_gate(kind, text) == gate


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (GateKind.BELOW, "checks"),
        (GateKind.BELOW, "0.8"),
        (GateKind.BELOW, ":0.8"),
        (GateKind.BELOW, "checks:high"),
        (GateKind.BELOW, "checks:nan"),
        (GateKind.REGRESSION, "checks:-0.1"),
        (GateKind.MISSING, "checks:0.1"),
        (GateKind.MISSING, "-1"),
        (GateKind.MISSING, "1.5"),  # no share, no number of turns
        (GateKind.MISSING, "inf"),
    ],
)
def test_gate_that_is_none(kind: GateKind, text: str) -> None:
    """Each of these is refused before anything is read."""
    with pytest.raises(UsageError, match="--"):
        parse_gate(kind, text)


def outcomes(results: list[GateResult]) -> list[GateOutcome]:
    return [result.outcome for result in results]


def test_fail_below() -> None:
    """The mean against a limit; a metric that is not there is a mistake, not a pass."""
    report = night(0.5)
    limits = [parse_gate(GateKind.BELOW, f"checks:{limit}") for limit in (0.2, 0.9)]
    assert outcomes(check_report(limits, report)) == [GateOutcome.PASSED, GateOutcome.TRIPPED]
    with pytest.raises(UsageError, match="'checks'"):
        check_report([parse_gate(GateKind.BELOW, "check:0.2")], report)


def test_a_gate_says_what_was_measured() -> None:
    """As numbers beside the sentence: a script need not read the sentence."""
    gates = [parse_gate(GateKind.BELOW, "checks:0.2"), parse_gate(GateKind.MISSING, "0.1")]
    below, missing = check_report(gates, night(0.5, dead=2))
    assert None not in (below.measured, below.low, below.high)
    assert below.measured == pytest.approx(0.5, abs=0.2)
    assert below.low < below.measured < below.high  # type: ignore[operator]  # none is None
    assert below.n == 10
    assert missing.measured == pytest.approx(2 / 12)
    assert (missing.low, missing.n) == (None, 48)


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (GateKind.BELOW, "checks:90", r"checks goes from 0 to 1; as a limit, 90 .*Is 0\.9 meant\?"),
        (GateKind.BELOW, "checks:1.2", "from 0 to 1"),
        (GateKind.BELOW, "checks:-0.1", "from 0 to 1"),
        (GateKind.REGRESSION, "checks:5", r"as a margin, 5 .*Is 0\.05 meant\?"),
        (GateKind.BELOW, "checks:1", None),
        (GateKind.BELOW, "checks:0", None),
    ],
)
def test_a_gate_that_is_not_on_the_scale_is_refused(kind: GateKind, text: str, told: str | None) -> None:
    gates = [parse_gate(kind, text)]
    if told is None:
        check_report(gates, night(0.5))
        return
    with pytest.raises(UsageError, match=told):
        check_report(gates, night(0.5))


def test_nothing_to_hold_against_a_limit() -> None:
    """No value at all: inconclusive, which fails only when strict."""
    results = check_report([parse_gate(GateKind.BELOW, "checks:0.2")], night(0.5, dead=12))
    assert outcomes(results) == [GateOutcome.INCONCLUSIVE]
    assert (gates_failed(results, strict=False), gates_failed(results, strict=True)) == (False, True)


def test_max_missing() -> None:
    """Two of twelve jobs dead: 17 % of the turns."""
    gates = [parse_gate(GateKind.MISSING, limit) for limit in ("0.1", "0.2", "7", "8")]
    passed = [GateOutcome.TRIPPED, GateOutcome.PASSED] * 2
    assert outcomes(check_report(gates, night(0.5, dead=2))) == passed


def test_what_a_stopped_run_never_generated_is_missing() -> None:
    """Its jobs are still PENDING: nobody will make their turns."""
    about = [sequence(number) for number in range(4)]
    jobs = [factories.row(one, ["fox"] * 4) for one in about[:3]]
    jobs.append(factories.row(about[3], [], status=JobStatus.PENDING))
    report = factories.report_of(jobs, about)
    assert outcomes(check_report([parse_gate(GateKind.MISSING, "3")], report)) == [GateOutcome.TRIPPED]


def test_a_mean_over_what_is_left_passes_only_if_the_rest_could_not_change_it() -> None:
    """All right on ten of twelve sequences: above 0.8 even with the missing two as worst, but not above 0.9."""
    gates = [parse_gate(GateKind.BELOW, limit) for limit in ("checks:0.8", "checks:0.9")]
    results = check_report(gates, night(1.0, dead=2))
    assert outcomes(results) == [GateOutcome.PASSED, GateOutcome.INCONCLUSIVE]
    assert "17% is missing" in results[1].reason


@pytest.mark.parametrize(
    ("base", "other", "margin", "expected"),
    [
        (0.95, 0.1, 0.05, GateOutcome.TRIPPED),  # the whole interval lies beyond the margin
        (0.95, 0.95, 0.3, GateOutcome.PASSED),  # no difference at all, and twelve sequences are enough for this margin
        (0.95, 0.95, 0.05, GateOutcome.INCONCLUSIVE),  # but not for this one
        (0.5, 0.52, 0.05, GateOutcome.INCONCLUSIVE),  # the interval reaches over the margin
        (0.1, 0.95, 0.05, GateOutcome.PASSED),  # better is no regression
    ],
)
def test_regression(base: float, other: float, margin: float, expected: GateOutcome) -> None:
    """Trips only if the difference is significant."""
    gates = [parse_gate(GateKind.REGRESSION, f"checks:{margin}")]
    assert outcomes(check_comparison(gates, held(night(base), night(other)))) == [expected]


def test_regression_with_few_sequences() -> None:
    """Four sequences have no interval: inconclusive, however far apart."""
    comparison = held(night(1.0, numbers=range(4)), night(0.0, numbers=range(4)))
    assert outcomes(check_comparison([parse_gate(GateKind.REGRESSION, "checks:0")], comparison)) == [
        GateOutcome.INCONCLUSIVE
    ]


def test_models_of_one_run_only_are_named() -> None:
    """A model that was added or dropped is compared with nothing, and is named."""
    about = [sequence(number) for number in range(6)]
    first, second = (
        factories.report_of([factories.row(one, ["fox"] * 4, model=model) for model in names for one in about], about)
        for names in (("a", "b"), ("a", "c"))
    )
    base, other = sides(first, None), sides(second, None)
    pairs = pair_up(base, other)
    assert [(one.model.name, two.model.name) for one, two in pairs] == [("a", "a")]
    run = first.provenance.name
    assert unpaired(base, other, pairs) == [f"{run}:b", f"{run}:c"]


def picked(letters: str, **each: Any) -> RunReport:
    """A run of one model that chooses these letters, where B is right."""
    expect = [{"check": "choice", "value": "B"}, {"check": "max_chars", "value": 500}]
    about = [
        Sequence.model_validate({"id": f"q{number}", "turns": [{"prompt": f"p{number}", "expect": expect}]})
        for number in range(len(letters))
    ]
    jobs = [factories.row(one, [f"${letter}$"], **each) for one, letter in zip(about, letters, strict=True)]
    return factories.report_of(jobs, about)


def kept(report: RunReport, versions: Mapping[str, Mapping[str, str]]) -> RunReport:
    """What is left of a run without its transcripts: numbers that were found by these versions of the scorers."""
    again = unpack(pack(replace(report, scorer_versions=versions)))
    return replace(again, sequences=report.sequences)


def test_a_report_keeps_the_versions_of_its_scorers() -> None:
    report = picked("BBAB")
    assert report.scorer_versions["choice"] == {"choice": "2"}
    assert report.scorer_versions["checks"] == {"choice": "2", "max_chars": "1"}
    assert kept(report, report.scorer_versions).scorer_versions == report.scorer_versions


@pytest.mark.parametrize("versions", [{}, {"choice": {"choice": "1"}, "checks": {"choice": "1", "max_chars": "1"}}])
def test_what_two_versions_of_a_scorer_found_is_not_compared(versions: Mapping[str, Mapping[str, str]]) -> None:
    """A run without transcripts cannot be scored again; `{}` is what was stored before scorers had versions."""
    before, after = kept(picked("AAAB"), versions), picked("BBAB")
    comparison = held(before, after)
    assert {one.metric for one in comparison.metrics} == {"max_chars"}  # it reads as it did
    assert comparison.apart["choice"] == "choice is version 2, was 1"
    assert {"choice", "checks"} <= comparison.apart.keys()
    (told,) = [notice for notice in comparison.notices if notice.startswith("Not compared:")]
    assert "choice is version 2, was 1" in told
    assert "transcripts of" in told
    gate = Gate(kind=GateKind.REGRESSION, metric="choice", value=0.1)
    (result,) = check_comparison([gate], comparison)
    assert result.outcome is GateOutcome.INCONCLUSIVE
    assert "choice is version 2, was 1" in result.reason


def test_runs_with_transcripts_are_scored_alike() -> None:
    """Both reports are made by today's scorers, so that everything is compared."""
    comparison = held(picked("AAAB"), picked("BBAB"))
    assert {one.metric for one in comparison.metrics} == {"checks", "choice", "max_chars"}
    assert comparison.apart == {}
    again = picked("BBAB")
    assert held(kept(again, again.scorer_versions), again).apart == {}


def test_another_set_of_checks_is_no_other_version() -> None:
    """A suite that grew by a check is compared as before."""
    report = picked("BBAB")
    fewer = {**report.scorer_versions, "checks": {"choice": "2"}}
    assert held(kept(report, fewer), report).apart == {}


def test_a_trend_marks_the_night_from_which_replies_are_read_otherwise() -> None:
    report = picked("BBAB")
    nights = [night_of(kept(report, {})), night_of(report)]
    marks = trend("s", nights, now=factories.START, version="0").marks
    assert [(mark.what, mark.before) for mark in marks] == [("scorers", None)]
    assert "choice 2" in (marks[0].after or "")


@pytest.mark.parametrize(
    ("text", "sequences", "said"),
    [
        ("checks:0.05", 12, "cannot pass over 12 sequences, only trip or stay inconclusive: it takes 31 sequences, 61"),
        ("checks:0.05", 31, None),
        ("checks:0.3", 12, None),
        ("checks:0", 500, "a margin of 0 allows no uncertainty at all"),
        ("words:3", 6, None),  # no two ends, so nothing is known before
    ],
)
def test_a_gate_that_cannot_pass_is_named_before_the_run(text: str, sequences: int, said: str | None) -> None:
    scales = {"checks": SHARE, "words": Scale(worst=0.0, best=None, direction=Direction.HIGHER)}
    notes = out_of_reach([parse_gate(GateKind.REGRESSION, text)], scales, sequences)
    assert len(notes) == (said is not None)
    assert all(said is not None and said in note for note in notes)
