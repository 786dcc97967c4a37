"""`nightjar enqueue` and `nightjar worker` are enough: what is enqueued gets done, judged, closed and reported."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

from tests.home import Home, eventually
from tests.shell import PROJECT

WITHIN_S = 120
SUITE = ("--suite", "story-starters", "--model", "nightjar-demo", "--name", "night")
BENCH = ("--suite", "bench", "--model", "nightjar-demo", "--name", "night", "--repeats", "2", "--set", "max_tokens=6")
CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
QUESTIONS, JOBS = 80, 160


def reports(home: Home) -> list[str]:
    return sorted(path.suffix for path in (home.path / "reports").glob("night*"))


def import_bench(home: Home) -> None:
    """A suite of MT-bench's shape and form: 80 questions in eight categories, two turns each."""
    rows = [
        {
            "question_id": 81 + n,
            "category": CATEGORIES[n // 10],
            "turns": [f"Tell me a story about fox number {n}.", "Tell it again in other words."],
        }
        for n in range(QUESTIONS)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (home.folder / "question.jsonl").write_text(text, encoding="utf-8")
    home.ok("suite", "import", "question.jsonl", "--format", "mt-bench", "--name", "bench")


def bench_is_done(home: Home) -> None:
    """Each question has its two turns twice, and the run is closed with its report."""
    jobs = home.find("jobs", kind="reply")
    assert {job["status"] for job in jobs} == {"DONE"}
    cells = sorted((job["sequence"], job["repeat"], len(job["turns"])) for job in jobs)
    assert cells == sorted((str(81 + n), repeat, 2) for n in range(QUESTIONS) for repeat in range(2))
    assert (run_status(home), reports(home)) == ("DONE", [".html", ".json"])
    report = json.loads((home.path / "reports/night.json").read_text("utf-8"))
    assert len(report["jobs"]) == JOBS
    assert [model["turns_missing"] for model in report["models"]] == [0]


def run_status(home: Home) -> str:
    [run] = home.find("runs", name="night")
    return str(run["status"])


def kill(home: Home, name: str) -> None:
    """SIGKILL to the command and to what it has started."""
    os.killpg(home.running[name].pid, signal.SIGKILL)
    home.running.pop(name).wait()


def test_enqueue_and_a_worker_are_enough(home: Home) -> None:
    """No dispatcher was started: 160 jobs of MT-bench's shape are done, the report is written, its hook was run."""
    told = home.folder / "told"
    home.environment["NIGHTJAR_NIGHT__COMMANDS"] = "true"
    import_bench(home)
    home.ok("enqueue", *BENCH, "--on-finish", f"tee {told}")
    done = home.run("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst")
    assert done.returncode == 0, done.stderr
    bench_is_done(home)
    assert json.loads(told.read_text())["event"] == "done"
    assert home.run("status").returncode == 0


def test_a_worker_goes_on_where_a_dispatcher_was_killed(home: Home) -> None:
    """Far more jobs than were rung for when it died: the worker's standby rings for the rest and closes the run."""
    import_bench(home)
    home.ok("enqueue", *BENCH)
    home.start("dispatcher", "dispatcher")
    eventually(lambda: home.find("leases", standby=False), WITHIN_S, lambda: home.said("dispatcher"))
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none", "--slots", "2", "--burst")
    eventually(lambda: home.done() >= 3, WITHIN_S, lambda: home.said("worker"))
    kill(home, "dispatcher")
    assert JOBS - home.done() > 20, "it died in the middle"
    assert home.running["worker"].wait(2 * WITHIN_S) == 0, home.said("worker")
    assert '"dispatching"' in home.said("worker"), "its standby took over"
    bench_is_done(home)
    assert home.find("crashes") == []


def test_a_model_that_judges_itself_is_loaded_once(home: Home) -> None:
    """Its worker waits for the judging to be planned instead of ending in between, and the run is closed."""
    rubric = home.folder / "rubric.yaml"
    scale = "{0: It sounds like nobody., 1: It sounds like somebody.}"
    rubric.write_text(f"criteria:\n  - name: voice\n    description: It sounds like somebody.\n    scale: {scale}\n")
    home.ok("enqueue", *SUITE, "--limit", "2", "--judge", "nightjar-demo", "--self-judging", "--rubric", str(rubric))
    done = home.run("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst")
    assert done.returncode == 0, done.stderr
    assert run_status(home) == "DONE"
    assert {job["status"] for job in home.find("jobs", kind="judge")} == {"DONE"}
    assert done.stderr.count("worker_ready") == 1


def test_enqueue_that_waits_dispatches_for_a_worker_that_cannot(home: Home) -> None:
    """The worker's own dispatching is over (its parent's is meant): `enqueue --wait` rings and closes."""
    home.ok("services", "up")
    parent = ("--parent", str(os.getpid()))
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none", *parent)
    done = home.run("enqueue", *SUITE, "--limit", "2", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is DONE: 2 DONE" in done.stdout
    assert reports(home) == [".html", ".json"]


def test_a_home_that_scores_otherwise_leaves_the_run_ready_to_close(home: Home, tmp_path: Path) -> None:
    """Its worker does the jobs and ends well; status says who can close the run, and a worker of its home does."""
    home.ok("services", "up")
    servers = {"NIGHTJAR_MONGO_URL": home.url("mongo"), "NIGHTJAR_REDIS_URL": home.url("redis")}
    (tmp_path / "tone.py").write_text(
        "from nightjar.scorers import Direction, FunctionScorer, Scale, Score\n"
        "SCALE = Scale(worst=0.0, best=1.0, direction=Direction.HIGHER)\n"
        "tone = FunctionScorer(name='tone', scale=SCALE, function=lambda context: Score(value=1.0))\n"
    )
    home.ok("enqueue", *SUITE, "--limit", "2")
    other = {**servers, "NIGHTJAR_SCORERS": "tone:tone", "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])}
    burst = ("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst")
    elsewhere = home.run(*burst, home=tmp_path / "other", env=other)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert (home.done(), run_status(home), reports(home)) == (2, "JUDGING", [])
    status = home.run("status")
    assert status.returncode == 1
    assert "ready to close" in " ".join(status.stdout.split())
    assert home.run(*burst).returncode == 0
    assert (run_status(home), reports(home)) == ("DONE", [".html", ".json"])


def test_status_knows_that_an_auto_worker_is_about_to_take_the_jobs(home: Home) -> None:
    """From its first mark to the end of the run nothing is called stuck; then it says which model it cannot serve."""
    home.ok("enqueue", *SUITE, "--limit", "2")
    assert home.run("status").returncode == 1
    home.start("auto", "worker", "--model", "auto", "--gpu", "none")
    eventually(lambda: [row for row in home.find("leases") if row["_id"].startswith("auto:")], WITHIN_S)
    while run_status(home) != "DONE":
        status = home.run("status")
        assert status.returncode == 0, status.stdout + home.said("auto")
    gone = home.folder / "models" / "gone.gguf"
    gone.parent.mkdir()
    shutil.copy(PROJECT / "config/models/nightjar-demo.gguf", gone)
    here = {"NIGHTJAR_MODELS_DIR": str(gone.parent)}
    enqueued = home.run("enqueue", "--suite", "story-starters", "--model", "gone", "--limit", "1", env=here)
    assert enqueued.returncode == 0, enqueued.stderr

    def named() -> bool:
        status = home.run("status")
        return status.returncode == 1 and "auto cannot serve it" in " ".join(status.stdout.split())

    eventually(named, WITHIN_S, lambda: home.run("status").stdout)
