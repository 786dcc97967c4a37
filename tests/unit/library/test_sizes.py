"""Sizes as users write and read them."""

from __future__ import annotations

import pytest

from nightjar.config.errors import UsageError
from nightjar.scripts.views.model_recommend import parse_size
from nightjar.scripts.views.models import decimal_size


@pytest.mark.parametrize(
    ("text", "count"),
    [("8GB", 8 * 10**9), ("8 gib", 8 * 2**30), ("1.5g", 1_500_000_000), ("512MB", 512 * 10**6), ("0", 0), ("7", 7)],
)
def test_sizes_that_people_write(text: str, count: int) -> None:
    """Powers of 1,000, and of 1,024 with an i."""
    assert parse_size(text, "--ram") == count


@pytest.mark.parametrize("text", ["", "GB", "8XB", "-1GB", "1.2.3GB", "eight"])
def test_what_is_no_size(text: str) -> None:
    """Refused, with the option's name."""
    with pytest.raises(UsageError, match="--ram"):
        parse_size(text, "--ram")


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, None), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_107_104, "2.1 MB"), (4_920_739_232, "4.92 GB")],
)
def test_sizes_that_people_read(count: int | None, text: str | None) -> None:
    """None stays None: missing is not zero."""
    assert decimal_size(count) == text
