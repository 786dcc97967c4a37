"""Made-up requests of somebody who may change everything, in a home of their own: each does as the document says."""

from __future__ import annotations

from typing import Any

from tests.home import Home
from tests.made_up_requests import WORKED_OUT, documented_operations, make_up_requests

WITHIN_S = 120.0
EXAMPLES = 8
"""Of each route below /api; about half of them name what is there."""
CHANGING = {f"POST /api/runs/{{name}}/{word}" for word in ("pause", "resume", "cancel", "retry")} | {"POST /api/runs"}


def test_changing_routes_answer_as_the_openapi_document_says(home: Home) -> None:
    """Never a fault of ours; statuses, types and bodies as documented; and things are really changed."""
    home.ok("services", "up")
    for name in ("night", "day"):
        home.ok("enqueue", "--suite", "story-starters", "--model", "nightjar-demo", "--name", name, "--limit", "1")
    token = home.ok("token", "add", "all", "--scope", "admin").strip()

    def known(case: Any) -> None:
        if "name" in (case.path_parameters or {}):
            name = "day" if case.operation.path.endswith("/retry") else "night"  # which is cancelled by then
            case.path_parameters = {**case.path_parameters, "name": name}
        if isinstance(case.body, dict) and case.operation.path == "/api/runs":
            case.body = {"suite": "story-starters", "models": ["nightjar-demo"], "limit": 1}

    with home.start_serve(within_s=WITHIN_S) as client:
        operations = [
            each
            for each in documented_operations(str(client.base_url))
            if each.path.startswith("/api") and each.path not in WORKED_OUT
        ]
        answers = make_up_requests(operations, token, EXAMPLES, known=known)
    assert {route for route, status in answers if status in (401, 403)} == set(), "the token may do everything"
    assert {route for route, status in answers if status < 300} >= {*CHANGING, "GET /api/runs", "GET /api/suites"}
    entries = home.find("audit")
    changed = [route for route, _ in answers if route in CHANGING]
    assert len(entries) >= len(changed) / 2
    by_http = {entry["who"] for entry in entries if not entry["who"].endswith("(command line)")}  # which made the token
    assert by_http == {"owner (token all)"}
