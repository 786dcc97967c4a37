"""llguidance's matcher, with the options and limits that are always the same."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, get_version

GRAMMAR_ENGINE = get_version().split()[0].replace("@", " ")
"""The name and version of what holds replies to grammars."""
Mask = npt.NDArray[np.uint32]
"""A bit for each entry of the vocabulary, the first in the lowest."""
MOST_FORCED_BYTES = 4000
_BEHIND = re.compile("<state>|<backtrace>")
"""What is for the makers of llguidance."""
JSON_OPTIONS: Any = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": False,
    "coerce_one_of": False,
    "json_allowed_escapes": 'nrbtf\\"',
}
"""Fixed, since replies depend on them. No \\uXXXX: further properties could be named like those that are listed."""


def allowed_ids(mask: Mask, vocabulary: int) -> npt.NDArray[np.intp]:
    """The entries that a mask lets through, ascending."""
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), count=vocabulary, bitorder="little"))


def json_grammar(schema: dict[str, Any]) -> str:
    """What llguidance takes as a grammar, for a schema as `enforceable` wrote it."""
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=JSON_OPTIONS)


def lark_grammar(text: str) -> str:
    return LLMatcher.grammar_from_lark(text)


def regex_grammar(text: str) -> str:
    return LLMatcher.grammar_from_regex(text)


def parser_limits() -> LLParserLimits:
    """All explicit: a newer llguidance must not change what is accepted, nor what a step may take."""
    return LLParserLimits(
        max_items_in_row=4000,
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=200_000,
        step_max_items=50_000,
        max_lexer_states=250_000,
        max_grammar_size=500_000,
        precompute_large_lexemes=True,
        verbose_errors=False,
    )


class GrammarMatcher:
    """Follows one reply through a grammar. Never raises: `error` says what went wrong, and stays."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._mask: Mask = np.zeros((vocabulary + 31) // 32, np.uint32)
        self._ready = False
        self.endless = False
        """Whether so much was forced that it is not asked for again."""

    @classmethod
    def of(cls, tokenizer: LLTokenizer, grammar: str) -> GrammarMatcher:
        return cls(LLMatcher(tokenizer, grammar, log_level=0, limits=parser_limits()), tokenizer.vocab_size)

    def copy(self) -> GrammarMatcher:
        """A fresh one in the same state."""
        return GrammarMatcher(self._matcher.deep_copy(), self._vocabulary)

    @property
    def error(self) -> str:
        """The first line of what llguidance says; empty while all is well."""
        return _BEHIND.split(self._matcher.get_error())[0].strip() if self._matcher.is_error() else ""

    @property
    def complete(self) -> bool:
        """Whether what was taken is whole, and nothing can follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def take(self, token: int) -> bool:
        """Goes on by a token. False if it cannot come here, or a limit was reached."""
        self._ready = False
        return self._matcher.consume_token(token)

    def forced(self) -> list[int]:
        """The tokens that must come next, whatever the model would say; they are taken. Not what is very long: some
        tokenizers call themselves for each character, and a grammar without an end forces for ever."""
        if self.endless:
            return []
        length = len(self._matcher.compute_ff_bytes())
        self.endless = length > MOST_FORCED_BYTES
        if not 0 < length <= MOST_FORCED_BYTES:
            return []
        tokens = self._matcher.compute_ff_tokens()
        if not tokens or self._matcher.is_error() or not self._matcher.consume_tokens(tokens):
            return []
        self._ready = False
        return tokens

    def mask(self) -> Mask:
        """Which tokens may come next; computed once, without the interpreter's lock. None where there is an error."""
        if not self._ready:
            self._mask[:] = 0
            if not self._matcher.is_error():
                self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
            if self._matcher.is_error():
                self._mask[:] = 0
            self._ready = True
        return self._mask
