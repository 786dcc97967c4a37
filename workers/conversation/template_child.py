"""The process that renders a worker's chat templates: `python -m nightjar.workers.conversation.template_child`.

Whatever a template gets past the sandbox (`template_sandbox.py`) ends this process and no other: it has limits of its
own on memory and processor time, no secrets in its environment, and nothing open but two pipes. Questions come in on
standard input and answers go out on standard output, each JSON behind its length in four bytes. It ends when its input
does; signals to a whole group of processes (Ctrl-C, a service that stops) leave it to its parent, which still needs it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import struct
import sys
from typing import IO, Any

from nightjar.config.errors import TemplateError
from nightjar.workers.conversation.template_render import SandboxRenderer

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


def main() -> None:
    memory_bytes, cpu_s = int(sys.argv[1]), float(sys.argv[2])
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed by mistake is no answer
    with contextlib.suppress(ValueError, OSError):  # where the host's own limits are lower
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    renderer = SandboxRenderer()
    while (question := read_frame(sys.stdin.buffer, sys.maxsize)) is not None:
        _allow(cpu_s)
        answers.write(encode_frame(_answer(renderer, question)))
        answers.flush()


def _allow(cpu_s: float) -> None:
    """So many more seconds of processor time; SIGXCPU ends the process after them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + cpu_s)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(renderer: SandboxRenderer, question: dict[str, Any]) -> dict[str, str]:
    source, date, variables = question["source"], question["date"], question["variables"]
    try:
        if variables is None:
            renderer.compile(source, date)
            return {"text": ""}
        return {"text": renderer.render(source, date, variables)}
    except TemplateError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
