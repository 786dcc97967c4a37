"""Tokenising long texts: llama.cpp's pre-tokenisers go one call deeper with each character of a match.

The stack of an ordinary thread ends within 40,000 characters of one kind, and the process with it. How long a match can
be depends on the model's patterns: some take all that is not white space, one takes words with the spaces between them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from nightjar.config.errors import ModelError

SHALLOW = 2_000
"""Characters that any thread's stack has room for."""
DEEPEST = 200_000
"""Characters of one match for which a stack is made."""
BYTES_PER_CHARACTER = 1_024
"""Stack, three times what libstdc++ was seen to take; pages of it that are not touched cost nothing."""
BASE = 2**20
_RUNS = re.compile(r"\s+|\S+"), re.compile(r"[\w ]+|[^\w ]+")
"""No pattern of llama.cpp matches more than one of these."""
_starting = threading.Lock()


def with_room_for(text: str, call: Callable[[], int]) -> int:
    """Makes the call where the stack holds this text. Raises ModelError for one that no stack is made for."""
    if len(text) <= SHALLOW:
        return call()
    deepest = len(text) if len(text) <= DEEPEST else _longest_run(text)
    if deepest > DEEPEST:
        raise ModelError(
            f"A text has {deepest:,} characters without a change between words and white space or punctuation, and "
            f"llama.cpp's tokenizer goes a call deeper with each: {DEEPEST:,} are the most that Nightjar makes room "
            "for. Break it into lines."
        )
    return _in_a_thread(BASE + deepest * BYTES_PER_CHARACTER, call)


def _longest_run(text: str) -> int:
    return max(match.end() - match.start() for runs in _RUNS for match in runs.finditer(text))


def _in_a_thread(stack_bytes: int, call: Callable[[], int]) -> int:
    """A thread of its own each time: what a stack has touched is given back only when its thread ends."""
    outcome: list[int | BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="tokenizer")
    with _starting:  # the size is the process's, for threads that are started from now on
        usual = threading.stack_size(-(-stack_bytes // 4096) * 4096)
        try:
            thread.start()
        except RuntimeError as error:
            raise ModelError(f"There is no memory for a stack of {stack_bytes / 2**20:.0f} MiB ({error}).") from error
        finally:
            threading.stack_size(usual)
    thread.join()
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result
