"""Which number a reply gives as its answer, read as a person reads it. Pure.

A number that is said to be the answer ("Answer: 42", `#### 42`, a box) goes before the last number of the reply.
Numbers are read as many countries write them: 1,234.5 and 1.234,5 and 1 234,5 and 12,34,567. A single comma before
exactly three digits parts thousands; a single full stop begins decimals. Dates, times, versions and ranges are none.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from nightjar.pipeline.scoring.choice_words import ANSWERS
from nightjar.pipeline.scoring.markup import bare

MOST_CHARS = 20_000
"""Of a longer reply the end is read."""
_GAP = r"[\x20\u00a0\u2009\u202f]"
_GROUPED = rf"""
      \d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?            # 1,234,567.8
    | \d{{1,2}}(?:,\d{{2}})+,\d{{3}}(?:\.\d+)?    # 12,34,567.8 (India)
    | \d{{1,3}}(?:\.\d{{3}})+,\d+                 # 1.234,5
    | \d{{1,3}}(?:\.\d{{3}}){{2,}}                # 1.234.567
    | \d{{1,3}}(?:{_GAP}\d{{3}})+(?:[.,]\d+)?     # 1 234,5
    | \d{{1,3}}(?:['’]\d{{3}})+(?:[.,]\d+)?       # 1'234.5 (Switzerland)
    | \d{{1,3}}(?:_\d{{3}})+
"""
_NO_NUMBER = r"""
      \d{1,4}(?P<part>[-/.])\d{1,2}(?P=part)\d{2,4}   # a date
    | \d+(?::\d+)+                                    # a time, a ratio
    | \d+(?:\.\d+){2,}                                # a version
    | \d+(?!e[-+]?\d)\p{L}+\d\w*                       # a name
"""
_POWER = r"\^\s*\{{?\s*(?P<{}>[-+−–]?\d{{1,3}})\s*\}}?"
_NUMBER = regex.compile(
    rf"""
    (?<![\p{{L}}\p{{N}}_.^]|\p{{L}}[-–]|\d[,:/])
    (?P<sign>(?<!\p{{N}}\)?\s?)(?:[-+–]|−\s?)|(?:minus|negative)\s+)?
    (?:
        (?P<count>\d{{1,6}}){_GAP}+(?P<above>\d{{1,6}})/(?P<below>\d{{1,6}})(?![\d/])
      | (?:(?P<grouped>{_GROUPED}) | (?P<none>{_NO_NUMBER}) | (?P<plain>\d+[.,]\d+ | \.?\d+)) (?!\d|[.,:]\d)
        (?:
            e(?P<e>[-+]?\d{{1,3}})(?!\w)
          | \s?(?:[x×*·]|\\times|\\cdot)\s?10\s?{_POWER.format("ten")}
          | {_POWER.format("power")}
          | /(?P<over>\d{{1,9}})(?![\d/])
        )?
        (?:\s?(?P<scale>thousand|million|billion|trillion)(?!\p{{L}})|(?P<kilo>k)(?![\p{{L}}\p{{N}}]))?
    )
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_CURRENCY = regex.compile(
    r"(?:(?<!\p{L})(?:USD|US|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|HKD|HK|SGD|SEK|NOK|DKK|PLN|BRL|MXN|ZAR|KRW|Rs\.?|R|kr\.?)"
    r"|[€£¥₹₽₩₺])[ \u00a0]?(?=[-.]?\d)"
)
_DOLLARS = regex.compile(r"(?<!\p{L})(?:US|AU|CA|HK|NZ|A|C|R|S)\$")
_SUPERSCRIPT = regex.compile("(?<=\\d)[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SAID = regex.compile(
    rf"(?:{ANSWERS}|(?<!\p{{L}})(?:result|ergebnis|résultat|resultado|risultato|результат)(?!\p{{L}})|结果|結果)"
    r"(?:[^.!?\n:：=]{0,40}?(?<!\p{L})(?:is|are|was|equals|ist|est|es|è|é|lautet|là)(?!\p{L})"
    r"|[^.!?\n:：=]{0,40}?[:：=]|\s*[-—–是为為は은는]|\s*(?:คือ|هي|هو))|^####",
    regex.IGNORECASE | regex.MULTILINE,
)
_LISTED = regex.compile(r"^[ \t]*(\d{1,2})[.)][ \t]", regex.MULTILINE)
_OR = regex.compile(r"\s*,?\s*(?:or|oder|ou|o|или|或|to|bis|[-–—])\s*(?:\p{L}\s*=\s*)?", regex.IGNORECASE)
_AND = regex.compile(r"\s*(?:and|und|et|y|e|и|和)\s*", regex.IGNORECASE)
_BETWEEN = regex.compile(r"(?<!\p{L})(?:between|zwischen|entre|fra|tra|между)\s*$", regex.IGNORECASE)
_NOT = regex.compile(r"(?:(?<!\p{L})not|n['’]t|nicht|不是)\s*$", regex.IGNORECASE)
_EXPRESSION = regex.compile(r"\s?\\(?!times|cdot|approx|quad|\W)[A-Za-z]+|[√π]")
"""What makes a number a factor of something that is not computed here: 2\\sqrt{3}, 3π."""
_IN_EXPRESSION = regex.compile(r"(?:\\[A-Za-z]+\s*\{|√\s?)$")
_ASIDE = regex.compile(r"(?<=\s)\([^()\n]*\)")
_ENDS = regex.compile(r"[.!?。！？](?=\s|$)|[。！？\n]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A number of a text, with its place there; a date, a time and the like have no value."""

    start: int
    end: int
    value: float | None


def answer_number(reply: str) -> float | None:
    """The number that a reply gives as its answer; None where it gives none, or one of several."""
    text = _digits(bare(_DOLLARS.sub("$", reply[-MOST_CHARS:])))
    numbers = list(_numbers(text))
    for cue in reversed(list(_SAID.finditer(text))):
        if said := _said(text, cue.end(), numbers):
            return _decided(text, said, 0)
    main = _outside_brackets(text, numbers) or numbers
    return _decided(text, main, len(main) - 1) if main else None


def _said(text: str, start: int, numbers: Sequence[Number]) -> list[Number]:
    """The numbers of the sentence that gives the answer, from the one that is it; behind "=" where there is one."""
    start += len(text[start:]) - len(text[start:].lstrip(" \t\n*_#>:"))
    inside = [number for number in numbers if number.start >= start]
    stop = next((end.start() for end in _ENDS.finditer(text, start) if not _within(end.start(), inside)), len(text))
    inside = [number for number in inside if number.start < stop and not _NOT.search(text[start : number.start])]
    equals = text.rfind("=", start, stop)
    return [number for number in inside if number.start > equals] or inside


def _outside_brackets(text: str, numbers: Sequence[Number]) -> list[Number]:
    """The numbers that are not in brackets, where people put what matters less."""
    asides = [(aside.start(), aside.end()) for aside in _ASIDE.finditer(text)]
    return [number for number in numbers if not any(start < number.start < end for start, end in asides)]


def _within(at: int, numbers: Sequence[Number]) -> bool:
    return any(number.start <= at < number.end for number in numbers)


def _decided(text: str, numbers: Sequence[Number], at: int) -> float | None:
    """The value of a number; None where it is one of two: a range, "3 or 4"."""
    for first, second in zip(numbers[max(0, at - 1) : at + 1], numbers[max(1, at) : at + 2], strict=False):
        between = text[first.end : second.start]
        pair = _AND.fullmatch(between) and _BETWEEN.search(text[: first.start])
        if (pair or _OR.fullmatch(between)) and not text[second.end :].lstrip().startswith("="):
            return None
    return numbers[at].value


def _numbers(text: str) -> Iterator[Number]:
    marks = list(_LISTED.finditer(text))
    listed = [int(mark.group(1)) for mark in marks]
    skipped = (
        {mark.start(1) for mark in marks} if len(marks) > 1 and listed == list(range(1, len(marks) + 1)) else set()
    )
    for match in _NUMBER.finditer(text):
        if match.start() not in skipped:
            before = text[max(0, match.start() - 20) : match.start()]
            part = match["none"] or _IN_EXPRESSION.search(before) or _EXPRESSION.match(text, match.end())
            yield Number(start=match.start(), end=match.end(), value=None if part else _value(match))


def _value(match: regex.Match[str]) -> float | None:
    part = match.groupdict()
    try:
        if part["count"]:
            value = int(part["count"]) + int(part["above"]) / int(part["below"])
        else:
            value = _grouped(part["grouped"]) if part["grouped"] else float(part["plain"].replace(",", "."))
            value *= 10.0 ** _exponent(part["e"] or part["ten"])
            value = value ** _exponent(part["power"]) if part["power"] else value
            value = value / int(part["over"]) if part["over"] else value
            value *= _SCALES[part["scale"].lower()] if part["scale"] else 1000 if part["kilo"] else 1
    except (OverflowError, ZeroDivisionError):
        return None
    negative = (part["sign"] or "+").strip() != "+"
    return (-value if negative else value) if math.isfinite(value) else None


def _grouped(digits: str) -> float:
    """What groups of digits say: their last separator begins decimals where the others are of another kind."""
    separators = [char for char in digits if not char.isdigit()]
    decimal = separators[-1] if separators[-1] in ".," and separators.count(separators[-1]) == 1 else ""
    if decimal and len(separators) == 1:  # one comma, before three digits
        decimal = ""
    whole, _, rest = digits.rpartition(decimal) if decimal else (digits, "", "")
    return float(f"{regex.sub(r'[^0-9]', '', whole)}.{rest or 0}")


def _exponent(written: str | None) -> int:
    return int(written.replace("−", "-").replace("–", "-")) if written else 0


def _digits(text: str) -> str:
    """Digits of every script as 0 to 9; fractions and powers written with signs of their own as 1/2 and ^2."""
    text = _CURRENCY.sub("", text)
    text = _SUPERSCRIPT.sub(lambda power: "^" + unicodedata.normalize("NFKC", power.group()).replace("−", "-"), text)
    return "".join(map(_digit, text)) if not text.isascii() else text


def _digit(char: str) -> str:
    if char.isascii():
        return char
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    if unicodedata.category(char) == "No" and "FRACTION" in unicodedata.name(char, ""):
        return " " + unicodedata.normalize("NFKC", char).replace("\u2044", "/")
    return {"٫": ".", "٬": ",", "−": "−"}.get(char, char)
