"""Which GBNF grammars are refused before llama.cpp sees them, and regular expressions as GBNF."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.config.errors import ParameterError
from nightjar.workers.engine.grammar.characters import common, complement, union
from nightjar.workers.engine.grammar.gbnf import check_gbnf, read
from nightjar.workers.engine.grammar.pattern import json_text
from nightjar.workers.engine.grammar.rules import GbnfError

JSON_LIKE = r"""
# Comments may hold anything: {5,1} ( [ "
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (
             string ":" ws value
             ("," ws string ":" ws value)*   # more of them
           )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= "-"? ([0-9] | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""


@pytest.mark.parametrize(
    "text",
    [
        JSON_LIKE,
        JSON_LIKE.replace("\n", "\r\n"),
        'root ::= "yes" | "no"',
        "root ::= [1-9] [0-9]?\n\n",
        'root ::= "{5,1}" [{(\\]] "\\""',  # what looks like syntax is text
        'root ::= "a" |\n  "b" # an option on the next line\n',
        'root ::= ( "a"\n "b"\n)\nother ::= "c"',
        'root ::= "a"{3} "b"{2,} "c"{0,2000} "d" { 1 , 2 }',
        'root ::= ("a"{0,40} ";"){0,40}',
        'root ::= ("a"*)*',  # nothing piles up: the same stack comes back
        'root ::= item ws* item\nitem ::= "-"\nws ::= [ \\t]*',
        'root ::= "a" root "b" | "c"',  # recursion, but not at the beginning
        "root ::= [a-zé\\u00e9\\U0001F600-] .",
        "root ::=",  # the empty text
        'root ::= "old"\nroot ::= "new"',  # the last one counts
        "root ::= " + "(" * 200 + '"a"' + ")" * 200,
        "root ::= " + " | ".join(f'"{n}"' for n in range(2000)),
    ],
)
def test_ordinary_grammars_pass(text: str) -> None:
    check_gbnf(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        # What llama.cpp takes for no grammar at all, or for a part of one.
        ("", "no rule `root`"),
        ("# nothing", "no rule `root`"),
        ('other ::= "a"', "no rule `root`"),
        ('root ::= "a"\0', "NUL"),
        ('root ::= "\ud800"', "surrogate"),
        ("root ::= missing", "`missing` is named and nowhere defined"),
        ('root ::= "a', "line 1 is no GBNF from '\"a'"),
        ('root ::= "\\q"', "unknown escape"),
        ('root ::= "\\x1"', "unknown escape"),
        ('root ::= ("a"', "line 1 has end where"),
        ('root ::= "a")', "line 1 has '\\)'"),
        ('root = "a"', "line 1"),
        ('\n\nroot ::= "a"\n| "b"', "line 4 has '\\|' where 'name'"),
        ('root ::= * "a"', "repeats nothing"),
        ('root ::= ""?', "repeats nothing"),
        ('root ::= "a" <think>', "names a token"),  # a token that reaches past its place ends the process
        ('root ::= "a" !<[5]>', "names a token"),
        # Grammars with which it would loop forever or use all memory.
        ('root ::= "a"{3,1}', "at least 3 and at most 1"),
        ('root ::= root "a" | "b"', "`root` can begin with itself"),
        ('root ::= a\na ::= b "x" | "y"\nb ::= root', "left recursion"),
        ('root ::= a root "b" | "c"\na ::= b\nb ::= "x" |', "left recursion"),  # llama.cpp does not see this one
        ('root ::= ("a" |)*', "left recursion"),
        # What it takes for something else, or for too much.
        ('root ::= "a"{0,2001}', "more than 2000 times"),
        ('root ::= "a"{99999999999999999999}', "more than 2000 times"),
        ('root ::= (("a"{0,40}){0,40}){0,40}', "repeats 82 rules 40 times"),
        ('root ::= "abcdefghij"{2000} "abcdefghij"{2000} ' * 3, "line 1"),
        ("root ::= " + '"abcdefghij"{2000} ' * 6, "100000 elements"),
        ("root ::= " + "(" * 201 + '"a"' + ")" * 201, "more than 200 brackets"),
        ("root ::= " + " | ".join(f'"{n}"' for n in range(2001)), "2000 ways lead on"),
        # What takes exponential time.
        (
            "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1} | r{n + 1}\n" for n in range(28)) + 'r28 ::= "x"',
            "too many ways",
        ),
        ('root ::= ([a-z] | [a-y])* "."', "a run of 'a' in too many ways"),
        ('root ::= "-" (" " | [ \\t])* "."', "a run of ' '"),
        ('root ::= ("a" | "a" "a")*', "a run of 'a'"),
        ('root ::= ("a"?){0,100}', "a run of 'a'"),
        ('root ::= "x" [^b]* . * [^c]* [a-z]* "x"', "too many ways"),
        ('root ::= "x" root "y" | "x" root "z" | "x"', "a run of 'x'"),  # two stacks more each time
    ],
)
def test_grammars_that_harm_are_refused(text: str, why: str) -> None:
    with pytest.raises(ParameterError, match=f"^Parameter 'grammar' cannot be used: .*{why}"):
        check_gbnf(text)


