"""The report's line is a link, and --open shows the page."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from nightjar.config.errors import UsageError
from nightjar.scripts.views.report_link import check_opens, link, open_page


def test_a_link_holds_what_a_path_may_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal ends a link at a space."""
    monkeypatch.chdir(tmp_path)
    assert link(Path("my reports/ä.html")) == f"{tmp_path.as_uri()}/my%20reports/%C3%A4.html"


def test_the_page_is_opened_and_no_other_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def show(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    open_page([tmp_path / "a.json", tmp_path / "a.html", tmp_path / "a.md"])
    assert opened == [f"{tmp_path.as_uri()}/a.html"]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    open_page([tmp_path / "a.html"])
    assert f"no browser was found here; {tmp_path.as_uri()}/a.html is the page" in capsys.readouterr().err


def test_what_has_no_page_is_refused_before_the_work() -> None:
    check_opens(["json", "html"])
    with pytest.raises(UsageError, match="--format html"):
        check_opens(["json"])
