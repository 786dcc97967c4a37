"""What a person or a model wrote never becomes a control token."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.workers.conversation.special_tokens import Guard, Rendering, encode_rendering, guard_messages
from nightjar.workers.engine.fake import TURN_END, TURN_START, ByteTokenizer

SPECIALS = ByteTokenizer.special_texts
PIECES = st.sampled_from(
    [
        "<|im_start|>",
        "<|im_end|>",
        "<|im_",
        "end|>",
        "<",
        "|>",
        "<s>",
        "s>",
        "im_start",
        "a",
        " ",
        "\n",
        "\U000f0000",
        "é",
    ]
)
CONTENT = st.lists(PIECES, max_size=8).map("".join)


@given(CONTENT)
def test_wrapping_is_undone_and_keeps_its_places(content: str) -> None:
    guard = Guard.choose(SPECIALS, [content])
    rendering = guard.unwrap(guard.wrap(content))
    assert rendering.text == content
    for special in SPECIALS:
        at = content.find(special)
        while at >= 0:
            assert any(a <= at and at + len(special) <= b for a, b in rendering.guarded)
            at = content.find(special, at + 1)


@given(st.lists(CONTENT, min_size=1, max_size=4))
@settings(max_examples=100)
def test_only_the_templates_own_tokens_are_control_tokens(contents: list[str]) -> None:
    """Two a message, none from content, not even across a border; and the text is untouched."""
    tokenizer = ByteTokenizer()
    guard = Guard.choose(SPECIALS, contents)
    wrapped = guard_messages(guard, [{"role": "user", "content": text} for text in contents], "")
    rendering = guard.unwrap("".join(f"<|im_start|>{m['content']}<|im_end|>" for m in wrapped))
    ids = encode_rendering(tokenizer, rendering)
    expected: list[int] = []
    for text in contents:
        expected += [TURN_START, *text.encode(), TURN_END]
    assert ids == expected
    assert rendering.text == "".join(f"<|im_start|>{text}<|im_end|>" for text in contents)


@pytest.mark.parametrize(
    ("content", "template", "controls"),
    [
        ("<|im_end", "{}|>", 0),  # the template's next characters complete a token
        ("<|im_end  ", "{}|>", 0),
        ("im_end|>", "<|{}", 0),
        ("im_end", "<|{}|>", 0),  # the middle of one
        ("x", "<|im_end|>{}<|im_end|>", 2),
        ("<", "{}<|im_end|>", 1),  # a beginning that is none
        ("|>", "<|im_end|>{}", 1),
        ("<|im_end|>", "{0}{0}", 0),
    ],
)
def test_tokens_across_a_border(content: str, template: str, controls: int) -> None:
    guard = Guard.choose(SPECIALS, [content])
    ids = encode_rendering(ByteTokenizer(), guard.unwrap(template.format(guard.wrap(content).strip())))
    assert sum(i >= 256 for i in ids) == controls


def test_guard_characters_are_none_of_the_contents_own() -> None:
    """Content may hold any private-use character and gets it back."""
    content = "".join(map(chr, range(0xF0000, 0xF0010))) + "<|im_end|>"
    guard = Guard.choose(SPECIALS, [content])
    assert guard.left not in content
    assert guard.right not in content
    assert guard.unwrap(guard.wrap(content)).text == content


def test_a_template_that_splits_content_leaves_no_trace() -> None:
    """One of the two characters may be lost; what remains is taken out."""
    guard = Guard.choose(SPECIALS, [])
    rendering = guard.unwrap(guard.wrap("a<|im_end|>b").split("<|im_end|>")[0] + "!")
    assert rendering.text == "a!"


def test_what_an_assistant_wrote_keeps_its_markers() -> None:
    """Templates look for them; every other control token is wrapped."""
    guard = Guard.choose((*SPECIALS, "[THINK]", "[/THINK]"), [])
    content = "[THINK]a[/THINK]<|im_end|>"
    user, assistant = guard_messages(
        guard, [{"role": "user", "content": content}, {"role": "assistant", "content": content}], "[THINK][/THINK]"
    )
    assert assistant["content"].startswith("[THINK]a[/THINK]")
    assert guard.left in assistant["content"]
    assert user["content"].startswith(guard.left)


class SpacedTokenizer(ByteTokenizer):
    """Puts a space before every text and after every control token, as SentencePiece vocabularies do."""

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        ids: list[int] = []
        fresh = True
        for token in super().tokenize(text, parse_special=parse_special):
            if fresh and token < 256:
                ids.append(ord(" "))
            ids.append(token)
            fresh = token >= 256
        return ids


@pytest.mark.parametrize(
    ("text", "guarded", "start", "expected"),
    [
        ("ab<|im_end|>cd", (), 0, " ab«end» cd"),  # in one piece: as the tokenizer does it
        ("ab<|im_end|>cd", (), 1, "b«end» cd"),  # going on from text: no space
        ("ab<|im_end|>cd", (), 2, "«end» cd"),
        ("ab<|im_end|>cd", ((2, 12),), 0, " ab<|im_end|>cd"),  # typed by a person: plain text, in one stretch
        ("ab<|im_end|>cd", ((2, 12),), 1, "b<|im_end|>cd"),
        ("<s><|im_end|>cd<|im_end|>", ((3, 13),), 0, "«s» <|im_end|>cd«end»"),  # after a real one: space again
        ("ab", (), 2, ""),
    ],
)
def test_pieces_join_as_the_whole_would(
    text: str,
    guarded: tuple[tuple[int, int], ...],
    start: int,
    expected: str,
    written: Callable[[Sequence[int]], str],
) -> None:
    ids = encode_rendering(SpacedTokenizer(), Rendering(text=text, guarded=guarded), start)
    assert written(ids) == expected


def test_plain_renderings_have_no_control_tokens(written: Callable[[Sequence[int]], str]) -> None:
    """Completion mode: every text comes from a person or a model."""
    assert written(encode_rendering(ByteTokenizer(), Rendering(text="a<|im_end|>", plain=True))) == "a<|im_end|>"
