"""What people don't read: LaTeX, Markdown and full-width forms around an answer, taken away. Pure."""

from __future__ import annotations

import regex

_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_WRAPPED = regex.compile(r"\\(?:text\w*|math\w+|mbox|operatorname\*?|emph|bf|rm|it)\s*\{((?:[^{}]|\{,\})*)\}")
_FRACTION = regex.compile(r"\\[dtc]?frac\s*(?:\{\s*([^{}]*?)\s*\}|(\d))\s*(?:\{\s*([^{}]*?)\s*\}|(\d))")
_BOX = regex.compile(r"\\f?boxed\s*(\{|\S)")
LONGEST_BOX = 500
"""Characters in a box that are looked through for its end."""
_SPACES = regex.compile(r"\\[,;:!> ]|\\q?quad\b|~")
_DROPPED = regex.compile(r"\\(?:left|right|displaystyle|[()\[\]])|\$|\*\*|__|~~|`")
_TAG = regex.compile(r"<(/?)([A-Za-z]\w{0,20})>")
NESTED = 4
"""Wrappers in one another that are taken away."""
SAID = "\nAnswer: {}\n"
"""What a box or an <answer> tag says, in the words that the readers look for."""


def bare(text: str) -> str:
    """The text without markup; what stands in a box, or in an <answer> tag, becomes a line "Answer: ..."."""
    text = text.translate(_FULL_WIDTH).replace("{,}", ",").replace(r"\$", "").replace(r"\%", "%")
    for _ in range(NESTED):
        text, changed = _WRAPPED.subn(r"\1", text)
        if not changed:
            break
    text = _FRACTION.sub(_fraction, text)
    text = _unboxed(text)
    text = _TAG.sub(_tag, text)
    return _DROPPED.sub("", _SPACES.sub("\u2009", text))


def _unboxed(text: str) -> str:
    parts: list[str] = []
    at = 0
    for box in _BOX.finditer(text):
        if box.start() < at:  # inside the box before
            continue
        inside = box.group(1)
        end = box.end()
        if inside == "{":
            end = _closing(text, end)
            inside = text[box.end() : end - 1]
        parts += [text[at : box.start()], SAID.format(inside)]
        at = end
    return "".join([*parts, text[at:]])


def _closing(text: str, start: int) -> int:
    """Behind the brace that closes what was opened before `start`; the start where none does soon."""
    depth = 1
    for at in range(start, min(len(text), start + LONGEST_BOX)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    return start


def _fraction(match: regex.Match[str]) -> str:
    above, below = match.group(1) or match.group(2) or "", match.group(3) or match.group(4) or ""
    if not (_plain(above) and _plain(below)):
        return match.group()
    mixed = match.string[max(0, match.start() - 1) : match.start()].isdigit()
    return f"{' ' if mixed else ''}{above}/{below}"


def _plain(part: str) -> bool:
    return regex.fullmatch(r"-?\d+(?:\.\d+)?", part) is not None


def _tag(match: regex.Match[str]) -> str:
    closing, name = match.groups()
    if name.lower() != "answer":
        return ""
    return "\n" if closing else SAID.format("").rstrip("\n")
