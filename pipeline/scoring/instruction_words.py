"""Instructions on the words of a reply. Pure. Keywords match as in IFEval: also as parts of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import regex

from nightjar.pipeline.scoring.arguments import text_of, texts
from nightjar.pipeline.scoring.instruction import Broken, count_rule, counted, flag
from nightjar.pipeline.scoring.scorer import Context
from nightjar.pipeline.scoring.words import cased_words, count_sentences, count_words, unit_of

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」"}

number_of_words = counted(count_words, "words", unit=unit_of)
number_of_sentences = counted(count_sentences, "sentences")
capital_words = counted(lambda text: sum(word.isupper() for word in cased_words(text)), "words in capital letters")


def keywords(value: Any) -> Broken:
    """All of the texts are in the reply; letter case is ignored."""
    wanted = [text.casefold() for text in texts(value, "keywords")]

    def broken(text: str, _: Context) -> str | None:
        folded = text.casefold()
        absent = [word for word in wanted if word not in folded]
        return f"not there: {', '.join(absent[:5])}" if absent else None

    return broken


def keyword_frequency(value: Any) -> Broken:
    """`{word: fox, at_least: 2}`: how often the text occurs; letter case is ignored."""
    if not isinstance(value, Mapping) or not isinstance(value.get("word"), str) or not value["word"].strip():
        raise ValueError(f"keyword_frequency takes a mapping such as {{word: fox, at_least: 2}}, not {value!r}.")
    word = value["word"].casefold()
    rule = count_rule(value, f"times {value['word']!r}", others=("word",))
    return lambda text, _: rule(text.casefold().count(word))


def forbidden_words(value: Any) -> Broken:
    """None of the texts occurs as a whole word; letter case is ignored."""
    words = texts(value, "forbidden_words")
    pattern = regex.compile(rf"(?wi)\b(?:{'|'.join(map(regex.escape, words))})\b")

    def broken(text: str, _: Context) -> str | None:
        match = pattern.search(text)
        return f"it says {match.group()!r}" if match else None

    return broken


def letter_frequency(value: Any) -> Broken:
    """`{letter: e, at_least: 10}`; capital and small letters count alike."""
    letter = value.get("letter") if isinstance(value, Mapping) else None
    if not isinstance(letter, str) or len(letter) != 1 or letter.isspace():
        raise ValueError(f"letter_frequency takes a mapping such as {{letter: e, at_least: 10}}, not {value!r}.")
    rule = count_rule(value, f"times the letter {letter!r}", others=("letter",))
    return lambda text, _: rule(text.lower().count(letter.lower()))


def all_capital(value: Any) -> Broken:
    """No small letter, and some letter at all."""
    flag(value, "all_capital")
    return lambda text, _: None if text.isupper() else "it has small letters, or no letters"


def all_lowercase(value: Any) -> Broken:
    """No capital letter, and some letter at all."""
    flag(value, "all_lowercase")
    return lambda text, _: None if text.islower() else "it has capital letters, or no letters"


def no_commas(value: Any) -> Broken:
    flag(value, "no_commas")
    return lambda text, _: f"{text.count(',')} commas" if "," in text else None


def starts_with(value: Any) -> Broken:
    """The reply begins with the text; letter case and surrounding white space are ignored."""
    wanted = text_of(value, "starts_with")
    folded = wanted.strip().casefold()
    return lambda text, _: None if text.strip().casefold().startswith(folded) else f"it does not begin with {wanted!r}"


def ends_with(value: Any) -> Broken:
    """The reply ends with the text; letter case, surrounding white space and quotation marks are ignored."""
    wanted = text_of(value, "ends_with")
    folded = wanted.strip().casefold()

    def broken(text: str, _: Context) -> str | None:
        ending = text.strip().casefold()
        met = ending.endswith(folded) or ending.rstrip("\"”'").endswith(folded)
        return None if met else f"it does not end with {wanted!r}"

    return broken


def quoted(value: Any) -> Broken:
    """The whole reply is in double quotation marks."""
    flag(value, "quoted")

    def broken(text: str, _: Context) -> str | None:
        bare = text.strip()
        met = len(bare) > 2 and bare[0] in _QUOTES and bare[-1] == _QUOTES[bare[0]]
        return None if met else "it is not wrapped in quotation marks"

    return broken


def repeat_prompt(value: Any) -> Broken:
    """The reply begins with the prompt (`true`), or with this text of it; letter case and white space are ignored."""
    given = None if value is True else text_of(value, "repeat_prompt")

    def broken(text: str, context: Context) -> str | None:
        wanted = context.prompt if given is None else given
        met = _plain(text).startswith(_plain(wanted))
        return None if met else "it does not begin with the prompt"

    return broken


def one_of(value: Any) -> Broken:
    """One of the texts is in the reply, exactly as written."""
    options = texts(value, "one_of")
    return lambda text, _: None if any(option in text for option in options) else "none of the options is there"


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
