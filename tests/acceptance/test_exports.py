"""Every export of a judged run of the bundled model, read back by the tool it is for."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightjar import config
from nightjar.config import embedded
from nightjar.config.settings import Settings
from tests.shell import Shell

# The tools' own code warns of many things; what they read is tested here, not how they are written.
pytestmark = pytest.mark.filterwarnings("ignore")

DEMO_MODEL = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Tell a story about a fox named Mira.", "What happens next?"]},
    {"question_id": 101, "category": "reasoning", "turns": ["Tell a story about an owl named Odo.", "Go on."]},
]
RUBRIC = """
name: short
criteria:
  - {name: plot, description: Things happen., scale: {1: Nothing happens., 2: Something does., 3: A lot happens.}}
"""
EXPORTS = "csv,inspect,mt-bench,parquet,junit,lm-eval,sft,dpo"
MODEL = "somebody-elses"
REPEATS = 3
REPLIES = len(QUESTIONS) * REPEATS * 2


@pytest.fixture(scope="module")
def shell(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """One folder and database for the whole module: its run is generated once."""
    folder = tmp_path_factory.mktemp("exports")
    environment = {"NIGHTJAR_HOME": str(acceptance_home), "NIGHTJAR_MONGO_DATABASE": f"t{uuid.uuid4().hex[:12]}"}
    return Shell(folder=folder, environment={**environment, "NIGHTJAR_MODEL__FLASH_ATTENTION": "false"})


@pytest.fixture(scope="module")
def run(shell: Shell) -> Shell:
    """MT-bench questions, three repeats, one slot, judged by a copy of the model under another name."""
    (shell.folder / "question.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)) + "\n")
    (shell.folder / "rubric.yaml").write_text(RUBRIC)
    model = shell.folder / f"{MODEL}.gguf"
    shutil.copy(DEMO_MODEL, model)
    shell.ok(
        "eval",
        "--suite",
        "question.jsonl",
        "--model",
        model,
        "--repeats",
        str(REPEATS),
        "--seed",
        "7",
        "--slots",
        "1",
        "--judge",
        "nightjar-demo",
        "--rubric",
        "rubric.yaml",
        "--set",
        "max_tokens=40",
        "--name",
        "exported",
        "--self-judging",
        "--out",
        "out",
        "-f",
        "json",
    )
    return shell


@pytest.fixture(scope="module")
def out(run: Shell) -> Path:
    """All exports of the run."""
    files = run.json("report", "exported", "-f", EXPORTS, "--at-least", "judge:2", "--margin", "0.5", "--out", "out")
    assert all((run.folder / file).is_file() for file in files["files"])
    return run.folder / "out"


@pytest.fixture(scope="module")
def report(out: Path) -> Any:
    return json.loads((out / "exported.json").read_text())


def turns(report: Any) -> Iterator[tuple[Any, Any]]:
    return ((job, turn) for job in report["jobs"] for turn in job["turns"])


def test_inspect_reads_the_log_and_its_data_frames_list_the_samples(out: Path, report: Any) -> None:
    """inspect_ai: the log whole and by its head, evals, samples and messages as data frames, and back to .eval."""
    from inspect_ai.analysis import evals_df, messages_df, samples_df
    from inspect_ai.log import read_eval_log, write_eval_log

    (path,) = (out / "exported.inspect").glob("*.json")
    log = read_eval_log(str(path))
    assert log.status == "success"
    assert log.eval.metadata["nightjar"]["run"]["seed"] == 7
    assert log.samples is not None
    replies = {f"{sample.id}/{sample.epoch - 1}": sample.output.completion for sample in log.samples}
    assert replies == {f"{job['sequence']}/{job['repeat']}": job["turns"][-1]["reply"] for job in report["jobs"]}
    assert read_eval_log(str(path), header_only=True).results == log.results
    evals = evals_df(str(path.parent), quiet=True)
    assert list(evals["model"]) == [MODEL]
    mean = report["models"][0]["metrics"]["judge"]["mean"]
    assert evals["score_judge_mean"].iloc[0] == pytest.approx(mean)
    samples = samples_df(str(path.parent), quiet=True)
    assert len(samples) == len(QUESTIONS) * REPEATS
    assert sorted(set(samples["id"])) == ["101", "81"]
    assert samples["score_judge"].notna().all()
    assert len(messages_df(str(path.parent), quiet=True)) == 2 * REPLIES
    write_eval_log(log, str(out / "again.eval"))
    assert read_eval_log(str(out / "again.eval")).results == log.results


def test_fastchat_shows_the_result_of_the_judgments(out: Path, report: Any) -> None:
    """fschat's own show_result prints the judge's mean per turn; its answers are whole."""
    folder = out / "exported.mt-bench"
    command = [sys.executable, "-W", "ignore", "-m", "fastchat.llm_judge.show_result", "--bench-name", "mt_bench"]
    judgments = folder / "model_judgment" / "nightjar-demo_single.jsonl"
    done = subprocess.run(
        [*command, "--input-file", str(judgments)], capture_output=True, text=True, check=True, timeout=120
    )
    average = done.stdout.partition("Average")[2]
    scores = [turn["scores"]["judge"]["value"] for _, turn in turns(report)]
    shown = float(average.split()[-1])
    assert shown == pytest.approx(sum(scores) / len(scores), abs=1e-5)
    answers = [json.loads(line) for line in (folder / "model_answer" / f"{MODEL}.jsonl").read_text().splitlines()]
    assert [answer["question_id"] for answer in answers] == [81, 101]
    assert [len(choice["turns"]) for answer in answers for choice in answer["choices"]] == [2] * 6


def test_csv_and_parquet_hold_the_same_replies(out: Path, report: Any) -> None:
    """The csv module, pandas and pyarrow: a row per turn; the Parquet file's metadata hold the provenance."""
    import pandas
    import pyarrow.parquet

    with (out / "exported.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pandas.read_parquet(out / "exported.parquet")
    replies = [turn["reply"] for _, turn in turns(report)]
    assert list(table["reply"]) == replies
    assert [row["reply"] for row in rows] == replies
    assert [float(row["score.judge"]) for row in rows] == list(table["score.judge"])
    kept = json.loads(pyarrow.parquet.read_schema(out / "exported.parquet").metadata[b"nightjar"])
    assert kept["suite"]["digest"] == report["run"]["suite"]["digest"]


def test_junitparser_reads_the_xml(out: Path, report: Any) -> None:
    """A case per reply and one per judged reply, held to judge:2."""
    from junitparser import JUnitXml

    (suite,) = JUnitXml.fromfile(str(out / "exported.junit.xml"))
    low = [turn for _, turn in turns(report) if turn["scores"]["judge"]["value"] < 2]
    failed = [turn for _, turn in turns(report) if turn["empty"] or turn["degenerate"]]
    assert (suite.name, suite.tests) == (MODEL, 2 * REPLIES)
    assert (suite.failures, suite.errors, suite.skipped) == (len(low) + len(failed), 0, 0)
    properties = {one.name: one.value for one in suite.properties()}
    assert properties["model.digest"] == report["models"][0]["digest"]


def test_lm_eval_finds_reads_and_tables_the_results(out: Path, report: Any) -> None:
    """lm_eval's own file names, schema and table; its samples load as a dataset."""
    from datasets import load_dataset
    from lm_eval.result_schema import EvalResults, SampleResult
    from lm_eval.utils import get_file_task_name, get_results_filenames, get_sample_results_filenames, make_table
    from pydantic import TypeAdapter

    files = sorted(str(path) for path in (out / "exported.lm-eval").rglob("*.json*"))
    (results_file,), (samples_file,) = get_results_filenames(files), get_sample_results_filenames(files)
    assert get_file_task_name(Path(samples_file).name) == "question"
    results = json.loads(Path(results_file).read_text())
    TypeAdapter(EvalResults).validate_python(results)
    mean = report["models"][0]["metrics"]["judge"]["mean"]
    assert f"{mean:.4f}" in next(line for line in make_table(results).splitlines() if "|judge " in line)
    for line in Path(samples_file).read_text().splitlines():
        TypeAdapter(SampleResult).validate_json(line)
    samples = load_dataset("json", data_files=samples_file, split="train", cache_dir=str(out / "cache"))
    assert [sample["filtered_resps"][0] for sample in samples] == [turn["reply"] for _, turn in turns(report)]


def test_datasets_loads_what_trainers_take(out: Path, report: Any) -> None:
    """The conversational columns of TRL's SFT and DPO trainers, by the library that loads them.

    TRL itself needs torch, which has no place in this environment.
    """
    from datasets import load_dataset

    judged = {(job["sequence"], job["repeat"], turn["index"]): turn for job, turn in turns(report)}
    taken = load_dataset("json", data_files=str(out / "exported.sft.jsonl"), split="train", cache_dir=str(out / "c1"))
    for row in taken:
        assert {message["role"] for message in row["messages"]} == {"user", "assistant"}
        for index in range(row["source"]["turn"] + 1):
            key = (row["source"]["sequence"], row["source"]["repeat"], index)
            assert judged[key]["scores"]["judge"]["value"] >= 2
    firsts: dict[str, dict[int, float]] = {}
    for (sequence, repeat, index), turn in judged.items():
        if index == 0:
            firsts.setdefault(sequence, {})[repeat] = turn["scores"]["judge"]["value"]
    possible = sum(abs(a - b) >= 0.5 for by in firsts.values() for x, a in by.items() for y, b in by.items() if x < y)
    path = out / "exported.dpo.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len([row for row in rows if len(row["prompt"]) == 1]) == possible
    if rows:
        pairs = load_dataset("json", data_files=str(path), split="train", cache_dir=str(out / "c2"))
        assert {"prompt", "chosen", "rejected"} <= set(pairs.column_names)
        assert all(row["score_chosen"] - row["score_rejected"] >= 0.5 for row in pairs)


def test_an_exported_run_is_repeated_word_for_word_elsewhere(run: Shell, report: Any, tmp_path: Path) -> None:
    """Export, a machine that knows nothing of it, import: the same ids and seeds, and under one slot the same texts."""
    file = tmp_path / "exported.run.json"
    run.ok("run", "export", "exported", "--out", file)
    known = json.loads(file.read_text())
    (model,) = known["models"]
    assert model["origin"] == {"file": f"{MODEL}.gguf"}
    assert model["parameters"][0]["sources"]["max_tokens"] == "--set"
    assert str(run.folder) not in file.read_text()
    home = tmp_path / "home"
    environment = {"NIGHTJAR_HOME": str(home), "NIGHTJAR_MODEL__FLASH_ATTENTION": "false"}
    registry = tmp_path / "models.toml"
    registry.touch()  # nothing is known there, the bundled model neither
    other = Shell(folder=tmp_path, environment={**environment, "NIGHTJAR_MODELS_FILE": str(registry)})
    try:
        error = other.refused("run", "import", file)
        assert f"`nightjar model add {MODEL}.gguf --name {MODEL}`; its SHA-256 must be {model['digest']}" in error
        other.ok("model", "add", DEMO_MODEL, "--name", "nightjar-demo")
        file_here = shutil.copy(DEMO_MODEL, tmp_path / f"{MODEL}.gguf")
        with Path(file_here).open("ab") as weights:
            weights.write(b"another file")
        other.ok("model", "add", file_here, "--name", MODEL)
        error = other.refused("run", "import", file)
        assert f"the file of {MODEL} has SHA-256 " in error
        assert f"the exported run used {model['digest']}" in error
        assert "--other-models" in error
        shutil.copy(DEMO_MODEL, file_here)
        made = other.json("run", "import", file)["run"]
        assert (made["id"], made["created"]) == (report["run"]["id"], True)
        assert other.json("run", "import", file)["run"]["created"] is False
        other.ok(
            "eval",
            "--suite",
            "question",
            "--model",
            MODEL,
            "--repeats",
            str(REPEATS),
            "--seed",
            "7",
            "--slots",
            "1",
            "--judge",
            "nightjar-demo",
            "--rubric",
            run.folder / "rubric.yaml",
            "--self-judging",
            "--set",
            "max_tokens=40",
            "--name",
            "exported",
            "--out",
            "out",
            "-f",
            "json",
        )
        again = json.loads((tmp_path / "out" / "exported.json").read_text())
    finally:
        embedded.down(Settings(home=home))
    keep = ("index", "prompt", "reply", "seed")
    assert [(job["id"], [[turn[key] for key in keep] for turn in job["turns"]]) for job in again["jobs"]] == [
        (job["id"], [[turn[key] for key in keep] for turn in job["turns"]]) for job in report["jobs"]
    ]
