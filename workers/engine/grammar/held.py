"""What a reply is held to, as a grammar of llguidance: a JSON Schema, Lark, GBNF, or a regular expression in slashes.

Nothing is accepted before a process that may be killed has built it and made its first step: some grammars take
minutes or gigabytes, and llguidance cannot be interrupted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from llguidance.gbnf_to_lark import is_lark_syntax

from nightjar.config.errors import ParameterError
from nightjar.config.limited_process import LimitedProcess
from nightjar.workers.engine.grammar.gbnf import GbnfError, LarkGrammar
from nightjar.workers.engine.grammar.matcher import json_grammar, lark_grammar, regex_grammar
from nightjar.workers.engine.grammar.schema import enforceable

TRIAL_CPU_S = 1.0
TRIAL_MEMORY_BYTES = 200 * 2**20
TRIAL_WALL_S = 60.0
MOST_CHARACTERS = 1_000_000
"""Of a grammar's text."""
MOST_KEPT = 256
"""Grammars that need not be tried again."""


def held_to(grammar: str | None, json_schema: Mapping[str, Any] | None) -> str | None:
    """The grammar in llguidance's form; None where there is neither. Raises ParameterError if it cannot be enforced.

    From any thread; takes up to a second of processor time where it was not asked before.
    """
    if (known := known_grammar(grammar, json_schema)) is not None or (grammar is None and json_schema is None):
        return known
    key = _key(grammar, json_schema)
    found = _of_text(key[1]) if grammar is not None else _of_schema(key[1])
    _Trials.accepted[key] = found
    while len(_Trials.accepted) > MOST_KEPT:
        _Trials.accepted.pop(next(iter(_Trials.accepted)), None)
    return found


def known_grammar(grammar: str | None, json_schema: Mapping[str, Any] | None) -> str | None:
    """What `held_to` gave for these before; None where it was not asked."""
    return _Trials.accepted.get(_key(grammar, json_schema))


def _key(grammar: str | None, json_schema: Mapping[str, Any] | None) -> tuple[str, str]:
    if grammar is not None:
        return "grammar", grammar
    try:
        return "json_schema", json.dumps(json_schema)
    except (RecursionError, ValueError) as error:  # too deep; a number of more digits than Python writes
        raise ParameterError(f"Parameter 'json_schema' cannot be enforced: {error}.") from None


def _of_schema(text: str) -> str:
    grammar = json_grammar(enforceable(json.loads(text)))
    if (why := _trial(grammar)) is not None:
        raise ParameterError(f"Parameter 'json_schema' cannot be enforced: {why}.")
    return grammar


def _of_text(text: str) -> str:
    gbnf: LarkGrammar | None = None
    try:
        if len(text) > MOST_CHARACTERS:
            raise GbnfError(f"it has {len(text):,} characters; at most {MOST_CHARACTERS:,} are taken")
        text.encode()
        if len(text) > 1 and text[0] == text[-1] == "/":
            grammar = regex_grammar(text[1:-1])
        elif is_lark_syntax(text):
            grammar = lark_grammar(text)
        else:
            gbnf = LarkGrammar(text)
            grammar = lark_grammar(gbnf.text)
    except (GbnfError, UnicodeEncodeError) as error:
        raise ParameterError(f"Parameter 'grammar' cannot be used: {error}.") from None
    if (why := _trial(grammar)) is not None:
        raise ParameterError(f"Parameter 'grammar' cannot be used: {gbnf.located(why) if gbnf else why}.")
    return grammar


class _Trials:
    """The process that tries grammars, one for this whole process."""

    accepted: ClassVar[dict[tuple[str, str], str]] = {}
    lock = threading.Lock()
    process = LimitedProcess(
        "nightjar.workers.engine.grammar.trial",
        memory_bytes=TRIAL_MEMORY_BYTES,
        cpu_s=TRIAL_CPU_S,
        wall_s=TRIAL_WALL_S,
        answer_bytes=100_000,
    )


def _trial(grammar: str) -> str | None:
    """Why a grammar cannot be used, None if it can."""
    with _Trials.lock:
        answer = _Trials.process.ask(grammar)
    if isinstance(answer, str):
        return (
            f"its first step needs more than {TRIAL_CPU_S:g} s of processor time or {TRIAL_MEMORY_BYTES // 2**20} MB "
            f"(it was ended: {answer}). Make it smaller: fewer alternatives and optional parts, smaller repetitions"
        )
    why = answer.get("why")
    return None if why is None else str(why)
