"""Speeds as a person meets them: nothing before the first reply, measured once, shown with their date, asked again."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.shell import Shell

SUITE = """{"nightjar": 1, "name": "two", "parameters": {"max_tokens": 12},
"sequences": [{"id": "a", "turns": ["Tell me a story.", "Go on."]}, {"id": "b", "turns": ["Tell me of a fox."]}]}"""


def evaluated(shell: Shell, name: str, *more: str) -> tuple[dict[str, Any], str]:
    """The model's part of the JSON report, and what the command said on standard error."""
    out = shell.folder / name
    done = shell.run(
        *("eval", "--suite", "two.json", "--model", "nightjar-demo", "--gpu", "none", "--name", name),
        *("--format", "json", "--out", str(out), *more),
        env={"NIGHTJAR_PROBE": "true", "NIGHTJAR_MODEL__THREADS": "auto"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [file] = out.glob("*.json")
    [model] = json.loads(file.read_text())["models"]
    return model, done.stderr


def events(shell: Shell, run: str) -> list[str]:
    """What the run's worker logged, by event, in order."""
    [log] = (Path(shell.environment["NIGHTJAR_HOME"]) / "logs").glob(f"worker-{run}-*.log")
    return [json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{")]


def test_speed_is_measured_after_the_first_work_and_known_from_then_on(shell: Shell) -> None:
    """One home, four evaluations: the probe of the first is that of the second; `--probe` makes a new one; and a fixed
    number of threads is another setting, of which nothing is known yet."""
    (shell.folder / "two.json").write_text(SUITE)
    first, said = evaluated(shell, "speed-first")
    order = events(shell, "speed-first")
    assert order.index("worker_ready") < order.index("first_prompt_piece") < order.index("speed_probe")
    assert first["loads"][0]["probe"] is None
    probe = first["resources"]["probe"]
    assert (probe["kind"], probe["slots"]) == ("time", first["loads"][0]["slots"])
    assert probe["prompt_tokens"] > 8
    assert probe["generated_tokens"] > 1
    assert "nightjar: nightjar-demo: " in said, "without a terminal there are lines"
    assert "Run speed-first: 1 model x 2 conversations. How long that takes will be known after three turns." in said
    second, said = evaluated(shell, "speed-second")
    assert second["loads"][0]["probe"]["measured_at"] == probe["measured_at"]
    assert "Run speed-second: 1 model x 2 conversations, " in said, "a time, by the speed and the replies of before"
    again = "speed_probe" in events(shell, "speed-second")
    assert again is probe["busy"], "only a speed that was measured beside others' work is measured again"
    third, _ = evaluated(shell, "speed-third", "--probe")
    newer = third["resources"]["probe"]["measured_at"]
    assert datetime.fromisoformat(newer) > datetime.fromisoformat(probe["measured_at"])
    never, _ = evaluated(shell, "speed-never", "--threads", "2", "--no-probe")
    assert never["resources"]["probe"] is None
    assert never["loads"][0]["threads"] == 2
