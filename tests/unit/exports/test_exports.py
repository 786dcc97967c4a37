"""What each export says, on the synthetic run: three models, a dead job, empty, degenerate and hostile replies."""

from __future__ import annotations

import json
import math
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.ending import Gate, GateKind, GateOutcome, GateResult, GateVerdict
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobStatus
from nightjar.jobs.variants import Variant
from nightjar.pipeline.exports.file import ExportOptions
from nightjar.pipeline.exports.formats import BUILDERS, export
from nightjar.pipeline.exports.write import one_document, write_exports
from nightjar.pipeline.judging.judged import JudgedAt, JudgedJob, JudgedPair
from nightjar.pipeline.judging.pairs import Opinion, PairOutcome, PairResult
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.prompts import JudgedTurn, Verdict
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.report.data.judge_findings import with_judging
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.transcripts import JobRow
from tests import factories

HOSTILE = "=cmd() <script>alert(1)</script> ]]> & \"q\" 'a' \x1b[31m \u202e \ufffe line\nbreak\r\n\x00"
SCALE = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "great"}
POINTS = read_rubric({"criteria": [{"name": "plot", "description": "d", "scale": SCALE}]})
CHOICES = read_rubric({"criteria": [{"name": "plot", "description": "d"}], "method": "pairwise"})


def files(report: RunReport, form: str, **options: Any) -> dict[str, bytes]:
    """The export's files: path -> content."""
    return {
        file.path: b"".join(piece if isinstance(piece, bytes) else piece.encode() for piece in file.pieces)
        for file in export(report, form, "run", ExportOptions(**options))
    }


def lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def story(name: str = "1", turns: int = 1, **fields: Any) -> PromptSequence:
    return PromptSequence.model_validate(
        {"id": name, "turns": [{"prompt": f"Say {name}.{n}."} for n in range(turns)], **fields}
    )


def judged(jobs: Sequence[JobRow], about: Sequence[PromptSequence], points: Sequence[int | None]) -> RunReport:
    """A report in which a judge gave these points to the turns, in the jobs' order."""
    places: list[JudgedAt] = [(job.id, turn.index) for job in jobs for turn in job.turns]
    verdicts = {
        place: {"judge": [Verdict(criterion="plot", value=value, reason=f"{value}, since <b>")]}
        for place, value in zip(places, points, strict=True)
    }
    bench = JudgeResults(rubric=POINTS, prompt_digest="p" * 32, panel=Panel(judges=("judge",)), verdicts=verdicts)
    scored = [job.scored(bench.score(job)) for job in jobs]
    report = factories.report_of(scored, about, scales=bench.with_scales({}), repeats=len(jobs))
    run = replace(report.provenance, judges=("judge",), rubric=POINTS.model_dump(mode="json"))
    return with_judging(replace(report, provenance=run), bench)


def test_an_export_has_the_conversation_that_a_variant_asked() -> None:
    """Its system prompt, under the contestant's name, in every format that writes messages; one log for each."""
    turn = {"prompt": "Of a fox?", "expect": [{"check": "includes", "value": "fox"}]}
    about = [PromptSequence.model_validate({"id": "s", "system": "Be kind.", "turns": [turn]})]
    variants = [Variant(name="terse", system="Be brief."), Variant(name="plain")]
    jobs = [factories.row(about[0], ["A fox."], variant=variant.name) for variant in variants]
    report = factories.report_of(jobs, about, variants=variants)
    sft = lines(files(report, "sft")["run.sft.jsonl"])
    assert [(row["source"]["model"], row["messages"][0]["content"]) for row in sft] == [
        ("m+terse", "Be brief."),
        ("m+plain", "Be kind."),
    ]
    logs = [json.loads(content) for content in files(report, "inspect").values()]
    assert [(log["eval"]["model"], log["samples"][0]["input"][0]["content"]) for log in logs] == [
        ("m+terse", "Be brief."),
        ("m+plain", "Be kind."),
    ]
    assert [len(log["samples"]) for log in logs] == [1, 1]


