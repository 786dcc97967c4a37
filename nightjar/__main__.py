"""`python -P -m nightjar` is `nightjar`: how Nightjar starts its own child processes."""

import sys

if not sys.flags.safe_path:  # without -P the current folder comes first, and may be anybody's
    del sys.path[0]

from nightjar.scripts.cli import main

main()
