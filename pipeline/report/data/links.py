"""Links from a number to the transcripts behind it. Pure.

The page's script reads `#?model=amber&tag=story&sort=checks`; the same address can be kept and sent.
"""

from __future__ import annotations

from urllib.parse import urlencode

FLAGS = {
    "failed": "job failed",
    "empty": "empty reply",
    "degenerate": "degenerate reply",
    "length": "cut off by length",
    "context": "cut off by context",
    "timeout": "timed out",
    "missing": "turns missing",
    "unscored": "something unscored",
    "error": "a scorer failed",
    "dropped": "turns left out",
}
"""What a transcript may be marked with, and how the filter names it."""
TOKENS, SECONDS = "reply tokens", "seconds"
"""What transcripts can be sorted by beside the metrics."""


def show(
    *,
    model: str | None = None,
    tag: str | None = None,
    sequence: str | None = None,
    repeat: int | None = None,
    flag: str | None = None,
    sort: str | None = None,
    find: str | None = None,
) -> str:
    """The address, without "#", of the transcripts that fit all that is given; `repeat` from 0, `sort`: worst first."""
    facets = {
        "model": model,
        "tag": tag,
        "sequence": sequence,
        "repeat": None if repeat is None else str(repeat + 1),
        "flag": flag,
        "sort": sort,
        "find": find,
    }
    return "?" + urlencode({name: value for name, value in facets.items() if value is not None})


def job_anchor(job_id: str) -> str:
    """The id of a transcript in the page."""
    return f"job-{job_id}"