@pytest.mark.parametrize("form", sorted(BUILDERS))
def test_every_export_says_where_it_comes_from(form: str) -> None:
    """Digests of suite, prompts, model and template, the seed, a parameter's source, versions and the device."""
    report = factories.synthetic_report()
    text = b"".join(files(report, form).values())
    facts = report.models[0].input.facts
    assert facts is not None
    if form == "parquet":
        pyarrow = pytest.importorskip("pyarrow.parquet")
        (content,) = files(report, form).values()
        text = pyarrow.read_schema(sys.modules["pyarrow"].BufferReader(content)).metadata[b"nightjar"]
    for wanted in (
        report.provenance.suite_digest,
        facts.digest,
        facts.template_digest,
        report.provenance.nightjar_version,
        "b7000 (abc1234)",
        "CPU: 8 threads",
        "--set MODEL" if form != "junit" else "0.8 (suite)",
    ):
        assert wanted is not None
        assert wanted.encode() in text, wanted
    prompts = [sequence.digest.encode() in text for sequence in report.sequences]
    assert all(prompts) or b"prompts.digest" in text


@pytest.mark.parametrize("form", sorted(BUILDERS))
def test_no_name_leaves_the_folder_and_no_two_names_meet(form: str) -> None:
    """Names of models become file names: nothing in them climbs, and names that clean alike stay two."""
    about = [story()]
    jobs = [factories.row(about[0], ["x"], model=model) for model in ("../../etc/x", "etc-x", "a b", "a/b")]
    report = judged(jobs, about, [4, 4, 4, 4])
    paths = list(files(report, form))
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert ".." not in path.split("/")
        assert not path.startswith("/")
        assert path.startswith("run.")


# --- JUnit


def cases(report: RunReport, **options: Any) -> dict[str, ET.Element]:
    (content,) = files(report, "junit", **options).values()
    return {case.attrib["name"]: case for case in ET.fromstring(content).iter("testcase")}


def test_junit_counts_what_it_holds() -> None:
    """Per suite: tests, failures, errors and skipped as many as there are."""
    (content,) = files(factories.synthetic_report(), "junit").values()
    suites = list(ET.fromstring(content))
    assert [suite.attrib["name"] for suite in suites] == list(factories.MODELS)
    for suite in suites:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        for kind in ("failure", "error", "skipped"):
            counted = {"failure": "failures", "error": "errors", "skipped": "skipped"}[kind]
            assert int(suite.attrib[counted]) == len(suite.findall(f"testcase/{kind}"))
    dead = [case for case in suites[2] if case.find("error") is not None]
    assert [case.attrib["name"] for case in dead] == ["train turn 2 repeat 2: reply", "train turn 3 repeat 2: reply"]


def test_junit_says_why_a_check_failed_and_survives_any_reply() -> None:
    """A failed check shows value, limit, prompt and reply; nothing of a reply breaks the document."""
    about = [
        PromptSequence.model_validate(
            {
                "id": "1",
                "turns": [
                    {
                        "prompt": "Say.",
                        "expect": [{"check": "includes", "value": "fox"}, {"check": "includes", "value": "=cmd()"}],
                    }
                ],
            }
        )
    ]
    found = cases(factories.report_of([factories.row(about[0], [HOSTILE])], about))
    assert list(found) == [f"1 turn 1 repeat 1: {name}" for name in ("reply", "includes", "includes#2")]
    (failure,) = found["1 turn 1 repeat 1: includes"]
    assert failure.tag == "failure"
    assert "must be 1 or more" in failure.attrib["message"]
    assert "<script>alert(1)</script> ]]> &" in str(failure.text)
    assert "[U+001B]" in str(failure.text)
    assert len(found["1 turn 1 repeat 1: includes#2"]) == 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (JobStatus.DEAD, "error"),  # it failed for good
        (JobStatus.CANCELLED, "skipped"),  # nobody wants it
        (JobStatus.PENDING, "skipped"),  # it may come
    ],
)
def test_junit_tells_missing_from_failed(status: JobStatus, kind: str) -> None:
    about = [story(turns=2)]
    found = cases(factories.report_of([factories.row(about[0], ["only one"], status=status)], about))
    assert [one.tag for one in found["1 turn 2 repeat 1: reply"]] == [kind]


def test_junit_holds_judged_scores_to_a_threshold_when_asked() -> None:
    """Without one they are no tests; with one the failure explains it; without a verdict they are skipped."""
    about = [story(turns=3)]
    report = judged([factories.row(about[0], ["a", "b", "c"])], about, [4, 3, None])
    assert not any(name.endswith(": judge") for name in cases(report))
    found = cases(report, at_least={"judge": 4.0})
    kinds = [[one.tag for one in found[f"1 turn {n} repeat 1: judge"]] for n in (1, 2, 3)]
    assert kinds == [[], ["failure"], ["skipped"]]
    told = found["1 turn 2 repeat 1: judge"][0].attrib["message"]
    assert told.startswith("judge is 3; it must be 4 or more (its scale: 1 worst, 5 best)")


