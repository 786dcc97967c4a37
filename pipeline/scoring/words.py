"""The words and sentences of a text in any script, as checks and measures count them. Pure.

Words lie between Unicode's default word boundaries (UAX 29), as `regex` finds them. Scripts that put no spaces between
words (Han, Kana, Thai, Lao, Khmer, Burmese) are counted by character, since only a dictionary could tell their words.
"""

from __future__ import annotations

from functools import lru_cache

import regex

WORDS_VERSION = "2"
"""Version of every scorer that counts words: raised when what a word is changes."""
_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ーｰ"
_UNSPACED = regex.compile(rf"[{_NO_SPACES}]")
_PART = rf"\b(?=[\p{{L}}\p{{N}}])(?![{_NO_SPACES}])\S+?\b"
_WORD = regex.compile(rf"(?w)(?=[\p{{L}}\p{{N}}])[{_NO_SPACES}]\p{{M}}*|{_PART}(?:-{_PART})*")
_TYPOGRAPHIC = str.maketrans({"’": "'", "‐": "-", "‑": "-", "_": " "})
"""Signs that are the same in two forms; and the one that Unicode holds for part of a word, but that marks emphasis."""
_LONE = regex.compile(r"(?<![\p{L}\p{N}\p{M}])'|'(?![\p{L}\p{N}])")
"""A quotation mark; `regex` sees no boundary between one and the letter behind it."""
_JOINERS = "'-.,:;"
_SPACED = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) not in _JOINERS}


@lru_cache(maxsize=8)  # several scorers ask for the words of the same reply, one after another
def words(text: str) -> tuple[str, ...]:
    """The words in lower case, held together by inner apostrophes, hyphens, and the stops of numbers; ’ counts as '.

    Of scripts without spaces, the characters.
    """
    return cased_words(text.lower())


def cased_words(text: str) -> tuple[str, ...]:
    """The same, in the letter case of the text."""
    text = text.translate(_TYPOGRAPHIC)
    if not text.isascii():
        return tuple(_segments(text))
    tokens: list[str] = []
    for run in text.translate(_SPACED).split():  # several times quicker than the pattern alone
        bare = run if run.isalnum() else run.strip(_JOINERS)
        if bare.isalnum():
            tokens.append(bare)
        elif bare:
            tokens += _segments(bare)
    return tuple(tokens)


def _segments(text: str) -> list[str]:
    return _WORD.findall(_LONE.sub(" ", text))


def count_words(text: str) -> int:
    return len(words(text))


def unit_of(text: str) -> str:
    """What is counted in a text: words; characters, where its script has no spaces; or both."""
    if text.isascii():
        return "words"
    characters = sum(_UNSPACED.match(word) is not None for word in words(text))
    if not characters:
        return "words"
    return "characters" if characters == count_words(text) else "words and characters"


def with_line_feeds(text: str) -> str:
    """The text with every line break as a line feed, and every paragraph break as two."""
    return regex.sub("\r\n?|[\x85\u2028\v\f]", "\n", text).replace("\u2029", "\n\n")


_SENTENCE_END = regex.compile(
    r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|(?:(?![.!?])\p{Sentence_Terminal})+[\"'”’»)\]」』】）]*|\n[ \t]*\n"
)
_SHORT = regex.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|no|fig|inc|ltd|co|ca|cf|approx)|\b(?:e\.g|i\.e|etc|a\.m|p\.m)|(?-i:\b[A-HJ-Z]))$",
    regex.IGNORECASE,
)
_LISTED = regex.compile(r"(?:^|\n)[ \t]*\d+$")
_LETTER = regex.compile(r"[\p{L}\p{N}]")


def count_sentences(text: str) -> int:
    """Spans that contain a word and end as sentences of their script do, or with a blank line.

    Abbreviations, initials and list numbers end none.
    """
    text = with_line_feeds(text)
    count = start = 0
    for end in _SENTENCE_END.finditer(text):
        before = text[start : end.start()]
        if end.group()[0] == "." and (_SHORT.search(before) or _LISTED.search(before)) and text[end.end() :].strip():
            continue
        count += _LETTER.search(before) is not None
        start = end.end()
    return count + (_LETTER.search(text[start:]) is not None)
