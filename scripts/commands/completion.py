"""`nightjar completion`: what a shell needs to complete commands, runs, models and suites."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def completion(
    shell: Annotated[str | None, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")] = None,
) -> None:
    """Print what completes commands, options, runs, models and suites in your shell.

    bash: source <(nightjar completion bash), in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc. fish: nightjar
    completion fish | source, in config.fish.

    Example: nightjar completion bash > ~/.local/share/bash-completion/completions/nightjar
    """
    from nightjar.config.errors import UsageError
    from nightjar.scripts.completion.shells import SHELLS

    if shell not in SHELLS:
        raise UsageError(f"Name the shell: {' or '.join(f'`nightjar completion {name}`' for name in SHELLS)}.")
    print(SHELLS[shell], end="")
