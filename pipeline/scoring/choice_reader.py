"""Which option of several a reply chooses, read as a person reads it. Pure.

Every mention of an option is looked at with the words around it: is it said to be the answer, or chosen, or ruled out?
An answer that is said ("Answer: B", a box) goes before a choice ("I'd go with B", "B is correct"), that before a reply
that begins with a letter, then a line with nothing but a letter, and last the only option that is named and not ruled
out. Where two are left it is undecided. A later answer replaces an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import regex

from nightjar.pipeline.scoring import choice_words as words
from nightjar.pipeline.scoring.markup import bare

MOST_CHARS = 20_000
"""Of a longer reply the beginning and the end are read, half each."""
MOST_MENTIONS = 400
"""Likewise of the mentions."""
AROUND = 200
"""Characters looked at before an option and after it."""
UNDECIDED = ""
_LOOKALIKES = dict(zip("АВСЕΑΒΕأابجده", "ABCEABEAABCDE", strict=True))
"""Cyrillic and Greek letters of the same shape; the letters that lists in Arabic count with."""
_LEFT = r"(?<![\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{N}_\\])(?<!\p{L}[.'’-])"
_RIGHT = r"(?![\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}\p{N}_+#]|[-–]\p{L}|\.\p{L}|['’](?:s|d|ll|ve|re|m|t)(?!\p{L}))"
_SENTENCE = regex.compile(r"[.!?](?=\s|$)|[。！？；;\n]")
_ITEM = regex.compile(r"[)\]}）】]|[.:：](?=\s*\S)")
_CALLED = regex.compile(rf"(?:{words.OPTION})[\s\"'“‘(\[]*$", regex.IGNORECASE)
_DECORATION = r"[\s*_#>\"'“‘«「『(\[{（【|-]*"
_OPENS = regex.compile(rf"{_DECORATION}(?:(?:the|{words.OPTION}){_DECORATION})?", regex.IGNORECASE)
_LINE_OPENS = regex.compile(_DECORATION)
_LINE_ENDS = regex.compile(r"[\s)\]}>\"'”’»」』】）.!。*_]*")
_JOINED = regex.compile(
    rf"[ \t)\]}}\"']*(?:[,/&、，]|,?\s*(?:{words.JOINS})(?![\p{{Latin}}\p{{Cyrillic}}]))[ \t]*"
    rf"(?:(?:{words.JOINS})(?![\p{{Latin}}\p{{Cyrillic}}])[ \t]*)?(?:(?:{words.OPTION})[ \t]*)?[(\[{{\"' \t]*",
    regex.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """An option that a reply names, with what is said before and after it."""

    option: str
    start: int
    end: int
    before: str
    after: str
    heads_line: bool
    item: bool
    """Written as in a list: "B)", "(B)", or "B." at the head of a line."""
    called: bool
    """By a word such as "option"."""

    @property
    def wrong(self) -> bool:
        return bool(words.WRONG_AFTER.match(self.after) or (self.item and words.WRONG_ITEM.match(self.after)))

    @property
    def right(self) -> bool:
        return bool(words.RIGHT_AFTER.match(self.after) or (self.item and words.RIGHT_ITEM.match(self.after)))


_Group = Sequence[Mention]
"""Mentions that are joined: "A and B", "A, B or C"; most have one."""


def chosen_option(reply: str, options: Sequence[str]) -> str | None:
    """The option that a reply chooses; None where that is undecided."""
    if len(reply) > MOST_CHARS:
        reply = f"{reply[: MOST_CHARS // 2]}\n{reply[-MOST_CHARS // 2 :]}"
    text = bare(reply)
    for turn in reversed(list(words.CORRECTION.finditer(text))[-3:]):
        corrected = text[turn.end() :]
        if option := _stated(_groups(_mentions(corrected, tuple(options)), corrected)):
            return option
    groups = _groups(_mentions(text, tuple(options)), text)
    for option in (_stated(groups), _begun(groups, text), _alone(groups, text), _only(groups)):
        if option is not None:
            return option or None
    return None


def _mentions(text: str, options: tuple[str, ...]) -> list[Mention]:
    mentions: list[Mention] = []
    matches = list(_pattern(options).finditer(text))
    if len(matches) > MOST_MENTIONS:
        matches = matches[: MOST_MENTIONS // 2] + matches[-MOST_MENTIONS // 2 :]
    for match in matches:
        mention = _mention(text, match, options, mentions[-1].end if mentions else 0)
        if _counts(mention, match.group(), text):
            mentions.append(mention)
    ends = [mention.start for mention in mentions[1:]] + [len(text)]
    return [  # what follows a mention ends with the next one
        replace(mention, after=mention.after[: end - mention.end]) for mention, end in zip(mentions, ends, strict=False)
    ]


@lru_cache(maxsize=64)
def _pattern(options: tuple[str, ...]) -> regex.Pattern[str]:
    letters = {option for option in options if len(option) == 1}
    forms = {*options, *(form for letter in letters for form in (letter.lower(), letter.upper()))}
    forms |= {shape for shape, letter in _LOOKALIKES.items() if letter in letters}
    either = "|".join(map(regex.escape, sorted(forms, key=len, reverse=True)))
    whole = "|".join(regex.escape(option) for option in options if len(option) > 1)
    return regex.compile(rf"{_LEFT}(?:{either}{rf'|(?i:{whole})' if whole else ''}){_RIGHT}")


@lru_cache(maxsize=64)
def _meanings(options: tuple[str, ...]) -> dict[str, str]:
    meanings = {shape: letter for shape, letter in _LOOKALIKES.items() if letter in options}
    meanings |= {form: option for option in options for form in (option.upper(), option.lower(), option.casefold())}
    return meanings | {option: option for option in options}


def _mention(text: str, match: regex.Match[str], options: tuple[str, ...], floor: int) -> Mention:
    start, end = match.span()
    meanings, written = _meanings(options), match.group()
    line = text[max(text.rfind("\n", 0, start) + 1, floor) : start]
    heads_line = ("\n" not in text[floor:start] and floor == 0) or text.rfind("\n", 0, start) + 1 >= floor
    heads_line = heads_line and _LINE_OPENS.fullmatch(line) is not None
    before = _before(text, start, floor, heads_line)
    stop = _SENTENCE.search(text, end + 1, min(len(text), end + AROUND))
    bracketed = text[end : end + 1] in ")]}）】" and line.count("(") - line.count(")") <= line.endswith("(")
    listed = heads_line and _ITEM.match(text, end) is not None
    return Mention(
        option=meanings.get(written) or meanings[written.casefold()],
        start=start,
        end=end,
        before=before,
        after=text[end : stop.end() if stop else end + AROUND],
        heads_line=heads_line,
        item=text[end : end + 1] != "" and (bracketed or listed),
        called=_CALLED.search(before) is not None,
    )


def _before(text: str, start: int, floor: int, heads_line: bool) -> str:
    """What the sentence says before an option; for one at the head of a line, the line above it, too."""
    before = text[max(floor, start - AROUND) : start]
    head, _, here = before.rpartition("\n")
    before = head.rstrip().rpartition("\n")[2] + "\n" + here if heads_line else here
    ends = [stop.end() for stop in _SENTENCE.finditer(before) if stop.group() != "\n"]
    return before[ends[-1] :] if ends and before[ends[-1] :].strip() else before


def _counts(mention: Mention, written: str, text: str) -> bool:
    """Whether it is meant as an option: not an article, nor a letter or word that only looks like one."""
    if len(written) > 1 or mention.item or mention.called:
        return True
    if _is_alone(mention, text):
        return True
    shy = written.islower() or written in _LOOKALIKES
    if (shy or written in "AI") and words.ARTICLE_AFTER.match(text, mention.end):
        return False
    begins = mention.start == len(text) - len(text.lstrip()) and text[mention.end : mention.end + 1] in (",", ".")
    return not shy or begins or words.ANSWER_BEFORE.search(mention.before) is not None


def _groups(mentions: Sequence[Mention], text: str) -> Sequence[_Group]:
    groups: list[list[Mention]] = []
    for mention in mentions:
        last = groups[-1][-1] if groups else None
        between = text[last.end : mention.start] if last is not None else ""
        joined = last is not None and _JOINED.fullmatch(between) is not None
        alone = joined and between.strip(" ()[]") == "," and mention.wrong  # "B, A is wrong"
        if joined and not alone:
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return groups


def _ruled_out(group: _Group) -> bool:
    return group[-1].wrong or words.NOT_BEFORE.search(group[0].before) is not None


def _named(group: _Group) -> str:
    """The option of a group; undecided where it has several."""
    options = {mention.option for mention in group}
    return options.pop() if len(options) == 1 else UNDECIDED


def _stated(groups: Sequence[_Group]) -> str | None:
    """The last option that is said to be the answer, else the one that is chosen."""
    left = [group for group in groups if not _ruled_out(group)]
    said = [group for group in left if _is_said(group)]
    if said:
        return _named(said[-1])
    chosen = [_named(group) for group in left if _is_chosen(group)]
    return (chosen[-1] if len(set(chosen)) == 1 else UNDECIDED) if chosen else None


def _is_said(group: _Group) -> bool:
    asked = words.QUESTION_AFTER.match(group[-1].after) is not None
    return not asked and words.ANSWER_BEFORE.search(group[0].before) is not None


def _is_chosen(group: _Group) -> bool:
    first, last = group[0], group[-1]
    if last.right or words.CHOSEN_BEFORE.search(first.before):
        return True
    return bool(words.CONCLUDED_BEFORE.search(first.before) and words.ENDS_AFTER.match(last.after))


def _begun(groups: Sequence[_Group], text: str) -> str | None:
    """The option that the reply begins with, unless it goes through a list of them."""
    if not groups or _ruled_out(groups[0]) or not _OPENS.fullmatch(text[: groups[0][0].start]):
        return None
    first = groups[0][0]
    if len(first.option) == 1 and not words.BEGINS_AFTER.match(groups[0][-1].after):
        return None
    for mention in _others(groups):
        written_alike = text[mention.end : mention.end + 1] == text[first.end : first.end + 1]
        alike = mention.item == first.item and (mention.heads_line or (first.item and written_alike))
        if alike and mention.option != first.option:
            return None
    return _named(groups[0])


def _others(groups: Sequence[_Group]) -> Iterator[Mention]:
    for group in groups[1:]:
        if not _ruled_out(group):
            yield from group


def _is_alone(mention: Mention, text: str) -> bool:
    """Whether its line holds nothing else."""
    end = text.find("\n", mention.end)
    rest = text[mention.end : len(text) if end < 0 else end]
    return mention.heads_line and _LINE_ENDS.fullmatch(rest) is not None


def _alone(groups: Sequence[_Group], text: str) -> str | None:
    alone = {mention.option for group in groups for mention in group if _is_alone(mention, text)}
    return alone.pop() if len(alone) == 1 else None


def _only(groups: Sequence[_Group]) -> str | None:
    left = {
        mention.option
        for group in groups
        if not _ruled_out(group)
        for mention in group
        if mention.item or mention.called or len(mention.option) > 1
    }
    return left.pop() if len(left) == 1 else None
