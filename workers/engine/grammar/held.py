"""What a reply is held to, as a grammar of llguidance: a JSON Schema, Lark, GBNF, or a regular expression in slashes.

Nothing is accepted before a process that may be killed (`trial.py`) has read it, built it and made its first step: some
texts take minutes or gigabytes, and llguidance cannot be interrupted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from nightjar.config.errors import ParameterError
from nightjar.config.limited_process import LimitedProcess
from nightjar.workers.engine.grammar.keywords import refused

TRIAL_CPU_S = 1.0
TRIAL_MEMORY_BYTES = 200 * 2**20
TRIAL_WALL_S = 60.0
MOST_CHARACTERS = 1_000_000
"""Of a grammar's text."""
MOST_ANSWERED = 32 * 2**20
"""Bytes: patterns are longer in llguidance's form."""
MOST_KEPT = 256
"""Grammars that need not be tried again."""


def held_to(grammar: str | None, json_schema: Mapping[str, Any] | None) -> str | None:
    """The grammar in llguidance's form; None where there is neither. Raises ParameterError if it cannot be enforced.

    From any thread; takes up to a second of processor time where it was not asked before.
    """
    if (known := known_grammar(grammar, json_schema)) is not None or (grammar is None and json_schema is None):
        return known
    key = _key(grammar, json_schema)
    found = _tried(*key)
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


def _tried(kind: str, text: str) -> str:
    cannot = f"Parameter '{kind}' cannot be {'used' if kind == 'grammar' else 'enforced'}"
    if kind == "grammar" and len(text) > MOST_CHARACTERS:
        raise ParameterError(f"{cannot}: it has {len(text):,} characters; at most {MOST_CHARACTERS:,} are taken.")
    answer = _ask({kind: text})
    if "ended" in answer:
        raise ParameterError(
            f"{cannot}: to read it and make its first step needs more than {TRIAL_CPU_S:g} s of processor time or "
            f"{TRIAL_MEMORY_BYTES // 2**20} MB (it was ended: {answer['ended']}). Make it smaller: fewer alternatives "
            "and optional parts, smaller repetitions."
        )
    if "unbuilt" in answer:  # in an answer of its own, so that looking for the place may be ended, too
        found = {"place": "", "why": answer["unbuilt"]} | _ask({"place": text})
        raise refused(f"{found['place'] or 'the schema'}:", found["why"])
    if "refused" in answer:
        raise ParameterError(answer["refused"])
    return answer["grammar"]


def _ask(question: dict[str, str]) -> dict[str, str]:
    with _Trials.lock:
        answer = _Trials.process.ask(question)
    return {"ended": answer} if isinstance(answer, str) else answer


class _Trials:
    """The process that reads and tries grammars, one for this whole process."""

    accepted: ClassVar[dict[tuple[str, str], str]] = {}
    lock = threading.Lock()
    process = LimitedProcess(
        "nightjar.workers.engine.grammar.trial",
        memory_bytes=TRIAL_MEMORY_BYTES,
        cpu_s=TRIAL_CPU_S,
        wall_s=TRIAL_WALL_S,
        answer_bytes=MOST_ANSWERED,
    )
