"""What runs in a `LimitedProcess`: questions come in on standard input and answers go out on standard output.

Each is JSON behind its length in four bytes. The process ends when its input does; signals to a whole group of
processes (Ctrl-C, a service that stops) leave it to its parent, which still needs it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import IO, Any

HEAD = struct.Struct(">I")


def encode_frame(data: Any) -> bytes:
    """One question or answer. Texts may hold lone surrogates."""
    body = json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return HEAD.pack(len(body)) + body


def read_frame(stream: IO[bytes], most: int) -> Any:
    """The next one; None at the end of the stream. Raises ValueError for what is no frame, or larger than `most`."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    (length,) = HEAD.unpack(head)
    if length > most:
        raise ValueError(f"{length:,} bytes")
    body = stream.read(length)
    return json.loads(body.decode("utf-8", "surrogatepass")) if len(body) == length else None


def answer_questions(answer: Callable[[Any], dict[str, Any]], *, beyond_start: bool = False) -> None:
    """Answers until the input ends. The limits are the command's arguments: bytes of memory, and seconds of processor
    time for a question. `beyond_start`: so many bytes more than what is in use now."""
    memory_bytes, cpu_s = int(sys.argv[1]), float(sys.argv[2])
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed by mistake is no answer
    memory_bytes += _address_space() if beyond_start else 0
    with contextlib.suppress(ValueError, OSError):  # where the host's own limits are lower
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (question := read_frame(sys.stdin.buffer, sys.maxsize)) is not None:
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # SIGPROF ends the process after so much processor time
        data = encode_frame(answer(question))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(data)
        answers.flush()


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
