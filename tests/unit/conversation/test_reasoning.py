"""Reasoning blocks: found by tokens and by text, split off, counted. One table for all families of models."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.workers.conversation.reasoning import Split, is_open, split, split_so_far, split_tokens
from nightjar.workers.engine.fake import ByteTokenizer
from nightjar.workers.engine.markers import HARMONY, KNOWN, Markers, detect

THINK = Markers(open="<think>", close="</think>")
GEMMA = Markers(open="<|channel>thought", close="<channel|>")


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
        ("One <think>two</think> three", False, "One <think>two</think> three", "", False),  # an answer about both
        ("<think>a</think>Write <think>b</think>.", False, "Write <think>b</think>.", "a", False),  # after thoughts too
        ("It ends with `</think>`, always.", False, "It ends with `</think>`, always.", "", False),  # quoted
        ("<think>a <think> b</think>c", False, "c", "a <think> b", False),  # a marker inside the thoughts
        ("<think>a</think>b</think>c", False, "b</think>c", "a", False),  # a closing marker too many
        ("  Indented reply", False, "  Indented reply", "", False),  # nothing is trimmed without a block
        ("", False, "", "", False),
        ("", True, "", "", True),
    ],
)
def test_split(raw: str, opened: bool, reply: str, reasoning: str, unclosed: bool) -> None:
    """Where only the text is known."""
    parts = split(raw, THINK, opened=opened)
    assert (parts.reply, parts.reasoning, parts.unclosed) == (reply, reasoning, unclosed)


@pytest.mark.parametrize(
    ("raw", "opened"),
    [
        ("Hello. 1 < 2", False),
        ("<think>Hm.</think>Hello.", False),
        ("\n<think>\nHm.\n</think>\n\nHello.\n", False),
        ("Hm.</think>Hello.", True),
        ("<think>a</think> <think>b</think>c", False),
        ("  Indented <reply", False),
    ],
)
def test_a_growing_reply_is_split_as_the_whole_one(raw: str, opened: bool) -> None:
    """Character by character: what is there stays, nothing of a marker shows, and the end is what `split` says."""
    before = ("", "")
    for length in range(len(raw) + 1):
        now = split_so_far(raw[:length], THINK, opened=opened)
        assert all(text.startswith(known) for text, known in zip(now, before, strict=True)), raw[:length]
        assert not any("<think" in text or "</" in text for text in now)
        before = now
    whole = split(raw, THINK, opened=opened)
    assert all(text.startswith(known) for text, known in zip((whole.reasoning, whole.reply), before, strict=True))
    assert len(whole.reply) - len(before[1]) < len(THINK.close)


def test_without_markers_all_is_reply() -> None:
    text = "<think>a</think>b"
    assert split(text, None, opened=True) == Split(raw=text, reply=text)


class MarkedTokenizer(ByteTokenizer):
    """A byte tokenizer with more tokens: `controls` have no text, `words` have (Qwen's markers are such)."""

    def __init__(self, *, controls: Sequence[str] = (), words: Sequence[str] = ()) -> None:
        self.special_texts = tuple(controls)
        self._more = {300 + n: text for n, text in enumerate([*controls, *words])}

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        ids = {text: token for token, text in self._more.items()}
        if not ids or not parse_special:
            return list(text.encode())
        parts = re.split("(" + "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) + ")", text)
        return [token for part in parts for token in ([ids[part]] if part in ids else part.encode())]

    def detokenize(self, ids: Sequence[int]) -> str:
        def piece(token: int) -> bytes:
            return bytes([token]) if token < 256 else self._visible(token).encode()

        return b"".join(map(piece, ids)).decode("utf-8", "replace")

    def _visible(self, token: int) -> str:
        text = self._more[token]
        return "" if text in self.special_texts else text

    def reply(self, written: str) -> list[int]:
        """Ids of a reply in which {…} is one token, and all else is spelled out."""
        parts = re.split(r"\{(.*?)\}", written)
        return [token for n, part in enumerate(parts) for token in self.tokenize(part, parse_special=n % 2 == 1)]


WORDS = MarkedTokenizer(words=["<think>", "</think>"])  # Qwen 3, R1 distills
CONTROLS = MarkedTokenizer(controls=["[THINK]", "[/THINK]"])  # Mistral
CHANNELS = MarkedTokenizer(controls=["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|constrain|>"])  # gpt-oss
TURNS = MarkedTokenizer(controls=["<|channel>", "<channel|>"])  # Gemma
MISTRAL = Markers(open="[THINK]", close="[/THINK]")
A = "{<|channel|>}analysis{<|message|>}"
AB = "a\n\nb"
TO = "{<|end|>}{<|start|>}assistant{<|channel|>}"


@pytest.mark.parametrize(
    ("markers", "tokenizer", "written", "opened", "reply", "reasoning"),
    [
        # markers that are words of the vocabulary: the spelling in other tokens is text, in thoughts and in answers
        (THINK, WORDS, "{<think>}Hm.{</think>}\n\nYes.", False, "Yes.", "Hm."),
        (THINK, WORDS, "{<think>}Or </think>?{</think>}Use </think>.", False, "Use </think>.", "Or </think>?"),
        (THINK, WORDS, "Hm.{</think>}Yes.", True, "Yes.", "Hm."),
        (THINK, WORDS, "Hm.{</think>}Yes.", False, "Yes.", "Hm."),  # first R1 distills: nobody opened it in writing
        (THINK, WORDS, "Write {<think>} and {</think>}.", False, "Write <think> and </think>.", ""),  # spoken of
        (THINK, WORDS, "<think>Hm.</think>Yes.", False, "Yes.", "Hm."),  # only spelled out: the text counts
        (THINK, WORDS, "Hm</think>Yes.", True, "Yes.", "Hm"),
        # control tokens cannot be part of an answer
        (MISTRAL, CONTROLS, "{[THINK]}Hm.{[/THINK]}Yes.", False, "Yes.", "Hm."),
        (MISTRAL, CONTROLS, "One. {[THINK]}Hm.{[/THINK]}Two.", False, "One. Two.", "Hm."),
        (MISTRAL, CONTROLS, "{[THINK]}Hm.{[/THINK]}Write [THINK]x[/THINK].", False, "Write [THINK]x[/THINK].", "Hm."),
        (GEMMA, TURNS, "{<|channel>}thought\nHm.\n{<channel|>}Yes.", False, "Yes.", "Hm."),
        # gpt-oss: headers with a content type, several messages of thoughts, a reply without any
        (HARMONY, CHANNELS, A + "Hm." + TO + "final{<|message|>}Yes.", False, "Yes.", "Hm."),
        (HARMONY, CHANNELS, A + "Hm." + TO + "final {<|constrain|>}json{<|message|>}[1]", False, "[1]", "Hm."),
        (HARMONY, CHANNELS, A + "Hm." + TO + "final json{<|message|>}[1]", False, "[1]", "Hm."),
        (HARMONY, CHANNELS, "{<|channel|>}final {<|constrain|>}json{<|message|>}[1]", False, "[1]", ""),
        (HARMONY, CHANNELS, "{<|channel|>}final{<|message|>}Yes.", False, "Yes.", ""),
        (HARMONY, CHANNELS, A + "a" + TO + "commentary{<|message|>}b" + TO + "final{<|message|>}c", False, "c", AB),
        (HARMONY, CHANNELS, A + "a" + TO + "analysis{<|message|>}b" + TO + "final{<|message|>}c", False, "c", AB),
        (HARMONY, CHANNELS, A + "a" + TO + "final{<|message|>}<|end|> ends it.", False, "<|end|> ends it.", "a"),
        (HARMONY, CHANNELS, A + "never an answer", False, "", "never an answer"),
    ],
)
def test_split_by_tokens(
    markers: Markers, tokenizer: MarkedTokenizer, written: str, opened: bool, reply: str, reasoning: str
) -> None:
    ids = tokenizer.reply(written)
    parts = split_tokens(ids, tokenizer.detokenize(ids), markers, tokenizer, opened=opened)
    assert (parts.reply, parts.reasoning) == (reply, reasoning)
    assert parts.raw == written.replace("{", "").replace("}", "")
    assert (parts.reasoning_tokens > 0) is bool(parts.spans)


@pytest.mark.parametrize("markers", KNOWN, ids=lambda markers: markers.open)
def test_every_family_with_and_without_tokens_of_its_own(markers: Markers) -> None:
    written = f"{markers.open}Hm.{markers.close}Yes."
    for tokenizer in (MarkedTokenizer(), MarkedTokenizer(controls=markers.atoms), MarkedTokenizer(words=markers.atoms)):
        ids = tokenizer.tokenize(written, parse_special=True)
        parts = split_tokens(ids, tokenizer.detokenize(ids), markers, tokenizer)
        assert (parts.raw, parts.reasoning, parts.reply) == (written, "Hm.", "Yes.")
        assert parts.reasoning_tokens == len(ids) - len(b"Yes.")
    assert split(written, markers).reply == "Yes."
    assert split(markers.lead + "Yes.", markers).reply == "Yes."


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
        ("content.split('</think>')", "<think>"),  # takes thoughts out of past replies, and names their end only
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


@pytest.mark.parametrize("text", ["Hm.Hello, ", "[T]Hm.[/T]Hello, "])  # with and without the markers that have no text
def test_a_stop_strings_cut_stays_cut(text: str) -> None:
    markers = Markers(open="[T]", close="[/T]")
    tokenizer = MarkedTokenizer(controls=["[T]", "[/T]"])
    parts = split_tokens([300, *b"Hm.", 301, *b"Hello, STOP"], text, markers, tokenizer)
    assert parts.raw == "[T]Hm.[/T]Hello, "
    assert (parts.reasoning, parts.reply, parts.reasoning_tokens) == ("Hm.", "Hello, ", 5)


@given(st.text(max_size=12).filter(lambda t: "<" not in t), st.text(max_size=12).filter(lambda t: "<" not in t))
def test_reasoning_tokens_are_counted_by_place(thoughts: str, reply: str) -> None:
    """With a byte a token, as many as the block has bytes."""
    block = f"<think>{thoughts}</think>"
    raw = block + reply
    ids = list(raw.encode("utf-8", "surrogatepass"))
    if bytes(ids).decode("utf-8", "replace") != raw:  # lone surrogates have no text
        return
    assert split_tokens(ids, raw, THINK, ByteTokenizer()).reasoning_tokens == len(block.encode())
