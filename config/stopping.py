"""How a process is told to end: by a signal, or by the end of the process that started it; and that it does end."""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT_POLL_S = 0.5
LEAVING_S = 5.0
"""After its work was told to end, a process has this long for its clean-up; then it is gone whatever it does."""
OVERDUE_S = LEAVING_S + 3
"""A child that is still there so long after its time to drain is killed."""


def end_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a process to end: SIGTERM, Ctrl-C, a closed terminal. Under `nohup` the last is ignored."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangs_up else []))


def exit_code(signum: int) -> int:
    """Of a process that a signal ended, as a shell shows it."""
    return 128 + signum


def leave_within(seconds: float, code: int) -> threading.Timer:
    """Ends this process after so long, from a thread of its own: code in a library cannot be cancelled."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
    return timer


def follow_parent(parent: int, *, within_s: float) -> None:
    """From now on this process is told to end (SIGTERM) when its parent has, and is gone `within_s` later."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_S)
        leave_within(within_s, exit_code(signal.SIGTERM))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
