"""`nightjar report` as a person types it, on a run that holds everything."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nightjar.config.embedded import service_urls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.states import RunStatus
from tests import factories
from tests.shell import Shell


@pytest.fixture
def stored(shell: Shell, acceptance_home: Path) -> Shell:
    """A shell whose database holds a finished run and an unfinished one."""

    async def write() -> None:
        urls = service_urls(Settings(home=acceptance_home, mongo_url=None, redis_url=None))
        async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
            await factories.store(database)

    asyncio.run(write())
    return shell


def test_all_formats_at_once(stored: Shell, tmp_path: Path) -> None:
    """One call, four files, each path printed; the warnings come first and the terminal gets no control character."""
    out = tmp_path / "out"
    printed = stored.ok("report", "nightly-2026-11-20", "-f", "html,json", "-f", "csv", "-f", "md", "--out", out)
    lines = printed.splitlines()
    assert "sampled differently" in lines[0]
    assert "can't be separated" in lines[-5]
    assert lines[-4:] == [str(out / f"nightly-2026-11-20.{form}") for form in ("html", "json", "csv", "md")]
    assert len(list(out.iterdir())) == 4
    assert not any(ord(char) < 32 for char in printed.replace("\n", ""))


def test_default_is_html_among_the_reports(stored: Shell, acceptance_home: Path) -> None:
    """Without options: the page, in the reports folder; --json says where and whether it is partial."""
    answer = stored.json("report", "nightly-2026-11-20")
    assert answer["files"] == [str(acceptance_home / "reports" / "nightly-2026-11-20.html")]
    assert answer["run"]["partial"] is False
    assert answer["notices"][0]["level"] == "warning"


def test_unknown_run_names_the_nearest(stored: Shell) -> None:
    """A misspelt run: exit code 2 and the name that was meant."""
    error = stored.refused("report", "nightly-2026-11-02", code=2)
    assert "nightly-2026-11-20" in error
    assert "Traceback" not in error


def test_unknown_format_names_the_nearest(stored: Shell) -> None:
    """A misspelt format: exit code 2, before anything is read."""
    assert "'html'" in stored.refused("report", "nightly-2026-11-20", "-f", "htlm", code=2)


def test_unwritable_folder(stored: Shell, tmp_path: Path) -> None:
    """A file where the folder should be: exit code 1, the remedy, and the file untouched."""
    blocked = tmp_path / "blocked"
    blocked.write_text("mine")
    error = stored.refused("report", "nightly-2026-11-20", "--out", blocked, code=1)
    assert "--out DIR" in error
    assert blocked.read_text() == "mine"


def test_full_disk(stored: Shell, tmp_path: Path) -> None:
    """The system takes no more bytes after the first kilobytes (a size limit): exit code 1, nothing half-written."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "nightjar", "report", "nightly-2026-11-20", "-f", "json", "--out", str(out)]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 4; exec "$@"', "-", *command],
        cwd=stored.folder,
        env=stored.environ(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "--out DIR" in done.stderr
    assert os.listdir(out) == []


def test_partial_report(stored: Shell, acceptance_home: Path, tmp_path: Path) -> None:
    """A run in work has a report that says what is not finished."""

    async def reopen() -> None:
        urls = service_urls(Settings(home=acceptance_home, mongo_url=None, redis_url=None))
        async with await connect(urls.mongo, stored.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
            await database.runs.update_many(
                {}, {"$set": {"status": RunStatus.ACTIVE.value, "outcome.finished_at": None}}
            )

    asyncio.run(reopen())
    out = tmp_path / "out"
    answer = stored.json("report", "nightly-2026-11-20", "-f", "json", "--out", out)
    assert answer["run"]["partial"] is True
    document = json.loads((out / "nightly-2026-11-20.json").read_text(encoding="utf-8"))
    assert any(notice["text"].startswith("Partial report") for notice in document["notices"])


def test_scorers_are_listed(shell: Shell) -> None:
    """Every check a suite may name, with its scale, and nothing needs to run for it."""
    listed = {one["name"]: one for one in shell.json("scorer", "list")["scorers"]}
    assert (listed["includes"]["worst"], listed["includes"]["best"]) == (0, 1)
    assert (listed["words"]["kind"], listed["words"]["direction"], listed["words"]["worst"]) == (
        "measure",
        "none",
        None,
    )
    assert "pattern" in shell.ok("scorer", "list")


OFF_SCALE = """
from nightjar.scorers import Direction, FunctionScorer, Scale, Score

share = FunctionScorer(
    name="share",
    scale=Scale(worst=0.0, best=1.0, direction=Direction.HIGHER),
    function=lambda context: Score(value=2.0 if context.turn == 1 else 0.5),
)
size = FunctionScorer(
    name="size",
    scale=Scale(worst=None, best=None, direction=Direction.NONE),
    function=lambda context: Score(value=1e308 if context.turn == 1 else 3.0),
)
"""


def test_scores_off_their_scale_end_no_report(stored: Shell, tmp_path: Path) -> None:
    """A scorer of the user's without limits, in the process that scores: those replies failed, the others count."""
    (tmp_path / "off_scale.py").write_text(OFF_SCALE)
    environment = {
        "NIGHTJAR_SCORERS": "off_scale:share,off_scale:size",
        "PYTHONPATH": f"{stored.environ()['PYTHONPATH']}:{tmp_path}",
    }
    stored.ok("report", "nightly-2026-11-20", "-f", "html,json", "--out", tmp_path / "out", env=environment)
    document = json.loads((tmp_path / "out" / "nightly-2026-11-20.json").read_text("utf-8"))
    amber = next(model for model in document["models"] if model["name"] == "amber-1b")
    assert (amber["metrics"]["size"]["mean"], amber["metrics"]["size"]["failed"]) == (3.0, 12)
    turns = {turn["index"]: turn for job in document["jobs"] for turn in job["turns"] if job["model"] == "basalt-3b"}
    assert turns[0]["scores"]["share"]["value"] == 0.5
    assert turns[1]["scores"]["share"]["state"] == "failed"
    assert "the scorer returned 2, outside its scale (0 to 1)" in turns[1]["scores"]["share"]["reason"]
    assert "outside its scale" in turns[1]["scores"]["size"]["reason"]
