"""GBNF as llguidance reads it, what of it is refused and where, and regular expressions of schemas."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.workers.engine.grammar.characters import common, complement, union
from nightjar.workers.engine.grammar.gbnf import GbnfError, LarkGrammar
from nightjar.workers.engine.grammar.matcher import GrammarMatcher, lark_grammar
from nightjar.workers.engine.grammar.pattern import PatternError, whole_match
from tests.grammar_texts import BYTES

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


def accepts(gbnf: str, text: str) -> bool:
    """Whether the text is one of the grammar's."""
    matcher = GrammarMatcher.of(BYTES, lark_grammar(LarkGrammar(gbnf).text))
    assert not matcher.error, matcher.error
    taken = all(matcher.take(code) for code in text.encode())
    return taken and (
        matcher.complete or any(matcher.mask()[code // 32] >> (code % 32) & 1 for code in range(256, 262))
    )


@pytest.mark.parametrize(
    ("gbnf", "texts", "others"),
    [
        (JSON_LIKE, ['{"a": [1, "\\u00e9"]}', "{}"], ["[1]", '{"a"}', '{"a": 01}']),
        (JSON_LIKE.replace("\n", "\r\n"), ['{"a": true}'], ["{,}"]),
        ('root ::= "yes" | "no"', ["yes", "no"], ["", "yesno"]),
        ("root ::= [1-9] [0-9]?\n\n", ["1", "10"], ["0", "100"]),
        ('root ::= "{5,1}" [{(\\]] "\\""', ['{5,1}]"', '{5,1}("'], ['{5,1}["']),  # what looks like syntax is text
        ('root ::= "a" |\n  "b" # an option on the next line\n', ["a", "b"], ["ab"]),
        ('root ::= ( "a"\n "b"\n)\nother ::= "c"', ["ab"], ["c"]),
        ('root ::= "a"{3} "b"{2,} "c"{0,2000} "d" { 1 , 2 }', ["aaabbd", "aaabbbccdd"], ["aabbd", "aaabd"]),
        ('root ::= ("a"*)*', ["", "aaa"], ["b"]),
        ('root ::= (("a")*)?', ["", "aa"], ["b"]),  # the converter leaves a bracket out
        ('root ::= "a" root "b" | "c"', ["aacbb"], ["aacb"]),
        ("root ::= [a-zé\\u00e9\\U0001F600-] .", ["éx", "😀é", "-1"], ["A1"]),
        ('root ::= "\\u00e9ab" "\\x41"', ["éabA"], ["\u0e9a"]),  # the converter cuts the zeros
        ("root ::= [^\\x00-\\x1f&&]", ["x", "-"], ["&", "\n"]),  # Rust: an intersection of classes
        ('root ::= "\\[x\\]"', ["[x]"], ["x"]),
        ("root ::=", [""], ["a"]),
        ('root ::= "old"\nroot ::= "new"', ["new"], ["old"]),  # the last one counts
        ('root ::= fooBar foo-bar start\nfooBar ::= "1"\nfoo-bar ::= "2"\nstart ::= "3"', ["123"], ["113"]),
        ('root ::= root "a" | "b"', ["b", "baa"], ["a"]),  # left recursion, which llama.cpp could not do
        ("root ::= " + "(" * 100 + '"a"' + ")" * 100, ["a"], [""]),
        ('root ::= item ws* item\nitem ::= "-"\nws ::= [ \\t]*', ["--", "- \t-"], ["-"]),
        ("root ::= " + " | ".join(f'"{n}"' for n in range(2000)), ["0", "1999"], ["2000", ""]),
        # Refused while llama.cpp held replies to grammars, for what it made of them.
        ('root ::= ([a-z] | [a-y])* "."', [".", "az."], ["a"]),
        ('root ::= ("a" |)*', ["", "aa"], ["b"]),
        ('root ::= ("a"?){0,100}', ["", "a" * 100], ["a" * 101]),
        ('root ::= ""? "a"', ["a"], [""]),
        ('root ::= a\na ::= b "x" | "y"\nb ::= root', ["y", "yxx"], ["x"]),  # left recursion by another rule,
        (
            'root ::= a root "b" | "c"\na ::= b\nb ::= "x" |',
            ["c", "cbb", "xcb"],
            ["xc"],
        ),  # and by one that may be empty
        ('root ::= "x" root "y" | "x" root "z" | "x"', ["x", "xxy", "xxxzy"], ["xy"]),
    ],
)
def test_gbnf_means_what_llama_cpp_takes_it_for(gbnf: str, texts: list[str], others: list[str]) -> None:
    assert [accepts(gbnf, text) for text in texts] == [True] * len(texts)
    assert [accepts(gbnf, text) for text in others] == [False] * len(others)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no rule `root`"),
        ("# nothing", "no rule `root`"),
        ('other ::= "a"', "no rule `root`"),
        ('root ::= "a"\0', "line 1: Expected name"),
        ('root ::= "a" b\n\nb ::= missing', r"missing \(line 3\)' not found"),
        ('root ::= "a', "line 1: Unexpected end"),
        ('root ::= "\\q"', "line 1: Invalid escape"),
        ('root ::= "\\x1"', "line 1: Invalid"),
        ('root ::= "\\ud800"', "line 1: An escape that is no character"),
        ('root ::= "a"\n | ("b"', "line 2"),
        ('root ::= "a")', "line 1: Expected name, from '\\)'"),
        ('root = "a"', "line 1: Expected ::="),
        ('\n\nroot ::= "a"\n| "b"', "line 4"),
        ('root ::= * "a"', "line 1"),
        ('root ::= "a" <think>', "line 1"),
        ('root ::= "a"{3,1}', "line 1: At least 3 and at most 1"),
        ('root ::= "a"**', "line 1: A repetition of a repetition"),
        ('root ::= "a" |\n "b"{0,2001}', "line 2: More than 2000"),
        ('root ::= "a"{99999999999999999999}', "More than 2000"),
        ("root ::= []", "line 1: A class without"),
        ('root ::= "\\', "line 1: Unexpected end"),
        ('root ::= "a" |\n  "b"{²}', "line 2: Expected integer"),
        ('root ::= "a"{' + "9" * 5000 + "}", "line 1: More than 2000"),
        ('root ::= "a" !<[5]>', "line 1: Expected name, from '!<"),
        ("root ::= " + "(" * 5000 + '"a"' + ")" * 5000, "line 1: More than 200 brackets"),
        ('root ::= b\n\nb ::= "x" | ' + "(b " * 250 + ")" * 250, "line 3: More than 200 brackets"),
        ("root ::= " + "(root " * 300 + ")" * 300, "line 1: More than 200 brackets"),
    ],
)
def test_what_is_no_gbnf_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(GbnfError, match=why):
        LarkGrammar(text)


