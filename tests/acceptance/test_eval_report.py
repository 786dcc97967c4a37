"""What `nightjar eval` writes at its end: the page names the baseline that its gate used; one format costs no other."""

from __future__ import annotations

from pathlib import Path

from tests.shell import PROJECT, Shell

EVAL = ("eval", "--suite", "checkable", "--model", "nightjar-demo", "--only", "small", "--set", "max_tokens=24")


def test_the_page_names_the_baseline_that_the_gate_used(shell: Shell, tmp_path: Path) -> None:
    """Its own page, written after the dispatcher's, and over it."""
    out = tmp_path / "out"
    shell.ok(*EVAL, "--name", "first", "--out", out)
    assert "No baseline has been set for this suite." in (out / "first.html").read_text("utf-8")
    shell.ok("baseline", "set", "first")
    printed = shell.ok(*EVAL, "--name", "second", "--out", out, "--fail-on-regression", "checks:0.5")
    assert "against first:nightjar-demo" in printed
    page = (out / "second.html").read_text("utf-8")
    assert "<h2>Since first</h2>" in page
    assert "No baseline has been set" not in page


def test_a_format_that_lacks_its_package_costs_the_others_nothing(shell: Shell, tmp_path: Path) -> None:
    """Without pyarrow: said before the work and after it, exit code 1; `report` does the same with 2."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pyarrow'] = None\n")
    without = {"PYTHONPATH": f"{tmp_path}:{PROJECT}"}
    out = tmp_path / "out"
    done = shell.run(*EVAL, "--name", "run", "--out", out, "-f", "html,parquet,csv", env=without)
    assert done.returncode == 1, done.stderr
    assert "Note: The format parquet needs pyarrow" in done.stdout
    assert "nightjar: Not written: parquet. The format parquet needs pyarrow" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["run.csv", "run.html"]
    again = tmp_path / "again"
    told = shell.refused("report", "run", "-f", "parquet", "-f", "json", "--out", again, env=without)
    assert "Not written: parquet." in told
    assert [path.name for path in again.iterdir()] == ["run.json"]


def test_rows_of_any_file_and_the_page_opened_at_the_end(shell: Shell, tmp_path: Path) -> None:
    """--map as `suite import` has it; the report's line is a link, and --open hands it to the browser."""
    rows, browser, opened = tmp_path / "rows.jsonl", tmp_path / "browser", tmp_path / "opened"
    rows.write_text('{"question": "Tell me of a fox.", "key": "a fox"}\n', "utf-8")
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    mapped = ("--map", "prompt=question", "--map", "answer=key")
    what = ("eval", "-s", rows, "-m", "nightjar-demo", "--set", "max_tokens=8", "--name", "rows", "--out", tmp_path)
    refused = shell.refused(*what, *mapped, "--open", "--format", "json")
    assert "--open shows the report's page; have it written, too: --format html." in refused
    printed = shell.ok(*what, *mapped, "--open", env={"BROWSER": str(browser)})
    link = (tmp_path / "rows.html").as_uri()
    assert f"Report: {link}\n" in printed
    assert opened.read_text("utf-8") == f"{link}\n"
    assert "--map is for the rows of a file" in shell.refused(*EVAL, *mapped)
