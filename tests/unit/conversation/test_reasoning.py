"""Reasoning blocks: found, split off, counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.conversation.reasoning import (
    KNOWN,
    Markers,
    Split,
    detect,
    is_open,
    reasoning_tokens,
    split,
    written_text,
)
from nightjar.workers.engine.fake import ByteTokenizer

THINK = Markers(open="<think>", close="</think>")


@pytest.mark.parametrize(
    ("raw", "opened", "reply", "reasoning", "unclosed"),
    [
        ("Hello.", False, "Hello.", "", False),
        ("<think>Hm.</think>Hello.", False, "Hello.", "Hm.", False),
        ("\n<think>\nHm.\n</think>\n\nHello.\n", False, "Hello.\n", "Hm.", False),
        ("Hm.</think>Hello.", True, "Hello.", "Hm.", False),  # the prompt opened the block
        ("Hm.</think>Hello.", False, "Hello.", "Hm.", False),  # opened unseen
        ("Hm, still", True, "", "Hm, still", True),
        ("<think>Hm, still", False, "", "Hm, still", True),
        ("<think>a</think><think>b</think>c", False, "c", "a\n\nb", False),
        ("<think>a</think> <think>b", False, "", "a\n\nb", True),
        ("<think></think>Hello", False, "Hello", "", False),  # an empty block
        ("<think>\n\n</think>\n\n", False, "", "", False),  # nothing at all
        ("The tag <think> begins it.", False, "The tag <think> begins it.", "", False),  # a story about a tag
        ("One <think>two</think> three", False, "One  three", "two", False),
        ("<think>a <think> b</think>c", False, "c", "a <think> b", False),  # a marker inside the thoughts
        ("<think>a</think>b</think>c", False, "b</think>c", "a", False),  # a closing marker too many
        ("  Indented reply", False, "  Indented reply", "", False),  # nothing is trimmed without a block
        ("", False, "", "", False),
        ("", True, "", "", True),
    ],
)
def test_split(raw: str, opened: bool, reply: str, reasoning: str, unclosed: bool) -> None:
    parts = split(raw, THINK, opened=opened)
    assert (parts.reply, parts.reasoning, parts.unclosed) == (reply, reasoning, unclosed)


def test_without_markers_all_is_reply() -> None:
    assert split("<think>a</think>b", None, opened=True) == Split(reply="<think>a</think>b")


def test_harmony_replies_without_thoughts_lose_their_lead() -> None:
    """A channel name is not part of the reply."""
    harmony = KNOWN[0]
    assert split(harmony.lead + "Hello.", harmony).reply == "Hello."
    thinking = f"{harmony.open}Hm.{harmony.close}Hello."
    assert split(thinking, harmony).reply == "Hello."
    assert split(thinking, harmony).reasoning == "Hm."


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "\n", "<", "think>", "b c"])), st.booleans())
def test_split_never_loses_text(pieces: list[str], opened: bool) -> None:
    """Blocks and reply together are the raw text; spans lie in order and apart."""
    raw = "".join(pieces)
    parts = split(raw, THINK, opened=opened)
    borders = [border for span in parts.spans for border in span]
    assert borders == sorted(borders)
    outside = "".join(raw[a:b] for a, b in zip([0, *borders[1::2]], [*borders[::2], len(raw)], strict=True))
    assert parts.reply == (outside.lstrip() if parts.spans else raw)
    inside = "".join(raw[a:b] for a, b in parts.spans)
    thoughts = "".join(parts.reasoning.split())
    assert all(character in inside for character in thoughts)
    plain = "".join(raw[a:b].removeprefix("<think>").removesuffix("</think>") for a, b in parts.spans)
    assert "".join(plain.split()) == thoughts


@pytest.mark.parametrize(
    ("template", "opening"),
    [
        ("{{ '<think>' }}...</think>", "<think>"),
        ("[THINK] [/THINK]", "[THINK]"),
        ("<think></think> <|channel|>analysis<|message|> final<|message|>", "<|channel|>analysis<|message|>"),
        ("content.split('</think>')", None),  # speaks of the end only
        ("plain", None),
    ],
)
def test_detect(template: str, opening: str | None) -> None:
    found = detect(template)
    assert (found.open if found else None) == opening


def test_is_open() -> None:
    assert is_open("<|im_start|>assistant\n<think>\n", THINK)
    assert not is_open("<|im_start|>assistant\n<think>\n\n</think>\n\n", THINK)
    assert not is_open("<|im_start|>assistant\n", THINK)
    assert not is_open("<think>\n", None)


class MarkedTokenizer(ByteTokenizer):
    """A byte tokenizer whose reasoning markers are control tokens: they have no text."""

    special_texts = (*ByteTokenizer.special_texts, "[T]", "[/T]")

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        for number, mark in ((300, "[T]"), (301, "[/T]")):
            if parse_special and mark in text:
                before, _, after = text.partition(mark)
                return [*self.tokenize(before, parse_special=True), number, *self.tokenize(after, parse_special=True)]
        return super().tokenize(text, parse_special=parse_special)


def test_markers_without_text_are_written_out() -> None:
    """Control tokens render as nothing; the split still sees the block, and a stop string's cut stays cut."""
    markers = Markers(open="[T]", close="[/T]")
    ids = [300, *b"Hm.", 301, *b"Hello, STOP"]
    raw = written_text(ids, "Hm.Hello, ", markers, MarkedTokenizer())
    assert raw == "[T]Hm.[/T]Hello, "
    parts = split(raw, markers)
    assert (parts.reasoning, parts.reply) == ("Hm.", "Hello, ")
    assert reasoning_tokens(ids, parts, markers, MarkedTokenizer()) == 5


def test_markers_with_text_leave_the_text_alone() -> None:
    assert written_text(list(b"<think>a</think>b"), "given", THINK, ByteTokenizer()) == "given"


@given(st.text(max_size=12).filter(lambda t: "<" not in t), st.text(max_size=12).filter(lambda t: "<" not in t))
def test_reasoning_tokens_are_counted_by_place(thoughts: str, reply: str) -> None:
    """With a byte a token, as many as the block has bytes."""
    block = f"<think>{thoughts}</think>"
    raw = block + reply
    ids = list(raw.encode("utf-8", "surrogatepass"))
    if bytes(ids).decode("utf-8", "replace") != raw:  # lone surrogates have no text
        return
    assert reasoning_tokens(ids, split(raw, THINK), THINK, ByteTokenizer()) == len(block.encode())