def test_what_llguidance_says_is_told_of_the_files_rules_and_lines() -> None:
    grammar = LarkGrammar('root ::= "a" my-rule\n\nmy-rule ::= "b" [z-a]')
    error = GrammarMatcher.of(BYTES, lark_grammar(grammar.text)).error
    assert grammar.located(error).startswith('my-rule (line 3): invalid regex "[z-a]"')


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('root :=|()[]{}*+?"\\-^.,#<!>\nab019é\0'), max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, begun: bool) -> None:
    said = "line 0"
    try:
        LarkGrammar(f"root ::= {text}" if begun else text)
    except GbnfError as error:
        said = str(error)
    assert re.search("line [0-9]+|no rule `root`", said)


RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4)


@given(RANGES, RANGES)
def test_ranges_are_sets(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    def members(ranges: list[tuple[int, int]] | tuple[tuple[int, int], ...]) -> set[int]:
        return {code for low, high in ranges for code in range(low, min(high, 60) + 1)}

    assert members(union(some)) == members(some)
    assert members(complement(some)) == set(range(61)) - members(some)
    assert members(common(union(some), union(others))) == members(some) & members(others)


@pytest.mark.parametrize(
    ("pattern", "rust"),
    [
        ("^$", "()"),
        ("^ab$", "(ab)"),
        ("a", "((?s:.*)a(?s:.*))"),  # found anywhere
        ("^a", "(a(?s:.*))"),
        (r"^a\$", r"(a\x{24}(?s:.*))"),  # the dollar is text
        ("^(a*a*a*a*)$", "((a*a*a*a*))"),
        ("^a|b$", "(a(?s:.*)|(?s:.*)b)"),  # means (^a)|(b$)
        (r"^\d{3}-(?:x|[a-f_]+)?$", r"([0-9]{3}\x{2D}(x|[\x{5F}a-f]+)?)"),
        ('^"$', r"(\x{22})"),
        (r"^[\\\n]$", r"([\x{A}\x{5C}])"),
        (r"^[^\x00-\x5b\]-\ud7ff]$", r"([\x{5C}\x{E000}-\x{10FFFF}])"),
    ],
)
def test_patterns_in_the_dialect_of_rust(pattern: str, rust: str) -> None:
    assert whole_match(pattern) == rust


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("^a$b$", r"'\$b\$'"),
        ("^a**$", r"'\*\$'"),
        ("^a*?$", r"'\?\$'"),
        ("^*$", r"'\*\$'"),
        ("^a{,3}$", "'{,3}'"),
        ("^a{3,1}$", "at least 3 and at most 1"),
        ("^a{2001}$", "more than 2000"),
        ("^(a$", r"'\$' where"),
        ("^(a", "leaves a bracket open"),
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
        ("^" + "(" * 250 + ")" * 250 + "$", "100 brackets"),
    ],
)
def test_patterns_that_dialects_read_differently_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(PatternError, match=why):
        whole_match(pattern)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(r"ab1-^$|()[]{},*+?.\dwsnx0u"), max_size=12))
def test_accepted_patterns_are_patterns(text: str) -> None:
    """What is accepted, Python's `re` accepts too."""
    try:
        whole_match(f"^{text}$")
    except PatternError:
        return
    re.compile(f"^{text}$")
