"""A process that was told to end does end, whatever hangs in it: a thread, a task, the event loop."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable

LAST_RESORT_S = 2.0
"""A thread cannot end the process while other code keeps the interpreter; after so long a watchdog without it does."""


def heed(signum: signal.Signals, told: Callable[[], object], within_s: Callable[[], float]) -> None:
    """Calls `told` in the running event loop when the signal comes; the process is gone `within_s` later.

    The deadline is set by Python's own handler, so that it runs even where the loop does not.
    """
    asyncio.get_running_loop().add_signal_handler(signum, told)
    signal.signal(signum, lambda *_: end_within(within_s(), 128 + signum))  # the loop still hears it by its wakeup fd
    signal.siginterrupt(signum, False)


def end_within(seconds: float, code: int) -> None:
    """Ends this process after so long, with the exit code, and says on standard error where each thread was."""

    def end() -> None:
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + LAST_RESORT_S, exit=True, file=sys.__stderr__ or 2)
