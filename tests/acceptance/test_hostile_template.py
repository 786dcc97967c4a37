"""A chat template that ends the process that renders it, in the commands that use it: they say so and go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from nightjar import config
from tests.shell import Shell

DEMO = Path(config.__file__).parent / "models" / "nightjar-demo.gguf"
DEEP = (
    "{% set n = namespace(t=()) %}{% for a in range(30000) %}"
    "{% set n.t = ((((((((((n.t,),),),),),),),),),) %}{% endfor %}{{ {n.t: 1} | length }}"
)
"""Hashing a tuple 300,000 deep takes more stack than there is."""


def with_template(shell: Shell, folder: Path) -> Shell:
    """The commands with a registry in which the demo model has this template."""
    (folder / "deep.jinja").write_text(DEEP)
    registry = folder / "models.toml"
    registry.write_text(f'[deep]\npath = "{DEMO}"\ntemplate = "deep.jinja"\n')
    return replace(shell, environment={**shell.environment, "NIGHTJAR_MODELS_FILE": str(registry)})


def test_try_refuses_it(shell: Shell, tmp_path: Path) -> None:
    """At 3cd5fd2 the process ended by SIGSEGV, without a word."""
    said = with_template(shell, tmp_path).refused("try", "--model", "deep", "--gpu", "none", "Hi", code=1)
    assert "The chat template" in said
    assert "models.toml" in said


def test_an_evaluation_with_it_ends_and_says_why(shell: Shell, tmp_path: Path) -> None:
    """Its jobs are DEAD with the reason, and no worker has died."""
    hostile = with_template(shell, tmp_path)
    suite = tmp_path / "s.yaml"
    suite.write_text("nightjar: 1\nname: s\nsequences: [{id: a, turns: [Hi]}, {id: b, turns: [Ho]}]\n")
    done = hostile.run("eval", "--suite", suite, "--model", "deep", "--gpu", "none", "--slots", "1", "--name", "r")
    assert done.returncode == 1, done.stderr
    written = hostile.ok("report", "r", "--format", "json").splitlines()[-1]
    jobs = json.loads(Path(written).read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["DEAD", "DEAD"]
    assert all("The chat template" in job["reason"] for job in jobs)
    assert [job["crashes"] for job in jobs] == [0, 0]
