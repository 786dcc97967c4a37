"""How Nightjar starts itself and other interpreters: whatever lies in the current folder is never run."""

from __future__ import annotations

import contextlib
import os
import sys

PYTHON = (sys.executable, "-P")
"""This interpreter, with the current folder kept off the module path."""
NIGHTJAR = (*PYTHON, "-m", "nightjar")
"""A command line of Nightjar begins so; -P keeps the current folder off the module path."""
SAFE_PATH = "PYTHONSAFEPATH"
"""-P, by the environment."""


def distrust_current_folder() -> None:
    """Keeps it off the module path, of this process and of every interpreter that it or a library starts.

    An empty entry of PYTHONPATH, which `PYTHONPATH=$PYTHONPATH:/my/modules` easily leaves, means the current folder.
    """
    os.environ[SAFE_PATH] = "1"
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [folder for folder in named if os.path.normpath(folder) != os.curdir]
    if "PYTHONPATH" not in os.environ or folders == named:
        return
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    with contextlib.suppress(OSError, ValueError):  # it was deleted, or is not there
        sys.path.remove(os.getcwd())
