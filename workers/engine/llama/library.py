"""The library itself: which build it is, and where its log lines go."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import llama_cpp as llama
import structlog

from nightjar.config.logging import llama_log

BUILD = f"llama.cpp {llama.llama_version().decode()}"
BINDING: str = llama.__version__
_WARNING, _ERROR = 3, 4  # ggml.h: enum ggml_log_level
_recent_errors: deque[str] = deque(maxlen=3)
_recent_warnings: deque[str] = deque(maxlen=16)
# Where gdb is installed, llama.cpp has it print every frame before it aborts: for seconds, and forever where two
# threads abort.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")


def forget_errors() -> None:
    """To be called before what may fail, so that `recent_errors` and `recent_warnings` speak of that alone."""
    _recent_errors.clear()
    _recent_warnings.clear()


def recent_errors() -> str:
    """The last error lines that llama.cpp logged; empty if there are none."""
    return "; ".join(_recent_errors)


def recent_warnings() -> tuple[str, ...]:
    """The last warning lines that llama.cpp logged."""
    return tuple(_recent_warnings)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def log_line(level: int, text: bytes, _: Any) -> None:
    line = text.decode("utf-8", "replace")
    if level == _ERROR and line.strip():
        _recent_errors.append(line.strip())
    if level == _WARNING:
        _recent_warnings.append(line.strip())
    if structlog.is_configured():
        llama_log(level, line)


llama.llama_log_set(log_line, None)  # `log_line` lives as long as the module: without it the process would crash
