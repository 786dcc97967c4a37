"""The built-in checks: a table of names, and what builds a scorer from a suite's argument. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nightjar.pipeline.scores import PASS, SHARE
from nightjar.pipeline.scoring.answer_checks import choice, numeric
from nightjar.pipeline.scoring.extract_check import extract
from nightjar.pipeline.scoring.field_checks import fields
from nightjar.pipeline.scoring.ifeval_check import checkers_version, ifeval, instruction_count
from nightjar.pipeline.scoring.instructions import instruction
from nightjar.pipeline.scoring.json_checks import is_json, json_schema
from nightjar.pipeline.scoring.math_check import math, math_version
from nightjar.pipeline.scoring.scorer import ScorerFactory
from nightjar.pipeline.scoring.text_checks import equals, excludes, includes, limit, matches
from nightjar.pipeline.scoring.words import WORDS_VERSION, count_words, unit_of

_ALL = (
    ScorerFactory(
        name="includes", build=includes, help="the reply holds every text of a list (or any of them); case ignored"
    ),
    ScorerFactory(name="excludes", build=excludes, help="the reply holds none of the texts; case ignored"),
    ScorerFactory(
        name="equals", build=equals, help="the whole reply is the text, or one of a list; case and white space ignored"
    ),
    ScorerFactory(name="regex", build=matches, help="the pattern is found in the reply; a deadline of 1 s"),
    ScorerFactory(
        name="max_words",
        build=limit(count_words, "words", at_most=True, unit_of=unit_of),
        version=WORDS_VERSION,
        help="at most so many words",
    ),
    ScorerFactory(
        name="min_words",
        build=limit(count_words, "words", at_most=False, unit_of=unit_of),
        version=WORDS_VERSION,
        help="at least so many words",
    ),
    ScorerFactory(name="max_chars", build=limit(len, "characters", at_most=True), help="at most so many characters"),
    ScorerFactory(name="min_chars", build=limit(len, "characters", at_most=False), help="at least so many characters"),
    ScorerFactory(name="json", build=is_json, help="the reply is JSON: true (may be in one fenced block) or strict"),
    ScorerFactory(name="json_schema", build=json_schema, help="the reply is JSON that the schema accepts"),
    ScorerFactory(
        name="numeric", build=numeric, version="2", help="the reply's answer is the number, within a tolerance"
    ),
    ScorerFactory(name="choice", build=choice, version="2", help="the reply chooses the option"),
    ScorerFactory(
        name="extract", build=extract, help="what a pattern finds in the reply is the answer, letter by letter"
    ),
    ScorerFactory(name="extract_flexible", build=extract, help="the same, by a pattern that asks for less"),
    ScorerFactory(
        name="math",
        build=math,
        version=math_version(),
        help="the reply's answer is the same expression, by math-verify (extra `math`)",
    ),
    ScorerFactory(
        name="fields",
        build=fields,
        scale=SHARE,
        help="share of the expected fields that a function call, or a JSON object, in the reply has right",
    ),
    ScorerFactory(
        name="instruction",
        build=instruction(loose=False),
        version="2",
        help="the reply keeps to a verifiable instruction, strictly",
    ),
    ScorerFactory(
        name="instruction_loose",
        build=instruction(loose=True),
        version="2",
        help="the same, with a first or last line or asterisks left out where that helps",
    ),
    *(
        ScorerFactory(
            name=f"ifeval_{kind}_{'loose' if loose else 'strict'}",
            build=ifeval(loose=loose, each=each),
            scale=SHARE if each else PASS,
            version=checkers_version(),
            weight=instruction_count if each else None,
            help=f"IFEval, by lm-eval's checkers (extra `ifeval`): {what}, {'loosely' if loose else 'strictly'}",
        )
        for kind, each, what in (
            ("prompt", False, "all instructions of the prompt are followed"),
            ("inst", True, "the share of all instructions that is followed"),
        )
        for loose in (False, True)
    ),
)
CHECKS: Mapping[str, ScorerFactory] = MappingProxyType({check.name: check for check in _ALL})


def known_checks() -> Mapping[str, str]:
    """Name -> what it checks, for every built-in check."""
    return {name: check.help for name, check in CHECKS.items()}
