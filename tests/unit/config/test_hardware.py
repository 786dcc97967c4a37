"""Cores and memory, read from trees like those of real machines and containers."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from nightjar.config.hardware import memory_available, memory_limit, usable_cores

GIB = 2**30


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 cores, of which 12 are this process's, and 64 GiB, of which 40 are free."""

    class Memory:
        total = 64 * GIB
        available = 40 * GIB

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", Memory)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")
    return root


V1 = "4:memory:/docker/c\n3:cpu,cpuacct:/docker/c\n0::/"
# Files of /proc and /sys, and the cores that may be used.
CORES = [
    ({}, 12),  # no cgroups at all: the affinity
    ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 12),
    ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
    ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "250000 100000"}, 2),  # 2.5: a third thread would wait
    ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),  # half a core is still one thread
    ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "9900000 100000"}, 12),
    # The group around this one is the one with the limit.
    (
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            "sys/fs/cgroup/a/cpu.max": "300000 100000",
        },
        3,
    ),
    # A container that sees the host's path, with its own group mounted on top.
    ({"proc/self/cgroup": "0::/../../host/path", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_quota_us": "700000",
            "sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_period_us": "100000",
        },
        7,
    ),
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
        12,
    ),
    ({"proc/self/cgroup": "rubbish", "sys/fs/cgroup/cpu.max": "what ever"}, 12),
]


@pytest.mark.parametrize(("files", "cores"), CORES)
def test_usable_cores(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    # In v1 a mount is named after its controllers, and links lead to it from each.
    if "cpu,cpuacct" in str(files):
        (tmp_path / "sys/fs/cgroup/cpu,cpuacct").mkdir(parents=True)
        (tmp_path / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    assert usable_cores(tree(tmp_path, files)) == cores


# Files, the limit and what is available, in GiB.
MEMORY = [
    ({}, 64, 40),
    ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}, 64, 40),
    (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": str(6 * GIB),
        },
        8,
        2,
    ),
    # Of the 6 in use 2 are read-once file cache and 3 file cache in use: the system gives up both when asked.
    (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": str(6 * GIB),
            "sys/fs/cgroup/memory.stat": f"anon {GIB}\nfile {5 * GIB}\ninactive_file {2 * GIB}\nactive_file {3 * GIB}",
        },
        8,
        7,
    ),
    # In v1 the group's own cache (1 and 1) is a part of what it holds with the groups inside it (2 and 3).
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes": str(8 * GIB),
            "sys/fs/cgroup/memory/docker/c/memory.usage_in_bytes": str(6 * GIB),
            "sys/fs/cgroup/memory/docker/c/memory.stat": (
                f"inactive_file {GIB}\nactive_file {GIB}\ntotal_inactive_file {2 * GIB}\ntotal_active_file {3 * GIB}"
            ),
        },
        8,
        7,
    ),
    # Cache read while a page moves from one list to the other may be counted twice.
    (
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": str(6 * GIB),
            "sys/fs/cgroup/memory.stat": f"inactive_file {4 * GIB}\nactive_file {3 * GIB}\nslab",
        },
        8,
        8,
    ),
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes": str(16 * GIB),
            "sys/fs/cgroup/memory/docker/c/memory.usage_in_bytes": str(20 * GIB),
        },
        16,
        0,
    ),
    # v1 writes "none" as a number near 2**63.
    (
        {"proc/self/cgroup": V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"},
        64,
        40,
    ),
]


@pytest.mark.parametrize(("files", "limit", "available"), MEMORY)
def test_memory(tmp_path: Path, files: dict[str, str], limit: int, available: int) -> None:
    root = tree(tmp_path, files)
    assert (memory_limit(root) / GIB, memory_available(root) / GIB) == (limit, available)


def test_this_machine() -> None:
    assert usable_cores() >= 1
    assert memory_limit() > 0
