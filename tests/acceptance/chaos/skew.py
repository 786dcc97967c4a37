"""A wrong clock: a small library, loaded before libc, that shifts the time of day of one process."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long skew(void) {
    static long seconds, known;
    if (!known) {
        const char *text = getenv("CHAOS_SKEW_S");
        seconds = text ? atol(text) : 0;
        known = 1;
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += skew();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *where) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (where) *where = precise.tv_sec;
    return precise.tv_sec;
}
"""


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def build(folder: Path) -> Path:
    """Compiles the library."""
    source, library = folder / "skew.c", folder / "skew.so"
    source.write_text(SOURCE)
    subprocess.run([str(compiler()), "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return library


def off_by(seconds: int, library: Path) -> dict[str, str]:
    """Environment of a process whose clock is that many seconds ahead."""
    return {"LD_PRELOAD": str(library), "CHAOS_SKEW_S": str(seconds)}
