"""How a decode that makes no progress is given up, and what llama.cpp says of one that failed."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp as llama

from nightjar.config.errors import EngineError
from nightjar.workers.engine.llama.library import recent_errors

_MEANINGS = {1: "no room in the KV cache", 2: "aborted: it made no progress", -1: "the batch was refused"}


class AbortText:
    """llama.cpp asks after every node whether to abort. A Python callback would wait for the interpreter's lock each
    time; `strlen` of a buffer answers without it: 0 goes on, 1 aborts. From any thread."""

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def heard_by(self, context: Any) -> None:
        """This must outlive the context."""
        asked = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
        llama.llama_set_abort_callback(context, asked, ctypes.cast(self._text, ctypes.c_void_p))

    def clear(self) -> None:
        self._text.value = b""

    def abort(self) -> None:
        self._text.value = b"1"


def decode_error(code: int, what: str) -> EngineError:
    """`what`: how much was to be decoded."""
    meaning = _MEANINGS.get(code, "a fatal error in llama.cpp")
    return EngineError(f"Decoding failed with code {code} ({meaning}); {what}. {recent_errors()}".rstrip())
