"""Which samplers a request gets, in which order, and how far its penalties look back."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.sampling import remembered_tokens, stages

OFF: dict[str, Any] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""No cuts: only what a case adds."""


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({}, "top_k top_p min_p temp dist"),  # the defaults
        (OFF, "temp dist"),  # what would change nothing is left out
        ({"temperature": 0}, "greedy"),  # cuts cannot change which is likeliest
        (OFF | {"temperature": 0, "logit_bias": {5: 1.0}, "repeat_penalty": 1.1}, "logit_bias penalties greedy"),
        (OFF | {"typical_p": 0.9}, "typical temp dist"),
        (OFF | {"xtc_probability": 0.5}, "xtc temp dist"),
        (OFF | {"dry_multiplier": 0.8}, "dry temp dist"),
        (OFF | {"dry_multiplier": 0.8, "dry_penalty_last_n": 0}, "temp dist"),  # it would look at nothing
        (OFF | {"repeat_penalty": 1.1, "repeat_last_n": 0}, "temp dist"),
        (OFF | {"frequency_penalty": 0.5}, "penalties temp dist"),
        (OFF | {"presence_penalty": -0.5}, "penalties temp dist"),
        (
            {
                "logit_bias": {5: 1.0},
                "repeat_penalty": 1.1,
                "dry_multiplier": 1,
                "typical_p": 0.9,
                "xtc_probability": 1,
            },
            "logit_bias penalties dry top_k typical top_p min_p xtc temp dist",  # llama.cpp's own order
        ),
    ],
)
def test_the_chain(parameters: dict[str, Any], names: str) -> None:
    assert " ".join(stage.name for stage in stages(Parameters(**parameters), 1, 512)) == names


def test_arguments_are_the_parameters() -> None:
    found = {stage.name: stage.arguments for stage in stages(Parameters(top_k=7, temperature=0.5), 9, 512)}
    assert found == {"top_k": (7,), "top_p": (0.95, 1), "min_p": (0.05, 1), "temp": (0.5,), "dist": (9,)}


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [
        ({}, 0),
        ({"repeat_last_n": 64}, 0),  # a window without a penalty
        ({"repeat_penalty": 1.1}, 64),
        ({"repeat_penalty": 1.1, "repeat_last_n": -1}, 512),  # -1: the whole context
        ({"dry_multiplier": 0.8}, 512),
        ({"dry_multiplier": 0.8, "dry_penalty_last_n": 20, "frequency_penalty": 1}, 64),  # the longer of both
    ],
)
def test_how_far_penalties_look_back(parameters: dict[str, Any], tokens: int) -> None:
    assert remembered_tokens(Parameters(**parameters), 512) == tokens
