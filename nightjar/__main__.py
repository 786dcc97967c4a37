"""`python -m nightjar` is `nightjar`: how Nightjar starts its own child processes."""

from nightjar.scripts.cli import main

main()
