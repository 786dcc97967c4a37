"""The process in which a grammar is tried before it is accepted: `python -m nightjar.workers.engine.grammar.trial`."""

from __future__ import annotations

from typing import Any

from llguidance import LLTokenizer

from nightjar.config.limited_child import answer_questions
from nightjar.workers.engine.grammar.matcher import MOST_FORCED_BYTES, GrammarMatcher


def main() -> None:
    tokenizer = LLTokenizer("byte")
    answer_questions(lambda grammar: {"why": _refusal(tokenizer, grammar)}, beyond_start=True)


def _refusal(tokenizer: Any, grammar: str) -> str | None:
    matcher = GrammarMatcher.of(tokenizer, grammar)
    if not matcher.error:
        matcher.forced()
        if matcher.endless:
            return f"it begins with more than {MOST_FORCED_BYTES:,} bytes that are forced"
        if not matcher.complete and not matcher.mask().any() and not matcher.error:
            return "nothing can follow its beginning"
    error = " ".join(matcher.error.split())[:500].rstrip(".")
    if error.startswith("NoExtension"):
        return "nothing is valid by it"
    return error or None


if __name__ == "__main__":
    main()
