"""What a worker process says by its exit code, and its supervisor reads."""

from __future__ import annotations

WRONG_USAGE = 2
"""The command line, or a name in it, is wrong."""
CANNOT = 3
"""The model does not load, or every run refuses it: another process would do no better."""
BROKEN = 70
"""It broke after it was ready: another process may do better."""
