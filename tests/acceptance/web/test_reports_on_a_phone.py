"""Report pages in a real browser at 390 px: nothing is wider than the window, whatever the texts are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from nightjar.jobs.sequences import Sequence
from nightjar.pipeline.exports.write import render
from nightjar.pipeline.report.page.fidelity_page import render_fidelity
from nightjar.pipeline.report.page.trend_page import render_trend
from tests import factories
from tests.browser import CHROMIUM, Watched, picture
from tests.unit.compare.test_drift import held
from tests.unit.report.test_judged_report import judged_report
from tests.unit.report.test_trend import changed, night, of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
PHONE = {"width": 390, "height": 844}
WIDEST = """() => [...document.querySelectorAll("body *")]
    .filter(each => Math.max(each.getBoundingClientRect().right, each.scrollWidth) > innerWidth + 1)
    .filter(each => !each.closest(".scroll, svg"))
    .slice(0, 5).map(each => each.outerHTML.slice(0, 160))"""


def page_of(report: object) -> str:
    text = render(report, "html")  # type: ignore[arg-type]
    return text if isinstance(text, str) else text.decode()


def unbroken() -> str:
    """Names and words without a place to break them."""
    long = "x" * 120
    about = [
        Sequence.model_validate(
            {
                "id": f"s-{'y' * 50}-{n}",
                "tags": [f"tag-{'z' * 50}"],
                "system": long,
                "turns": [{"prompt": long, "expect": [{"check": "includes", "value": long}]}] * 2,
            }
        )
        for n in range(3)
    ]
    models = [f"{name}-{'q' * 90}.Q4_K_M" for name in ("amber", "basalt")]
    jobs = [factories.row(sequence, [long, "short"], model=model) for model in models for sequence in about]
    return page_of(factories.report_of(jobs, about))


def of_nights() -> str:
    return render_trend(of(night(1), night(2), night(3, changed(factories.synthetic_report()))), {"nightly-02.html"})


def of_fidelity() -> str:
    fidelity = held().fidelity
    assert fidelity is not None
    return render_fidelity(fidelity)


@pytest.mark.parametrize(
    "page",
    [
        lambda: page_of(factories.synthetic_report()),  # several models, failures, hostile texts
        lambda: page_of(judged_report()),  # with verdicts and their reasons
        lambda: page_of(held()),  # with a section on fidelity
        unbroken,
        of_nights,
        of_fidelity,
    ],
    ids=["report", "judged", "held", "unbroken", "trend", "fidelity"],
)
def test_no_report_is_wider_than_a_phone(
    browser: Browser, tmp_path: Path, page: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    """Tables scroll by themselves; also with every transcript and table of data open."""
    (tmp_path / "page.html").write_text(page(), encoding="utf-8")
    watched = Watched.open(browser, tmp_path.as_uri(), viewport=PHONE)
    watched.go("/page.html")
    for step in ("closed", "open"):
        if step == "open":
            watched.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], f"{step}: {wide} wide: {watched.page.evaluate(WIDEST)}"
        if step == "closed":  # open, a picture of all of it takes minutes
            picture(watched.page, f"report-390-{request.node.callspec.id}")
    watched.check("the report")
    watched.page.context.close()
