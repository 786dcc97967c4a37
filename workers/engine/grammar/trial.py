"""The process that reads grammars and tries them: `python -m nightjar.workers.engine.grammar.trial`.

All that reads what somebody sent happens here, since any of it may take minutes or gigabytes for some text or other.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llguidance import LLTokenizer
from llguidance.gbnf_to_lark import is_lark_syntax

from nightjar.config.errors import ParameterError
from nightjar.config.limited_child import answer_questions
from nightjar.workers.engine.grammar.gbnf import GbnfError, LarkGrammar, check_characters
from nightjar.workers.engine.grammar.matcher import (
    MOST_FORCED_BYTES,
    GrammarMatcher,
    allowed_ids,
    json_grammar,
    lark_grammar,
    regex_grammar,
)
from nightjar.workers.engine.grammar.schema import enforceable, refused_place

TRIED_WAYS = 8
MOST_FRAMES = 3000
"""Python's own 1,000 are fewer than 200 brackets in one another take."""


def main() -> None:
    sys.setrecursionlimit(MOST_FRAMES)
    trial = _Trial()
    answer_questions(trial.answer, beyond_start=True)


class _Trial:
    """Builds what it is given for a vocabulary of bytes, so that a suite can be checked where there is no model."""

    def __init__(self) -> None:
        self._tokenizer = LLTokenizer("byte")

    def answer(self, question: dict[str, str]) -> dict[str, str]:
        """What was asked for in llguidance's form (`grammar`), or why it cannot be had: `refused` is a whole sentence,
        `unbuilt` what llguidance says of a schema, whose place is asked for by itself."""
        try:
            if "grammar" in question:
                return self._text(question["grammar"])
            if "json_schema" in question:
                return self._schema(json.loads(question["json_schema"]))
            place, why = refused_place(json.loads(question["place"]), lambda part: self._refusal(json_grammar(part)))
            return {"place": place} if why is None else {"place": place, "why": why}
        except ParameterError as error:
            return {"refused": str(error)}
        except GbnfError as error:
            return {"refused": f"Parameter 'grammar' cannot be used: {error}."}
        except RecursionError:
            return {"refused": "Parameter 'json_schema' cannot be enforced: it is nested too deeply."}
        except MemoryError:
            return {"ended": "no memory"}

    def _schema(self, schema: Any) -> dict[str, str]:
        grammar = json_grammar(enforceable(schema))
        why = self._refusal(grammar)
        return {"grammar": grammar} if why is None else {"unbuilt": why}

    def _text(self, text: str) -> dict[str, str]:
        gbnf: LarkGrammar | None = None
        check_characters(text)
        if len(text) > 1 and text[0] == text[-1] == "/":
            grammar = regex_grammar(text[1:-1])
        elif is_lark_syntax(text):
            grammar = lark_grammar(text)
        else:
            gbnf = LarkGrammar(text)
            grammar = lark_grammar(gbnf.text)
        if (why := self._refusal(grammar)) is None:
            return {"grammar": grammar}
        return {"refused": f"Parameter 'grammar' cannot be used: {gbnf.located(why) if gbnf else why}."}

    def _refusal(self, grammar: str) -> str | None:
        """Why a grammar cannot be used, None if it can."""
        matcher = GrammarMatcher.of(self._tokenizer, grammar)
        error = matcher.error
        if not error:
            matcher.forced()
            if matcher.endless:
                return f"it begins with more than {MOST_FORCED_BYTES:,} bytes that are forced"
            ways = allowed_ids(matcher.mask(), self._tokenizer.vocab_size)
            if not matcher.complete and not len(ways) and not matcher.error:
                return "nothing can follow its beginning"
            error = matcher.error or self._first_error(matcher, ways)
        error = " ".join(error.split())[:500].rstrip(".")
        if error.startswith("NoExtension"):
            return "nothing is valid by it"
        return error or None

    def _first_error(self, matcher: GrammarMatcher, ways: npt.NDArray[np.intp]) -> str:
        """Of some of the next tokens: there are limits that no mask comes upon."""
        for way in ways[:: max(1, len(ways) // TRIED_WAYS)]:
            copy = matcher.copy()
            if not copy.complete and not copy.take(int(way)) and copy.error:
                return copy.error
        return ""


if __name__ == "__main__":
    main()
