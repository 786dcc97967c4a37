"""`python -m scripts` is `nightjar`: how Nightjar starts its own child processes."""

from scripts.cli import main

main()
