"""Doctor: what `nightjar doctor` says of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.pipeline.report.page.grid import Cell
from nightjar.web.auth.roles import Action
from nightjar.web.pages.declare import Visit, page
from nightjar.web.pages.words import made_table
from nightjar.web.sheet import Link, Said, Section, Sheet
from nightjar.web.site import MachineCheck

PATIENCE_S = 0.15
LOOKING = "The machine is being looked at; the page shows it as soon as that is done."


async def build_doctor(visit: Visit) -> Sheet:
    """Problems first."""
    checks: Sequence[MachineCheck] | None = ()
    if visit.site.checks is not None:
        checks = await visit.site.checks.look(PATIENCE_S)
    if checks is None:
        return Sheet(title="Doctor", live=True, said=(Said(text=LOOKING),))
    order = {"problem": 0, "warning": 1}
    ordered = sorted(checks, key=lambda check: order.get(check.state, 2))
    problems = sum(check.state == "problem" for check in checks)
    return Sheet(
        title="Doctor",
        links=(Link(text="Cleanup", href="/doctor/cleanup"),) if visit.visitor.can(Action.RUN) else (),
        lead=f"Problems: {problems}." if problems else "No problem was found." if checks else "",
        sections=(
            Section(
                id="checks-section",
                heading="Checks",
                table=made_table("checks", ("check", "state", "found", "what to do"), map(_row, ordered)),
                empty="This server cannot look at its machine; `nightjar doctor` does.",
            ),
        ),
    )


def _row(check: MachineCheck) -> tuple[Cell | str, ...]:
    return check.name, Cell(text=check.state, alert=check.state != "fine"), check.found, check.remedy or ""


ROUTES = (page("/doctor", "sheet.html", Sheet, build_doctor),)
