"""Release series of the embedded servers' programs: how old they are, and which may open whose data. Pure."""

from __future__ import annotations

from datetime import date

_MONTHS = {
    "mongod": {"4.4": "2020-07", "5.0": "2021-07", "6.0": "2022-07", "7.0": "2023-08", "8.0": "2024-10"},
    "redis-server": {
        "6.0": "2020-04",
        "6.2": "2021-02",
        "7.0": "2022-04",
        "7.2": "2023-08",
        "7.4": "2024-07",
        "8.0": "2025-05",
    },
}
"""When the first release of a series came out."""
_EXACT = {("mongod", "6.0.5"): "2023-03", ("redis-server", "6.2.14"): "2023-10"}
"""When the versions came out that the packages bring."""
_MONGO_MAJORS = ("4.2", "4.4", "5.0", "6.0", "7.0", "8.0", "9.0")


def series(version: str) -> str:
    """`6.0` of `6.0.5`."""
    return ".".join(version.split(".")[:2])


def age(program: str, version: str, today: date) -> str | None:
    """When a version, or else its series, came out, in words; None for one that this list does not know."""
    exact = _EXACT.get((program, version))
    month = exact or _MONTHS.get(program, {}).get(series(version))
    if month is None:
        return None
    years = (today - date.fromisoformat(f"{month}-01")).days / 365.25
    return f"{'' if exact else f'series {series(version)} '}of {month}, {years:.1f} years old"


def between(last: str, now: str) -> str | None:
    """The series of mongod that data of one version must go through before another can open them.

    The other's own series where it may take over at once; None where it never can, being older or unknown.
    """
    before, after = series(last), series(now)
    if before == after:
        return after
    if before not in _MONGO_MAJORS or after not in _MONGO_MAJORS or _at(after) < _at(before):
        return None
    return _MONGO_MAJORS[_at(before) + 1]


def _at(major: str) -> int:
    return _MONGO_MAJORS.index(major)