def test_repetitions_are_unrolled_as_llama_cpp_does() -> None:
    """Copies, then links that may end; without an upper limit one link that comes back."""
    a = ((97, 97),)
    assert [rule.alternatives for rule in read('root ::= "a"{1,3}')] == [[[a, 1]], [[a, 2], []], [[a], []]]
    assert [rule.alternatives for rule in read('root ::= "a"*')] == [[[1]], [[a, 1], []]]
    assert [rule.alternatives for rule in read("root ::= [^b-y]{0}")] == [[[]]]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('root :=|()[]{}*+?"\\-^.,#<!>\nab019é\0'), max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, begun: bool) -> None:
    with contextlib.suppress(ParameterError):
        check_gbnf(f"root ::= {text}" if begun else text)


RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4)


@given(RANGES, RANGES)
def test_ranges_are_sets(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    def members(ranges: list[tuple[int, int]] | tuple[tuple[int, int], ...]) -> set[int]:
        return {code for low, high in ranges for code in range(low, min(high, 60) + 1)}

    assert members(union(some)) == members(some)
    assert members(complement(some)) == set(range(61)) - members(some)
    assert members(common(union(some), union(others))) == members(some) & members(others)


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("^$", "()"),
        ("^ab$", "([a] [b])"),
        ("^a|b$", "([a] | [b])"),  # means (^a)|(b$): both whole matches are matches
        (r"^\d{3}-(?:x|[a-f_]+)?$", r"([0-9]{3} [\U0000002D] ([x] | [\U0000005Fa-f]+)?)"),
        ('^"$', r'("\\\"")'),  # as JSON writes them
        (r"^[\\\n]$", r'(("\\\\" | "\\n"))'),
        (r"^[^\x00-\x5b\]-\ud7ff]$", r'(([\U0000E000-\U0010FFFF] | "\\\\"))'),
    ],
)
def test_patterns_as_gbnf(pattern: str, rule: str) -> None:
    assert json_text(pattern) == rule


@pytest.mark.parametrize("pattern", ["^.*$", "^[^a]$", r"^\s$", r"^[\s\w.]*$", "^[ -~]$"])
def test_patterns_never_let_out_what_json_must_escape(pattern: str) -> None:
    for rule in read(f"root ::= {json_text(pattern)}"):
        for symbols in rule.alternatives:
            classes = [symbol for symbol in symbols if not isinstance(symbol, int)]
            if len(classes) == 1:  # two are a backslash and what it escapes
                assert not common(classes[0], ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0xD800, 0xDFFF)))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a", "begin with"),
        ("^a", "begin with"),
        (r"^a\$", r"the escape \\"),  # the dollar is text
        ("^a$b$", r"'\$b'"),
        ("^a**$", r"'\*'"),
        ("^a*?$", r"'\?'"),
        ("^*$", r"'\*'"),
        ("^a{,3}$", "'{,3}'"),
        ("^a{3,1}$", "at least 3 and at most 1"),
        ("^a{2001}$", "more than 2000"),
        ("^(a$", "leaves a bracket open"),
        ("^a)$", "closes a bracket"),
        ("^(?=a)a$", "looks around"),
        ("^(?<n>a)$", "names a group"),
        ("^(?i:a)$", "looks around"),
        (r"^(a)\1$", r"the escape \\1"),
        (r"^\bword\b$", r"the escape \\b"),
        (r"^\p{L}$", r"the escape \\p"),
        (r"^\D$", r"the escape \\D"),  # Python means other digits than ECMAScript
        (r"^[^\d]$", "negated class"),
        ("^[]a]$", "empty class"),
        ("^[a$", "leaves a class open"),
        ("^[z-a]$", "a range"),
        (r"^[\d-z]$", "a range"),
        ("^[a&&b]$", "read differently"),
        ("^[[a]$", "read differently"),
        ("^\x07$", "a class without a character"),
        ("^\ud800$", "a class without a character"),
        ("^(a*a*a*a*)$", "too many ways"),
        ("^" + "(" * 250 + ")" * 250 + "$", "200 brackets"),
    ],
)
def test_patterns_without_a_grammar_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(GbnfError, match=why):
        json_text(pattern)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(r"ab1-^$|()[]{},*+?.\dwsnx0u"), max_size=12))
def test_accepted_patterns_are_patterns(text: str) -> None:
    """What is accepted, Python's `re` accepts too."""
    try:
        json_text(f"^{text}$")
    except GbnfError:
        return
    re.compile(f"^{text}$")
