"""Instructions on the shape of a reply: paragraphs, bullets, sections, titles, JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nightjar.pipeline.scoring.arguments import known_keys, text_of, whole_argument
from nightjar.pipeline.scoring.instruction import Broken, count_rule, counted, flag
from nightjar.pipeline.scoring.json_checks import reply_json
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.scoring.words import unit_of, words

RESPONSES = "******"
_BULLET = re.compile(r"^[ \t]*[*+•-][ \t]+\S", re.MULTILINE)
_HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,2})(?=[^\s*])[^*\n]*[^\s*]\1(?!\*)|(?<!\*)(\*{1,2})[^\s*]\2(?!\*)")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_TITLE = re.compile(r"<<[^\n<>]*[^\s<>][^\n<>]*>>")
_BLANK = re.compile(r"\n[ \t]*\n")

bullets = counted(lambda text: len(_BULLET.findall(text)), "bullet points")
highlights = counted(lambda text: len(_HIGHLIGHT.findall(text)), "highlighted passages")
placeholders = counted(lambda text: len(_PLACEHOLDER.findall(text)), "placeholders in square brackets")


def paragraphs(value: Any) -> Broken:
    """`3`, or `{at_least: 3, separator: "***"}`; without a separator, blank lines separate paragraphs."""
    separator = value.get("separator") if isinstance(value, Mapping) else None
    if separator is not None:
        text_of(separator, "paragraphs: separator")
    rule = count_rule(value, "paragraphs", others=("separator",))
    return lambda text, _: rule(len(parted(text, separator)))


def parted(text: str, separator: str | None = None) -> list[str]:
    """The paragraphs, without blank ones."""
    parts = _BLANK.split(text) if separator is None else text.split(separator)
    return [part.strip() for part in parts if part.strip()]


def paragraph_first_word(value: Any) -> Broken:
    """`{paragraph: 2, word: however}`: the paragraph (from 1) begins with the word."""
    if not isinstance(value, Mapping):
        raise ValueError(
            f"paragraph_first_word takes a mapping such as {{paragraph: 2, word: however}}, not {value!r}."
        )
    known_keys(value, "paragraph_first_word", {"paragraph": 1, "word": ""})
    number = whole_argument(value.get("paragraph"), "paragraph_first_word: paragraph")
    wanted = text_of(value.get("word"), "paragraph_first_word: word")
    word = words(wanted)
    if not word or (len(word) > 1 and unit_of(wanted) != "characters"):
        raise ValueError(f"paragraph_first_word: word is one word, not {value['word']!r}.")

    def broken(text: str, _: Context) -> str | None:
        present = parted(text)
        if len(present) < number:
            return f"{len(present)} paragraphs, no paragraph {number}"
        first = words(present[number - 1])[: len(word)]
        return None if first == word else f"paragraph {number} begins with {''.join(first)!r}, wanted {''.join(word)!r}"

    return broken


def sections(value: Any) -> Broken:
    """`{marker: SECTION, at_least: 3}`: lines that begin with the marker and a number."""
    if not isinstance(value, Mapping):
        raise ValueError(f"sections takes a mapping such as {{marker: SECTION, at_least: 3}}, not {value!r}.")
    marker = text_of(value.get("marker"), "sections: marker")
    rule = count_rule(value, f"sections marked {marker!r}", others=("marker",))
    pattern = re.compile(rf"^[ \t#*]*{re.escape(marker)}[ \t]*(?:\d+|[IVXLC]+)\b", re.MULTILINE)
    return lambda text, _: rule(len(pattern.findall(text)))


def postscript(value: Any) -> Broken:
    """A line at the end begins with P.S. (`true`), or with the marker given, and says something."""
    marker = "P.S." if value is True else text_of(value, "postscript")
    spaced = r"\s?".join(re.escape(char) for char in marker.strip())
    pattern = re.compile(rf"^[ \t*_]*{spaced}[ \t*_:]*\S", re.MULTILINE | re.IGNORECASE)
    return lambda text, _: None if pattern.search(text) else f"no line begins with {marker!r}"


def title(value: Any) -> Broken:
    """A title in double angle brackets: <<The Fox>>."""
    flag(value, "title")
    return lambda text, _: None if _TITLE.search(text) else "no title in <<double angular brackets>>"


def two_responses(value: Any) -> Broken:
    """Two different responses with six asterisks between them."""
    flag(value, "two_responses")

    def broken(text: str, _: Context) -> str | None:
        responses = [part.strip() for part in text.split(RESPONSES) if part.strip()]
        if len(responses) != 2:
            return f"{len(responses)} responses parted by {RESPONSES}, wanted 2"
        return "the two responses are the same" if responses[0] == responses[1] else None

    return broken


def whole_json(value: Any) -> Broken:
    """The whole reply is JSON, alone or in one fenced block."""
    flag(value, "json")

    def broken(text: str, _: Context) -> str | None:
        try:
            reply_json(text, fenced=True)
        except ValueError as error:
            return str(error)
        return None

    return broken
