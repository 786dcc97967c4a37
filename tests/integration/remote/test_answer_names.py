"""A model at an endpoint that answers under another name: told in report, comparison, overview and log."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from nightjar.jobs.answer_names import AnswersNamed, name_notices
from nightjar.jobs.documents import Run
from nightjar.jobs.money.spending import answers_named
from nightjar.jobs.states import RunStatus
from nightjar.jobs.status.overview import read_overview
from nightjar.jobs.status.views import ServiceState
from nightjar.pipeline.collect.aggregates import pack, unpack
from nightjar.pipeline.collect.collector import collect
from nightjar.pipeline.compare.changes import changes
from nightjar.pipeline.compare.comparison import compare_sides, pair_up, sides
from tests.fake_endpoint import MODEL_AT_FAKE, FakeEndpoint
from tests.integration.remote.conftest import register, serve_cloud
from tests.integration.remote.test_remote_worker import begin
from tests.workbench import Bench, until

BEGAN = datetime(2026, 11, 30, 21, tzinfo=UTC)


def answers(
    name: str | None, fingerprint: str | None = None, *, after_min: int = 0, model: str = "cloud"
) -> AnswersNamed:
    since = BEGAN + timedelta(minutes=after_min)
    return AnswersNamed(model=model, asked="large", name=name, fingerprint=fingerprint, requests=2, since=since)


@pytest.mark.parametrize(
    ("named", "changed", "says"),
    [
        ([answers("large")], None, ""),  # as it was asked for
        ([answers(None)], None, ""),  # it says nothing of itself
        ([answers("large-2026")], False, "cloud is asked for as large, and its answers name large-2026."),
        (
            [answers("large"), answers("small", after_min=5)],
            True,
            "large, 2 requests from 2026-11-30 21:00 UTC; small, ",
        ),
        ([answers("large", "fp_1"), answers("large", "fp_2", after_min=5)], True, "large (fp_1), 2 requests"),
        ([answers("large", "fp_1"), answers("large")], None, ""),  # one answer lacks it: that is no change
        ([answers(f"v{n}", after_min=n) for n in range(7)], True, "and 3 other names"),
        ([answers("large"), answers("other", model="critic")], False, "critic is asked for as large"),
    ],
)
def test_what_is_said_of_names(named: list[AnswersNamed], changed: bool | None, says: str) -> None:
    notices = name_notices(named)
    assert [notice.changed for notice in notices] == ([] if changed is None else [changed])
    assert all(says in notice.text for notice in notices)


async def worked(bench: Bench, run: Run) -> None:
    async def is_done() -> bool:
        now = await Run.get(run.id)
        return now is not None and now.status is RunStatus.DONE

    async with bench.dispatching():
        assert await serve_cloud(bench) == 0
        await until(is_done, within_s=60)


async def test_a_model_that_changes_in_the_middle_is_told_everywhere(bench: Bench, fake: FakeEndpoint) -> None:
    register(bench, fake, load={"slots": 1})
    fake.faults = deque(["fine", "other model", "fine", "fine"])
    run = await begin(bench)
    with capture_logs() as logs:
        await worked(bench, run)
    named = (await answers_named([run.id], bench.database))[run.id]
    assert {(each.name, each.requests) for each in named} == {(MODEL_AT_FAKE, 3), ("somebody-else", 1)}
    assert [entry["event"] for entry in logs].count("remote_model_changed") == 1
    report = await collect(run.id, bench.database)
    [notice] = [notice for notice in report.notices if "somebody-else" in notice.text]
    assert notice.level == "warning"
    assert f"{MODEL_AT_FAKE}, 3 requests" in notice.text
    assert unpack(pack(report)).answers == report.answers
    [view] = (await read_overview(bench.database, ServiceState(ok=True), run_id=run.id)).runs
    assert view.names == (notice.text,)


async def test_another_name_than_asked_for_and_than_in_the_run_before(bench: Bench, fake: FakeEndpoint) -> None:
    """Under a name that stays, a run by itself is well; beside one of before it may be of another model."""
    register(bench, fake)
    fake.model = "fake-large-2026-11-30"
    run = await begin(bench, sequences=1, turns=1)
    with capture_logs() as logs:
        await worked(bench, run)
    assert [entry["asked"] for entry in logs if entry["event"] == "remote_model_named_otherwise"] == [MODEL_AT_FAKE]
    report = await collect(run.id, bench.database)
    [notice] = [notice for notice in report.notices if "2026-11-30" in notice.text]
    assert notice.level == "info"
    assert notice.text == f"cloud is asked for as {MODEL_AT_FAKE}, and its answers name {fake.model}."
    [only] = report.answers
    before = replace(report, answers=(replace(only, name=MODEL_AT_FAKE, fingerprint="fp_1"),))
    ((one, two),) = pair_up(sides(before, None), sides(report, None))
    [said] = [text for text in compare_sides(one, two).notices if "It may be another model" in text]
    assert f"{MODEL_AT_FAKE} (fp_1)" in said
    assert "fake-large-2026-11-30" in said
    assert not [text for text in compare_sides(two, two).notices if "another model" in text]
    [of_model] = changes(before, report).models
    assert [(mark.what, mark.before) for mark in of_model.marks] == [("answered by", f"{MODEL_AT_FAKE} (fp_1)")]