def test_junit_has_a_case_for_each_gate_and_a_choice_of_what_fails() -> None:
    """Red for gates alone: a check that failed is a skipped case that says so, and a tripped gate fails."""
    about = [
        PromptSequence.model_validate(
            {"id": "1", "turns": [{"prompt": "Say.", "expect": [{"check": "includes", "value": "fox"}]}]}
        )
    ]
    gate = Gate(kind=GateKind.BELOW, metric="checks", value=0.9)
    told = [GateOutcome.TRIPPED, GateOutcome.PASSED, GateOutcome.INCONCLUSIVE]
    results = tuple(
        GateResult(gate=gate, about=f"run:{outcome}", outcome=outcome, reason="checks is 0") for outcome in told
    )
    report = factories.report_of([factories.row(about[0], ["a dog"])], about)

    def kinds(strict: bool, *failing: str) -> dict[str, list[str]]:
        verdict = GateVerdict(results=results, strict=strict, at=report.generated_at)
        options = {"failing": frozenset(failing)} if failing else {}
        (content,) = files(replace(report, verdict=verdict), "junit", **options).values()
        found = ET.fromstring(content).iter("testcase")
        asked = [case for case in found if "reply" not in case.attrib["name"]]
        return {case.attrib["classname"]: [one.tag for one in case] for case in asked}

    gates = [f"gates.run:{outcome}" for outcome in told]
    suite = f"{report.provenance.suite_name}.1"
    assert kinds(False) == {suite: ["failure"], **dict(zip(gates, [["failure"], [], ["skipped"]], strict=True))}
    assert kinds(True)[gates[2]] == ["failure"]
    assert kinds(False, "gates") == {
        suite: ["skipped"],
        **dict(zip(gates, [["failure"], [], ["skipped"]], strict=True)),
    }
    assert kinds(False, "checks", "replies")[gates[0]] == ["skipped"]
    with pytest.raises(UsageError, match=r"--failing 'gate'.*'gates'"):
        ExportOptions.read([], None, ["gate"])


def test_one_document_is_what_a_file_would_hold(tmp_path: Path) -> None:
    """For standard output; a format of several files has no one document."""
    report = factories.synthetic_report()
    for form in ("html", "json", "csv", "md", "junit"):
        (path,) = write_exports(report, [form], tmp_path)
        assert b"".join(one_document(report, form)) == path.read_bytes(), form
    with pytest.raises(UsageError, match="inspect has 3 files"):
        list(one_document(report, "inspect"))
    with pytest.raises(UsageError, match="--at-least checks:90"):
        files(report, "junit", at_least={"checks": 90.0})


# --- Fine-tuning


@pytest.mark.parametrize(
    ("points", "taken"),
    [
        ((5, 5, 5), 3),  # the whole conversation
        ((5, 5, 2), 2),  # up to the last good reply
        ((5, 1, 5), 1),  # what follows a bad reply is never learned
        ((1, 5, 5), 0),
        ((5, None, 5), 1),  # no verdict is not good
        ((4, 4, 3), 2),  # three quarters up the scale: 4 of 1 to 5
    ],
)
def test_sft_takes_a_conversation_up_to_its_last_good_reply(points: tuple[int | None, ...], taken: int) -> None:
    about = [story(turns=3, system="Be good.")]
    report = judged([factories.row(about[0], ["a", "b", "c"])], about, points)
    rows = lines(files(report, "sft")["run.sft.jsonl"])
    assert len(rows) == (taken > 0)
    for row in rows:
        assert [message["role"] for message in row["messages"]] == ["system", *(["user", "assistant"] * taken)]
        assert row["source"]["turn"] == taken - 1


def test_sft_takes_independent_turns_one_by_one_and_no_base_models() -> None:
    about = [story("1", 2, mode="independent"), story("2", 1, mode="completion")]
    jobs = [factories.row(about[0], ["a", "b"]), factories.row(about[1], ["c"])]
    rows = lines(files(judged(jobs, about, [5, 5, 5]), "sft")["run.sft.jsonl"])
    assert [[message["content"] for message in row["messages"]] for row in rows] == [
        ["Say 1.0.", "a"],
        ["Say 1.1.", "b"],
    ]


