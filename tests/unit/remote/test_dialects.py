"""What each kind of server is sent."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.parameters import Parameters
from nightjar.jobs.remote_models import Dialect
from nightjar.workers.remote.dialects import chat_body


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),  # -1 is the whole context, which it is without a number, too: newer llama-servers refuse -1
        ({"dry_penalty_last_n": 0}, {"dry_penalty_last_n": 0}),
        ({"dry_penalty_last_n": 256}, {"dry_penalty_last_n": 256}),
    ],
)
def test_a_window_of_the_whole_context_is_not_sent_as_a_number(given: dict[str, Any], sent: dict[str, Any]) -> None:
    body = chat_body(Dialect.LLAMA_SERVER, "m", [], Parameters(**given), seed=1)
    assert {key: value for key, value in body.items() if key == "dry_penalty_last_n"} == sent
