"""Sentences on pages: what is typed somewhere is marked as code, and everything else is text."""

from __future__ import annotations

import pytest

from nightjar.web.render import coded


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("None: `nightjar demo` makes one.", "None: <code>nightjar demo</code> makes one."),
        ("a `<b>` and \u202e", "a <code>&lt;b&gt;</code> and [U+202E]"),
        ("an odd ` one <i>", "an odd ` one &lt;i&gt;"),
        ("", ""),
    ],
)
def test_what_is_typed_is_code(text: str, shown: str) -> None:
    assert str(coded(text)) == shown
