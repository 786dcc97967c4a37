"""Requests that schemathesis makes up of our OpenAPI document, and what their answers must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
WORKED_OUT = ("/api/runs/{name}/report", "/api/compare", "/api/trend/{name}", "/api/recommendations/models")
"""These say 503 and when to ask again, as docs/api.md has it, until they are ready."""


def documented_operations(url: str) -> list[Any]:
    """Each route of the server's document."""
    document = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    return [found.ok() for found in document.get_all_operations()]  # type: ignore[union-attr]


def make_up_requests(
    operations: Sequence[Any], token: str, examples: int, *, known: Callable[[Any], None] | None = None
) -> list[tuple[str, int]]:
    """Asks so many requests of each, and holds the answers to the document; (route, status) of each answer.

    `known`: puts names into a made-up request that exist; about half of them are put to it.
    """
    answers: list[tuple[str, int]] = []
    for operation in operations:

        @hypothesis.settings(max_examples=examples, database=None, suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy(), is_known=st.booleans())
        def one(case: Any, is_known: bool) -> None:
            if is_known and known is not None:
                known(case)
            answer = case.call(headers={"authorization": f"Bearer {token}"})
            answers.append((f"{case.operation.method.upper()} {case.operation.path}", answer.status_code))
            if case.operation.path in WORKED_OUT and answer.status_code == 503:
                assert int(answer.headers["retry-after"][0]) > 0
                return
            case.validate_response(answer, checks=CHECKS)

        one()
    return answers
