"""Choosing the card a worker is pinned to."""

from __future__ import annotations

import pytest

from nightjar.config.errors import UsageError
from nightjar.workers.process.gpus import Card, choose_pins

CARDS = [
    Card(index="0", uuid="GPU-aaaa1111", name="NVIDIA L4", memory_bytes=1),
    Card(index="1", uuid="GPU-bbbb2222", name="NVIDIA L4", memory_bytes=1),
    Card(index="2:0", uuid="MIG-cccc3333", name="NVIDIA H100 MIG", memory_bytes=None),
]


@pytest.mark.parametrize(
    ("wanted", "gpus"),
    [
        (None, ["GPU-aaaa1111", "GPU-bbbb2222", "MIG-cccc3333"]),  # every card, a process each
        ("1", ["GPU-bbbb2222"]),
        ("GPU-bbbb2222", ["GPU-bbbb2222"]),
        ("GPU-b", ["GPU-bbbb2222"]),  # the beginning of a UUID
        ("2:0", ["MIG-cccc3333"]),
        ("0, 1", ["GPU-aaaa1111", "GPU-bbbb2222"]),
        ("none", ["none"]),
    ],
)
def test_choice(wanted: str | None, gpus: list[str]) -> None:
    assert [pin.gpu for pin in choose_pins(wanted, CARDS)] == gpus


def test_the_environment_is_pinned_before_anything_touches_cuda() -> None:
    assert choose_pins("1", CARDS)[0].environment() == {"CUDA_VISIBLE_DEVICES": "GPU-bbbb2222"}
    assert choose_pins("none", CARDS)[0].environment() == {"CUDA_VISIBLE_DEVICES": ""}
    assert choose_pins(None, [])[0].environment() == {}, "nothing is hidden where nothing was chosen: Metal, say"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("7", "0: NVIDIA L4, GPU-aaaa1111; 1: NVIDIA L4"),  # the list says what is here
        ("GPU-", "is not a card"),  # too short to name one
        ("0,GPU-aaaa1111", "twice"),
    ],
)
def test_refusal(wanted: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_pins(wanted, CARDS)


def test_refusal_without_any_card() -> None:
    with pytest.raises(UsageError, match="No NVIDIA card"):
        choose_pins("0", [])
