"""GBNF, the grammar files of llama.cpp, as llguidance's Lark, by its own converter. Pure.

The converter leaves the last bracket out of `(("a")*)?`, cuts leading zeros of code points, and names no line once it
has read the file; and two rules whose names it writes alike stop it. So repetitions are bracketed, code points written
in full, and rules renamed by number on their way.
"""

from __future__ import annotations

import re

from llguidance.gbnf_to_lark import (
    ASTNode,
    GbnfToLarkError,
    GrammarParser,
    Position,
    RepetitionNode,
    RuleNode,
    resolve,
)

MOST_REPEATS = 2000
MOST_BRACKETS = 200
MOST_SHOWN = 60
"""Characters of a rule's name in what is said of it."""
_TOO_DEEP = f"More than {MOST_BRACKETS} brackets in one another"
_CODE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_PLACE = re.compile(r"(?:at )?([0-9]+)\([0-9]+\): ")
_LISTING = re.compile(r"\s1 \| %llguidance")
_DIGITS = re.compile("[0-9]+")
_RULE = re.compile(r"\b[rR]([0-9]+)\b")


class GbnfError(ValueError):
    """What is wrong with a grammar, with its line where that is known."""


def check_characters(text: str) -> None:
    """Raises GbnfError for what UTF-8 has no place for; of any grammar's text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise GbnfError(f"line {line}: {text[error.start]!r} is half of a surrogate pair, and no character") from None


class LarkGrammar:
    """A grammar of GBNF in Lark."""

    def __init__(self, text: str) -> None:
        """Raises GbnfError."""
        self._gbnf = text
        self._names: dict[str, str] = {"root": "root"}
        self._defined: dict[str, int] = {}
        self._mentioned: dict[str, int] = {}
        parser = _Parser(self)
        try:
            rules = parser.parse(text)
            if "root" not in rules:
                raise GbnfError("there is no rule `root`")
            resolve(rules)
            self._rules = sorted(rules.values(), key=lambda rule: rule.order)
            self.text = "%llguidance {}\n" + "\n".join(str(rule).replace("\n", "") for rule in self._rules)
        except GbnfToLarkError as error:
            rest = text[error.pos.pos :].split("\n")[0][:20]
            raise GbnfError(
                f"line {self._line(error.pos.pos)}: {str(error).split(' at line')[0]}, from {rest or 'its end'!r} on"
            ) from None
        except RecursionError:
            raise GbnfError(f"line {self._line(parser.deepest)}: {_TOO_DEEP}") from None
        except GbnfError:
            raise
        except Exception as error:  # what the converter raises has no class of its own
            raise GbnfError(self.located(str(error))) from None

    def located(self, message: str) -> str:
        """What llguidance said of the Lark text, in the file's names and lines."""
        message = _LISTING.split(message)[0]  # of the Lark text, which nobody wrote
        if (place := _PLACE.match(message)) is not None and 2 <= int(place[1]) < len(self._rules) + 2:
            name = self._rules[int(place[1]) - 2].name
            return f"{self._called(name)}: {message[place.end() :]}"
        return _RULE.sub(lambda found: self._called(found[0]), message)

    def short(self, name: str, at: int) -> str:
        """What a rule is called here."""
        short = self._names.setdefault(name, f"r{len(self._names)}")
        self._mentioned.setdefault(short, at)
        return short

    def define(self, short: str, at: int) -> None:
        self._defined[short] = at

    def _called(self, short: str) -> str:
        short = "root" if short == "start" else short.lower()
        name = next((name for name, other in self._names.items() if other == short), short)
        at = self._defined.get(short, self._mentioned.get(short, 0))
        return f"{name if len(name) <= MOST_SHOWN else f'{name[:MOST_SHOWN]}...'} (line {self._line(at)})"

    def _line(self, at: int) -> int:
        return self._gbnf.count("\n", 0, at) + 1


class _Parser(GrammarParser):
    """llguidance's own, with what it writes wrongly put right."""

    def __init__(self, grammar: LarkGrammar) -> None:
        super().__init__()
        self._grammar = grammar
        self._depth = self._most_depth = self.deepest = 0
        """`deepest`: where the bracket stands that is inside the most others."""

    def _parse_rule(self, pos: Position) -> tuple[RuleNode, Position]:
        rule, after = super()._parse_rule(pos)
        rule.comment = ""
        self._grammar.define(rule.name, pos.pos)
        return rule, after

    def _parse_name(self, pos: Position) -> tuple[str, Position]:  # type: ignore[override]  # it is static there
        name, after = GrammarParser._parse_name(pos)
        return self._grammar.short(name, pos.pos), after

    def _parse_group(self, pos: Position, is_nested: bool) -> tuple[ASTNode, Position]:
        self._depth += 1
        if self._depth > self._most_depth:
            self._most_depth, self.deepest = self._depth, pos.pos
        if self._depth > MOST_BRACKETS:
            raise GbnfToLarkError(pos, _TOO_DEEP)
        group = super()._parse_group(pos, is_nested)
        self._depth -= 1
        return group

    def _parse_int(self, pos: Position) -> tuple[int, Position]:  # type: ignore[override]  # it is static there
        digits = _DIGITS.match(pos.text, pos.pos)
        if digits is None:
            raise GbnfToLarkError(pos, "Expected integer")
        if len(digits[0]) > 9:
            raise GbnfToLarkError(pos, f"More than {MOST_REPEATS} repetitions")
        return int(digits[0]), pos.advance(len(digits[0]))

    def _parse_char(self, pos: Position) -> tuple[str, Position]:
        if (code := _CODE.match(pos.text, pos.pos)) is not None:
            return _written(int(code[1] or code[2] or code[3], 16), pos), pos.advance(len(code[0]))
        if pos.peek(2) == "\\":
            raise GbnfToLarkError(pos, "Unexpected end of input")
        character, after = super()._parse_char(pos)
        if character in ("\\[", "\\]") or character < " " or character in "&~":
            return _written(ord(character[-1]), pos), after
        return character, after

    def _parse_char_class(self, pos: Position) -> tuple[ASTNode, Position]:
        if pos.peek(2) == "[]" or pos.peek(3) == "[^]":
            raise GbnfToLarkError(pos, "A class without characters")
        return super()._parse_char_class(pos)

    def _parse_repetition(self, pos: Position, nodes: list[ASTNode]) -> Position:
        after = super()._parse_repetition(pos, nodes)
        if nodes and type(nodes[-1]) is RepetitionNode:
            repeated = nodes[-1] = _Repetition(nodes[-1].node, nodes[-1].min_times, nodes[-1].max_times)
            most = repeated.min_times if repeated.max_times is None else repeated.max_times
            if most > MOST_REPEATS:
                raise GbnfToLarkError(pos, f"More than {MOST_REPEATS} repetitions")
            if repeated.min_times > most:
                raise GbnfToLarkError(pos, f"At least {repeated.min_times} and at most {most} repetitions")
            if after.current() and after.current() in "*+?{":
                raise GbnfToLarkError(after, "A repetition of a repetition without brackets")
        return after


class _Repetition(RepetitionNode):
    def is_atomic(self) -> bool:
        return False


def _written(code: int, pos: Position) -> str:
    """A character as strings and classes of Lark both read it."""
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise GbnfToLarkError(pos, "An escape that is no character")
    return chr(code) if code > 0xFFFF else f"\\u{code:04x}"
