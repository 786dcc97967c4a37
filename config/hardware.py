"""What this process may use of the machine: cores by affinity and cgroup quota, memory by cgroup limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = 2**60
"""cgroup v1 writes "no limit" as a number near 2**63."""


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: its CPU affinity, or its cgroup's quota if that is less; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _groups(root, "cpu"):
        quota = _quota(folder)
        if quota is not None:
            cores = min(cores, int(quota))
    return max(1, cores)


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes that this process may use at most: the machine's memory, or its cgroup's limit if that is less."""
    import psutil

    limits = [limit for folder in _groups(root, "memory") if (limit := _limit(folder)) is not None]
    return min([psutil.virtual_memory().total, *limits])


def memory_available(root: Path = Path("/")) -> int:
    """Bytes that this process can still allocate without swapping or being killed for it."""
    import psutil

    free = psutil.virtual_memory().available
    for folder in _groups(root, "memory"):
        limit, used = _limit(folder), _used(folder)
        if limit is not None and used is not None:
            free = min(free, max(0, limit - used))
    return int(free)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup for a controller and of the groups around it, v2 and v1."""
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controllers and controller)
        inner = Path(path.lstrip("/"))
        # Inside a container the path may be the host's, while the container's own group is mounted at the top.
        for group in (inner, *inner.parents):
            if ".." not in group.parts and (mount / group).is_dir():
                yield mount / group


def _quota(folder: Path) -> float | None:
    """Cores' worth of CPU time that the group gets; None: no limit."""
    numbers = (_read(folder / "cpu.max") or "").split()
    if not numbers:
        numbers = [_read(folder / "cpu.cfs_quota_us") or "", _read(folder / "cpu.cfs_period_us") or ""]
    try:
        quota, period = (int(number) for number in numbers)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _limit(folder: Path) -> int | None:
    limit = _number(folder / "memory.max")
    if limit is None:
        limit = _number(folder / "memory.limit_in_bytes")
    return limit if limit is not None and limit < _UNLIMITED else None


def _used(folder: Path) -> int | None:
    """Bytes in use that the system would not give up on its own: the cache of files counts as free, as it does in the
    machine's own `available`."""
    used = _number(folder / "memory.current")
    if used is None:
        used = _number(folder / "memory.usage_in_bytes")
    if used is None:
        return None
    stat = dict(line.split(" ", 1) for line in (_read(folder / "memory.stat") or "").splitlines() if " " in line)
    # In v1 the names without `total_` leave out the groups inside this one, whose use is counted above.
    cached = [stat.get(f"total_{name}", stat.get(name, "")) for name in ("inactive_file", "active_file")]
    return max(0, used - sum(int(value) for value in cached if value.isdigit()))


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text is not None and text.isdigit() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
