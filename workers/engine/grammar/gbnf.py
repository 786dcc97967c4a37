"""Which GBNF grammars llama.cpp reads and follows in bounded time and memory. Pure.

llama.cpp unrolls repetitions, calls itself for every bracket, and tries every way to read a token. Some grammars make
it loop, overflow the stack or take minutes for one token, and that ends the process or every conversation in it. They
are read here first, in the same unrolled form, and refused with the place. The limits were measured with the 151,936
tokens of Qwen 2.
"""

from __future__ import annotations

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.ambiguity import check_beginnings, check_ways
from nightjar.workers.engine.grammar.rules import GbnfError, Rule, unrolled


def check_gbnf(text: str, parameter: str = "grammar") -> None:
    """Raises ParameterError where a grammar is broken, or would make llama.cpp hang, crash or crawl."""
    try:
        read(text)
    except GbnfError as error:
        raise ParameterError(f"Parameter {parameter!r} cannot be used: {error}.") from None


def read(text: str) -> list[Rule]:
    """The rules as llama.cpp unrolls them, by number. Raises GbnfError where `check_gbnf` refuses."""
    rules = unrolled(text)
    check_beginnings(rules)
    check_ways(rules)
    return rules
