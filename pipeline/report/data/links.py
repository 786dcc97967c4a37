"""Links from a number to the transcripts behind it. Pure.

The page's script reads `#?model=amber&tag=story&sort=checks`; the same address can be kept and sent.
"""

from __future__ import annotations

from urllib.parse import urlencode

FLAGS = {
    "failed": "job failed",
    "empty": "empty reply",
    "degenerate": "degenerate reply",
    "repeats": "reply before it again",
    "length": "cut off by max_tokens",
    "context": "cut off by a full context",
    "timeout": "cut off by the time limit",
    "grammar": "cut off by a limit of its grammar",
    "missing": "turns missing",
    "unscored": "something unscored",
    "error": "a scorer failed",
    "dropped": "turns left out",
}
"""Flag of a transcript -> its label in the filter."""
TOKENS, SECONDS = "reply tokens", "seconds"
"""What transcripts can be sorted by besides the metrics."""


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
    """The address, without "#", of the transcripts that match every argument given.

    `repeat` counts from 0; `sort` puts the worst first.
    """
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