def test_sft_goes_by_the_threshold_it_is_given() -> None:
    about = [story()]
    report = judged([factories.row(about[0], ["a"], repeat=n) for n in range(3)], about, [2, 3, 5])
    kept = [row["messages"][-1] for row in lines(files(report, "sft", at_least={"judge.plot": 3.0})["run.sft.jsonl"])]
    assert len(kept) == 2
    about_it = json.loads(files(report, "sft")["run.sft.provenance.json"])["chosen_by"]
    assert (about_it["metric"], about_it["at_least"]) == ("judge", 4.0)


@pytest.mark.parametrize(
    ("points", "margin", "pairs"),
    [
        ((5, 3, 1), None, [("r0", "r1"), ("r0", "r2"), ("r1", "r2")]),  # all a quarter of the scale apart
        ((5, 4, 4), 2.0, []),  # none far enough
        ((5, 4, 1), 3.0, [("r0", "r2"), ("r1", "r2")]),
        ((1, None, 5), None, [("r2", "r0")]),  # no verdict, no pair
        ((3, 3, 3), None, []),  # ties
    ],
)
def test_dpo_pairs_repeats_of_one_prompt(
    points: tuple[int | None, ...], margin: float | None, pairs: list[tuple[str, str]]
) -> None:
    about = [story(system="Be good.")]
    report = judged([factories.row(about[0], [f"r{n}"], repeat=n) for n in range(3)], about, points)
    rows = lines(files(report, "dpo", margin=margin)["run.dpo.jsonl"])
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == pairs
    for row in rows:
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert row["score_chosen"] > row["score_rejected"]


