"""Names made of other texts, such as the name of a file. Pure."""

from __future__ import annotations

import re
import unicodedata

from nightjar.jobs.identity import digest

SUFFIX_CHARS = 8
_DECORATION = r"\s()\[\]{},;'\"!&@"
"""What may be lost without a trace: it seldom tells two names apart."""


def made_name(text: str, *, marks: str, longest: int, otherwise: str) -> str:
    """A name of ASCII letters, digits and `marks`, with "-" for the rest; `otherwise` where nothing is left.

    Where more than blanks and brackets was lost, the beginning of the text's digest follows: texts that differ in what
    a name may not hold, in Chinese letters say, keep different names.
    """
    normal = unicodedata.normalize("NFC", text)
    letters = rf"A-Za-z0-9{re.escape(marks)}"
    bare = "".join(char for char in unicodedata.normalize("NFKD", normal) if not unicodedata.combining(char))
    clean = re.sub(rf"[^{letters}]+", "-", bare).lstrip(marks + "-")
    if clean and len(clean) <= longest and not re.search(rf"[^{letters}{_DECORATION}]", normal):
        return clean
    kept = clean[: longest - SUFFIX_CHARS - 1].rstrip(marks + "-") or otherwise
    return f"{kept}-{digest(normal)[:SUFFIX_CHARS]}"
