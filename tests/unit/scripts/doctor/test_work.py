"""What `nightjar doctor` makes of models and of the work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightjar.config import hardware
from nightjar.config.settings import Settings
from nightjar.jobs.machines.worker_documents import CrashDocument
from nightjar.jobs.states import RunStatus
from nightjar.jobs.states import WorkerStatus as Status
from nightjar.jobs.status.views import DeadView, Overview, QueueView, RunView, ServiceState, WorkerView
from nightjar.scripts.doctor.check import Check
from nightjar.scripts.doctor.work import model_checks, work_checks
from tests.gguf_files import write_llama

WELL = Overview(services={"mongo": ServiceState(ok=True), "redis": ServiceState(ok=True)})
READY = WorkerView(
    id="host:4711:1",
    host="host",
    device="cpu",
    model="m",
    state=Status.READY,
    reason=None,
    slots_used=1,
    slots=4,
    waiting=0,
    tokens_per_s=9.0,
    turns_per_s=0.1,
    wasted_tokens=0,
    beat_age_s=1.0,
)
RUN = RunView(
    id="r",
    name="nightly",
    suite="s",
    status=RunStatus.ACTIVE,
    reason=None,
    priority=0,
    jobs_total=1,
    jobs={"PENDING": 1},
    turns={"committed": 0, "empty": 0},
    retries=0,
    eta_s=None,
)
CRASH: Any = CrashDocument.model_construct(worker="host:4711:1", reason="died of SIGSEGV")


def queue(reason: str | None, *, stalled: bool) -> list[QueueView]:
    return [QueueView(model="m", waiting=3, reason=reason, stalled=stalled)]


def named(checks: list[Check]) -> dict[str, Check]:
    for check in checks:
        assert check.state in ("fine", "warning", "problem")
        assert (check.remedy is None) == (check.state == "fine"), "what is not fine has a remedy, and nothing else"
    return {check.name: check for check in checks}


@pytest.mark.parametrize(
    ("change", "name", "state", "remedy"),
    [
        ({}, "queues", "fine", None),
        ({"queues": queue(None, stalled=False)}, "queue m", "fine", None),
        ({"queues": queue("all slots are busy", stalled=False)}, "queue m", "fine", None),
        ({"queues": queue("no worker for model", stalled=True)}, "queue m", "problem", "nightjar worker --model m"),
        ({"queues": queue("redis down", stalled=True)}, "queue m", "problem", "Mend Redis"),
        ({"queues": queue("no dispatcher runs", stalled=True)}, "queue m", "problem", "nightjar dispatcher"),
        ({"runs": [replace(RUN, wait="no dispatcher runs")]}, "run nightly", "problem", "nightjar dispatcher"),
        ({"workers": [READY]}, "workers", "fine", None),
        ({"workers": [replace(READY, state=Status.STALLED, reason="no beat")]}, "worker m", "warning", "kill -9 4711"),
        ({"workers": [replace(READY, state=Status.FAILED, reason="no GGUF")]}, "worker m", "warning", "start it again"),
        (
            {"dead": [DeadView(run="nightly", model="m", kind="ContextError", count=2, example="ContextError: x")]},
            "dead jobs",
            "warning",
            "nightjar run retry nightly",
        ),
        (
            {"services": {"mongo": ServiceState(ok=False, reason="out of disk"), "redis": ServiceState(ok=True)}},
            "mongo writes",
            "problem",
            "make room",
        ),
    ],
)
def test_work(change: dict[str, Any], name: str, state: str, remedy: str | None) -> None:
    check = named(list(work_checks(replace(WELL, **change), [])))[name]
    assert check.state == state
    assert remedy is None or remedy in str(check.remedy)


def test_crashes_of_the_last_day() -> None:
    check = named(list(work_checks(WELL, [CRASH, CRASH])))["crashes"]
    assert (check.state, "SIGSEGV" in check.found, check.found[0]) == ("warning", True, "2")


def shelf(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    registry = tmp_path / "models.toml"
    registry.write_text("")
    return Settings(home=tmp_path / "home", models_dir=tmp_path / "models", models_file=registry)


def test_no_model_yet(tmp_path: Path) -> None:
    check = named(list(model_checks(shelf(tmp_path))))["models"]
    assert (check.state, check.found) == ("warning", "0 here")
    assert "nightjar model recommend" in str(check.remedy)


def test_models_sound_and_broken(tmp_path: Path) -> None:
    settings = shelf(tmp_path)
    write_llama(settings.models_dir / "sound.gguf")
    (settings.models_dir / "broken.gguf").write_bytes((settings.models_dir / "sound.gguf").read_bytes()[:90_000])
    checks = named(list(model_checks(settings)))
    assert (checks["models"].state, checks["models"].found) == ("fine", "1 here (sound)")
    assert checks["model broken"].state == "problem"
    assert "truncated" in str(checks["model broken"].remedy)
    assert "nightjar model rm broken" in str(checks["model broken"].remedy)


def test_a_model_larger_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = shelf(tmp_path)
    write_llama(settings.models_dir / "large.gguf")
    monkeypatch.setattr(hardware, "memory_limit", lambda: 1_000)
    assert "smaller quantisation" in str(named(list(model_checks(settings)))["model large"].remedy)


def test_a_registry_that_cannot_be_read(tmp_path: Path) -> None:
    settings = shelf(tmp_path)
    settings.models_file.write_text("[[broken")
    check = named(list(model_checks(settings)))["models"]
    assert (check.state, str(settings.models_file) in str(check.remedy)) == ("problem", True)
