"""Logs: readable on a terminal, JSON lines elsewhere; run, job and worker on every event; secrets never.

Events of Nightjar and of the libraries take one path: structlog -> standard logging -> one handler on the root logger.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from nightjar.config.redact import redact, remember
from nightjar.config.settings import Settings

_LIBRARIES = (
    *("arq", "asyncio", "beanie", "filelock", "httpcore", "httpcore2", "httpx", "httpx2"),
    *("hf_xet", "huggingface_hub", "openai", "pymongo", "requests", "transformers", "urllib3"),
)
"""Logged from WARNING on; at log level debug from INFO on."""
_OWN_HANDLERS = ("huggingface_hub", "transformers")
"""Libraries that add a handler to their logger when they are imported."""
# ggml.h: enum ggml_log_level. Its INFO is a hundred lines per load, which to us is debug.
_LLAMA_LEVELS = {1: "debug", 2: "debug", 3: "warning", 4: "error"}
_LLAMA_CONTINUES = 5
_process_fields: dict[str, Any] = {}


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Sets up logging for this process, to `stream` or else standard error; a second call replaces the first."""
    night = settings.night
    secrets = (settings.mongo_url, settings.redis_url, settings.hf_token, night.webhook_secret, night.smtp_password)
    for secret in secrets:
        remember(secret)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_process_fields,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                redact_event,
                *_renderer(settings, handler.terminal()),
            ],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [*(h for h in root.handlers if not isinstance(h, _Handler)), handler]
    root.setLevel(settings.log_level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO if settings.log_level == "debug" else logging.WARNING)
    for name in _OWN_HANDLERS:
        logging.getLogger(name).handlers = _NoHandlers()


def configure_for_program() -> None:
    """For a program that imports Nightjar: what is logged goes to its own standard logging, below "nightjar".

    Nothing is printed unless the program sets logging up; structlog is left alone where the program uses it itself.
    """
    for name in ("nightjar", "llama.cpp"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _add_process_fields,
            structlog.processors.format_exc_info,
            redact_event,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def bind(**fields: Any) -> None:
    """Puts the fields (run, job, turn) on every event of this context: this task and the tasks it starts."""
    structlog.contextvars.bind_contextvars(**fields)


def bind_process(**fields: Any) -> None:
    """Puts the fields (worker) on every event of this process, whatever the thread; None removes a field."""
    for name, value in fields.items():
        _process_fields.pop(name, None)
        if value is not None:
            _process_fields[name] = value


def redact_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor: the event as plain data without secrets, exceptions included."""
    result: MutableMapping[str, Any] = redact(dict(event))
    return result


class LlamaLog:
    """Joins the fragments that llama.cpp logs into lines, one event each. May be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._text = ""
        self._level = "debug"
        self.tap: Callable[[str, str], None] | None = None
        """Gets each line's level and text, too; must not raise or wait."""

    def __call__(self, level: int, text: str) -> None:
        """Takes one fragment with its ggml_log_level. Never raises, since llama.cpp is the caller."""
        with self._lock:
            if level != _LLAMA_CONTINUES:
                self._flush()  # a line that was never finished
                self._level = _LLAMA_LEVELS.get(level, "debug")
            *lines, self._text = (self._text + text).split("\n")
            for line in lines:
                self._emit(line)

    def _flush(self) -> None:
        line, self._text = self._text, ""
        self._emit(line)

    def _emit(self, line: str) -> None:
        if line.strip(" ."):  # dots are a progress bar
            if self.tap is not None:
                self.tap(self._level, line.rstrip())
            getattr(structlog.get_logger("llama.cpp"), self._level)("llama.cpp", line=line.rstrip())


llama_log = LlamaLog()


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream, or to whatever standard error is at the moment (tests and consoles replace it)."""

    def __init__(self, stream: TextIO | None) -> None:
        logging.Handler.__init__(self)
        self._fixed = stream

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return self._fixed or sys.stderr

    def terminal(self) -> bool:
        return self.stream.isatty()


class _NoHandlers(list[logging.Handler]):
    """Stays empty, so that a library imported later cannot log everything a second time in its own format."""

    def append(self, handler: logging.Handler) -> None:
        pass


def _add_process_fields(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**_process_fields, **event}


def _renderer(settings: Settings, terminal: bool) -> list[Processor]:
    if settings.log_format == "json" or (settings.log_format == "auto" and not terminal):
        return [structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [_visible_controls, structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=plain)]


def _visible_controls(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor: text from models and files cannot control the terminal."""
    result: MutableMapping[str, Any] = _shown(dict(event))
    return result


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {_shown(key): _shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in value)
    return value
