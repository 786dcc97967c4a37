"""WikiText-2 raw: articles, each scored by itself, or the whole file as one text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nightjar.jobs.sequences import Mode, TextRule, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.pipeline.suites.benchmarks.question import BenchmarkRows, row_id

_CLOSED_UP = (
    ("s '", "s'"),
    (" @-@ ", "-"),
    (" @,@ ", ","),
    (" @.@ ", "."),
    (" : ", ": "),
    (" ; ", "; "),
    (" . ", ". "),
    (" ! ", "! "),
    (" ? ", "? "),
    (" , ", ", "),
)
_BRACKETS = (
    (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
    (r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
    (r"'\s*([^']*?)\s*'", r"'\1'"),
)
_LAST = (
    ("= = = =", "===="),
    ("= = =", "==="),
    ("= =", "=="),
    (" ° ", "°"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
)
"""The harness' rules, in its order: what its tokeniser set apart is closed up again."""


def raw_text(rows: BenchmarkRows) -> str:
    """The file that the rows were cut from: an empty row was a line with a single space."""
    return "".join(str(row["text"]) or " \n" for row in rows)


def articles(text: str) -> Iterator[str]:
    """The text cut before each heading of the first level."""
    lines: list[str] = []
    for line in text.split("\n"):
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.endswith(" =") and "\n".join(lines).strip():
            yield "\n".join(lines)
            lines = []
        elif heading.startswith("= ") and heading.endswith(" ="):
            lines = []
        lines.append(line)
    if "\n".join(lines).strip():
        yield "\n".join(lines)


def plain_article(page: str) -> str:
    """An article as it is written, without the spaces that the data set put around marks."""
    text = page
    for old, new in _CLOSED_UP:
        text = text.replace(old, new)
    for pattern, new in _BRACKETS:
        text = re.sub(pattern, new, text)
    for old, new in _LAST:
        text = text.replace(old, new)
    return text


def article_sequences(rows: BenchmarkRows) -> Iterator[PromptSequence]:
    """An article a sequence. Words and bytes are those of the text before it was closed up, as the harness counts."""
    for number, page in enumerate(articles(raw_text(rows)), start=1):
        rule = TextRule(words=len(re.split(r"\s+", page)), bytes=len(page.encode()))
        turn = TurnSpec(prompt=plain_article(page))
        yield PromptSequence(id=row_id("article", number), turns=(turn,), mode=Mode.PERPLEXITY, text_rule=rule)


def whole_file(rows: BenchmarkRows, rule: TextRule) -> Iterator[PromptSequence]:
    """The file as one text, the way llama.cpp's own tool reads it."""
    yield PromptSequence(id="wikitext", turns=(TurnSpec(prompt=raw_text(rows)),), mode=Mode.PERPLEXITY, text_rule=rule)
