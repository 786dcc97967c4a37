"""Lines of llama.cpp as they leave a worker: no control characters, no secret, no folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.jobs.console_lines import LONGEST_LINE, plain_line


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("llama_model_loader: loaded 29 tensors", "llama_model_loader: loaded 29 tensors"),
        ("loading /home/ann/models/m.gguf (version 3)", "loading m.gguf (version 3)"),
        ("from '~/models/m.gguf'", "from 'm.gguf'"),
        ("from ../a/b/m.gguf, ./c/d", "from m.gguf, d"),
        ("models/story/m.gguf", "m.gguf"),
        ("path=/opt/x", "path=x"),
        ("97 tokens/s, 3/4 of it", "97 tokens/s, 3/4 of it"),  # no paths
        ("\x1b[31mred\x1b[0m\x07 \u202egnp", "red gnp"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer ***"),
        ("x" * 600, "x" * LONGEST_LINE + "..."),
    ],
)
def test_a_line_is_plain(said: str, shown: str) -> None:
    assert plain_line(said) == shown


@given(st.text())
def test_nothing_controls_a_terminal(text: str) -> None:
    assert not set(plain_line(text)) & {*map(chr, range(32)), "\x7f", "\x9b", "\u202e", "\u2066"}
