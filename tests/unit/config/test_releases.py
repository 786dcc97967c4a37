"""How old a server's program is, and whose data it may open."""

from __future__ import annotations

from datetime import date

import pytest

from nightjar.config.releases import age, between

TODAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("program", "version", "said"),
    [
        ("mongod", "6.0.5", "of 2023-03, 3.7 years old"),  # the one that comes in a package
        ("redis-server", "6.2.14", "of 2023-10, 3.2 years old"),
        ("mongod", "8.0.4", "series 8.0 of 2024-10, 2.2 years old"),
        ("mongod", "12.0.1", None),
        ("mongod", "unknown", None),
    ],
)
def test_age(program: str, version: str, said: str | None) -> None:
    assert age(program, version, TODAY) == said


@pytest.mark.parametrize(
    ("last", "now", "through"),
    [
        ("6.0.5", "6.0.21", "6.0"),
        ("6.0.21", "6.0.5", "6.0"),  # an older patch of the same series
        ("6.0.5", "7.0.14", "7.0"),
        ("4.4.1", "5.0.3", "5.0"),
        ("6.0.5", "8.0.4", "7.0"),  # two steps: the first is named
        ("7.0.1", "6.0.5", None),  # newer data
        ("6.0.5", "6.1.0", None),  # a series that is not known
        ("unknown", "6.0.5", None),
    ],
)
def test_the_way_from_one_version_to_another(last: str, now: str, through: str | None) -> None:
    assert between(last, now) == through