def test_dpo_never_pairs_replies_to_different_histories() -> None:
    """The second turns answered other first replies, so only the first turns and equal histories make pairs."""
    about = [story(turns=2)]
    replies = [["same", "x"], ["same", "y"], ["other", "z"]]
    jobs = [factories.row(about[0], texts, repeat=n) for n, texts in enumerate(replies)]
    report = judged(jobs, about, [5, 5, 5, 1, 1, 1])
    rows = lines(files(report, "dpo")["run.dpo.jsonl"])
    assert [(len(row["prompt"]), row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == [
        (1, "same", "other"),
        (1, "same", "other"),
        (3, "x", "y"),
    ]


def test_fine_tuning_data_wants_something_that_says_what_is_good() -> None:
    """A run that is neither judged nor checked: refused, with what to do."""
    about = [story()]
    with pytest.raises(UsageError, match=r"no metric that says which replies are good: judge it"):
        files(factories.report_of([factories.row(about[0], ["a"])], about), "sft")


# --- MT-bench


def test_mt_bench_answers_are_whole_and_repeats_are_choices() -> None:
    about = [story("81", 2), story("fox", 2)]
    jobs = [
        factories.row(about[0], ["a", "b"], repeat=0),
        factories.row(about[0], ["c", "d"], repeat=1),
        factories.row(about[1], ["e"], status=JobStatus.DEAD),
    ]
    found = files(factories.report_of(jobs, about, repeats=2), "mt-bench")
    (answer,) = lines(found["run.mt-bench/model_answer/m.jsonl"])
    assert (answer["question_id"], answer["model_id"]) == (81, "m")  # FastChat's ids are numbers
    assert answer["choices"] == [{"index": 0, "turns": ["a", "b"]}, {"index": 1, "turns": ["c", "d"]}]
    assert [one["question_id"] for one in lines(found["run.mt-bench/question.jsonl"])] == [81, "fox"]
    (left,) = json.loads(found["run.mt-bench/provenance.json"])["left_out"]
    assert (left["question_id"], left["reason"]) == ("fox", "DEAD: it broke")


def test_mt_bench_judgments_have_a_score_or_fastchats_mark_of_none() -> None:
    about = [story("81", 2)]
    report = judged([factories.row(about[0], ["a", "b"])], about, [4, None])
    rows = lines(files(report, "mt-bench")["run.mt-bench/model_judgment/judge_single.jsonl"])
    assert [(row["turn"], row["score"], row["judge"]) for row in rows] == [
        (1, 4, ["judge", "rubric"]),
        (2, -1, ["judge", "rubric"]),
    ]


@pytest.mark.parametrize(
    ("orders", "winners"),
    [
        ((PairOutcome.WON, PairOutcome.WON), ("model_1", "model_1")),
        ((PairOutcome.WON, PairOutcome.LOST), ("model_1", "model_2")),  # the order decided: show_result counts a tie
        ((PairOutcome.TIED, PairOutcome.TIED), ("tie", "tie")),
        ((PairOutcome.LOST, None), ("model_2", "error")),
    ],
)
def test_mt_bench_pairs_keep_both_orders(
    orders: tuple[PairOutcome | None, PairOutcome | None], winners: tuple[str, str]
) -> None:
    about = [story("81")]
    jobs = [factories.row(about[0], ["a"], model=model) for model in ("amber", "basalt")]
    turns = (JudgedTurn(index=0, prompt="p", reply="r", chain="c"),)
    one, two = (JudgedJob(id=job.id, model=job.model, sequence="81", repeat=0, tags=(), turns=turns) for job in jobs)
    result = PairResult(
        pair=JudgedPair(first=one, second=two, turn=0),
        names=("amber", "basalt"),
        opinions={"judge": [Opinion(criterion="plot", orders=orders, reasons=("so", "and so"))]},
    )
    bench = JudgeResults(rubric=CHOICES, panel=Panel(judges=("judge",)), pairs=(result,))
    report = with_judging(factories.report_of(jobs, about, scales=bench.with_scales({})), bench)
    (row,) = lines(files(report, "mt-bench")["run.mt-bench/model_judgment/judge_pair.jsonl"])
    assert (row["model_1"], row["model_2"], row["g1_winner"], row["g2_winner"]) == ("amber", "basalt", *winners)
    assert (row["turn"], row["g1_judgment"]) == (1, "plot: so")


# --- Inspect, lm-eval, Parquet


def test_inspect_samples_say_what_happened() -> None:
    """An epoch per repeat, turns in the scores' metadata, NaN and a reason where there is no value, errors as such."""
    found = files(factories.synthetic_report(), "inspect")
    log = json.loads(next(content for path, content in found.items() if "cinder" in path))
    assert (log["status"], log["results"]["total_samples"], log["results"]["completed_samples"]) == ("success", 12, 11)
    dead = [sample for sample in log["samples"] if "error" in sample]
    assert [(sample["id"], sample["epoch"]) for sample in dead] == [("train", 2)]
    assert len(dead[0]["messages"]) == 3  # what was there stays: system, prompt, reply
    sample = log["samples"][0]
    assert [event["input"][-1]["role"] for event in sample["events"]] == ["user"] * 3
    assert [turn["turn"] for turn in sample["scores"]["words"]["metadata"]["turns"]] == [0, 1, 2]


def test_inspect_marks_what_has_no_value() -> None:
    about = [story()]
    report = judged([factories.row(about[0], ["a"])], about, [None])
    (content,) = files(report, "inspect").values()
    score = json.loads(content)["samples"][0]["scores"]["judge"]
    assert math.isnan(score["value"])
    assert score["reason"] == "unscored"


def test_lm_eval_leaves_out_what_has_no_value() -> None:
    """Missing is never zero: neither in a sample nor in the results."""
    about = [story(turns=2)]
    found = files(judged([factories.row(about[0], ["a", "b"])], about, [4, None]), "lm-eval")
    results = json.loads(next(content for path, content in found.items() if "/results_" in path))
    (task,) = results["results"].values()
    assert task["judge,none"] == 4
    assert "judge_stderr,none" not in task  # one sequence has none
    rows = lines(next(content for path, content in found.items() if "/samples_" in path))
    assert [row.get("judge") for row in rows] == [4, None]
    assert ["judge" in row["metrics"] for row in rows] == [True, False]
    assert [len(json.loads(row["arguments"]["gen_args_0"]["arg_0"])) for row in rows] == [1, 3]


def test_parquet_names_the_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow: what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"parquet needs pyarrow.* -m pip install .*\[parquet\]"):
        files(factories.synthetic_report(), "parquet")


# --- Options


@pytest.mark.parametrize(
    ("thresholds", "margin", "message"),
    [
        (["judge"], None, "--at-least 'judge' is not of the form METRIC:X"),
        (["judge:good"], None, "not of the form"),
        ([":4"], None, "not of the form"),
        (["judge:nan"], None, "not of the form"),
        ([], 0.0, "--margin is 0.0: give a number above 0"),
        ([], float("nan"), "--margin is nan"),
    ],
)
def test_options_that_are_none(thresholds: list[str], margin: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ExportOptions.read(thresholds, margin)


def test_options_name_the_nearest_metric() -> None:
    assert ExportOptions.read(["judge.plot:4", "checks:0.5"], 0.5).at_least == {"judge.plot": 4, "checks": 0.5}
    with pytest.raises(UsageError, match=r"--at-least names 'cheks'.*'checks'"):
        files(factories.synthetic_report(), "junit", at_least={"cheks": 1.0})
