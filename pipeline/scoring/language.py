"""The language of a reply, by py3langid's character n-grams, among widely written languages. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nightjar.config.errors import suggest
from nightjar.pipeline.scoring.instruction import Broken, Undecided
from nightjar.pipeline.scoring.scorer import Context

LANGUAGES = tuple(
    "ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk kn ko lt lv mk "
    "ml mn mr ms ne nl no pa pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur vi xh zh zu".split()
)
"""ISO 639-1 codes of the languages that can be recognised."""
LEAST_LETTERS = 20
"""Texts with fewer letters stay undecided: their language would be a guess."""


def language(value: Any) -> Broken:
    """The reply is in the language of this ISO 639-1 code. Undecided for a reply with few letters."""
    if value not in LANGUAGES:
        raise ValueError(
            f"language takes a code such as de, not {value!r}. {suggest(str(value), LANGUAGES, 'language')}"
        )

    def broken(text: str, _: Context) -> str | None:
        letters = sum(char.isalpha() for char in text)
        if letters < LEAST_LETTERS:
            raise Undecided(
                f"the reply has {letters} letters; its language cannot be told from fewer than {LEAST_LETTERS}"
            )
        detected = language_of(text)
        return None if detected == value else f"the language is {detected}, wanted {value}"

    return broken


def language_of(text: str) -> str:
    """The most likely of LANGUAGES."""
    return str(_identifier().classify(text)[0])


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(LANGUAGES))
    return identifier
