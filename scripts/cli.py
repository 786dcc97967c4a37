"""The `nightjar` command: loads a command's module only when that command is used."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from nightjar.config.errors import NightjarError, UsageError, suggest
from nightjar.config.interpreter import distrust_current_folder
from nightjar.scripts.options.given_twice import refuse_given_twice
from nightjar.scripts.streams import secure_streams
from nightjar.scripts.views.help_pages import dress

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "The main job on the bundled model, with nothing set up."),
    "init": ("init", "Make a folder a project of your own."),
    "eval": ("evaluate", "Evaluate models on a suite, everything in one terminal."),
    "try": ("try_", "One prompt, straight from a model to the terminal."),
    "suite": ("suite", "Import, list, show, export and validate suites."),
    "model": ("model", "Models on this machine."),
    "endpoint": ("endpoint", "Servers that answer for remote models."),
    "enqueue": ("enqueue", "Freeze a run and write its jobs."),
    "worker": ("worker", "Generate replies: one process, one model, one device."),
    "dispatcher": ("dispatcher", "Keep the queues topped up from MongoDB."),
    "serve": ("serve", "The page in the browser, with a dispatcher and a worker beside it."),
    "router": ("router", "Which model answers which live request."),
    "user": ("user", "Who may log in to that page."),
    "token": ("token", "Keys for programs that speak to it."),
    "status": ("status", "Services, queues, runs and workers at a glance."),
    "run": ("run", "List, show, wait for, pause, resume, cancel, retry, remove, export and import runs."),
    "judge": ("judge", "Judge a finished run; check whether its judges can judge."),
    "report": ("report", "Write the report of a run."),
    "show": ("show", "What was asked and answered, all models beside each other."),
    "search": ("search", "Find prompts, replies, reasons and documents by words and by meaning."),
    "memory": ("memory", "Facts kept across conversations: list, show, add, edit and remove them."),
    "photos": ("photos", "Photos of folders that you index, by words and by what they show."),
    "trend": ("trend", "The nights of a suite side by side."),
    "scorer": ("scorer", "What replies can be checked and measured for."),
    "compare": ("compare", "Compare runs or models, with gates."),
    "fidelity": ("fidelity", "How far quantisations and other loads are from a reference, token by token."),
    "baseline": ("baseline", "Which run a suite's other runs are compared with."),
    "schedule": ("schedule", "Nightly runs."),
    "services": ("services", "The embedded MongoDB and Redis."),
    "cleanup": ("cleanup", "Clear unfinished downloads, stray files, old logs and nights."),
    "uninstall": ("uninstall", "Remove what Nightjar keeps here, and say how to remove the program."),
    "doctor": ("doctor", "Check this machine and say what to do."),
    "completion": ("completion", "Completion of commands, runs, models and suites in bash, zsh and fish."),
}
"""Command name -> (module under scripts/commands, one line of help)."""


COMPLETE = "__complete"
"""What the scripts of `nightjar completion` call."""


class LazyCommands(TyperGroup):
    """Imports a command's module when it is invoked, not when it is listed."""

    listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            if cmd_name.startswith("-"):
                return None
            raise UsageError(f"There is no command {cmd_name!r}. {suggest(cmd_name, COMMANDS)} See `nightjar --help`.")
        module_name, help_line = COMMANDS[cmd_name]
        if self.listing:
            return TyperCommand(cmd_name, short_help=help_line, help=help_line)
        module = importlib.import_module(f"nightjar.scripts.commands.{module_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        dress(command)
        refuse_given_twice(command)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.listing = False


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from nightjar.config.version import NIGHTJAR_VERSION

        typer.echo(f"nightjar {NIGHTJAR_VERSION}")
        raise typer.Exit


@app.callback(epilog="`nightjar help COMMAND` says how a command is used, `nightjar completion` completes it.")
def nightjar(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Evaluate local GGUF language models overnight."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Runs one command. Exit codes: 0 fine, 1 the work failed or a gate tripped, 2 wrong usage or bad input."""
    if argv is None:  # a process of its own
        secure_streams()
        distrust_current_folder()
    code = _run(list(sys.argv[1:] if argv is None else argv))
    try:
        sys.stdout.flush()
    except NightjarError as error:
        _complain(str(error))
        code = code or error.exit_code
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == [COMPLETE]:
        return complete_line(arguments[1:])
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    try:
        app(arguments, prog_name="nightjar")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except NightjarError as error:
        if debug:
            raise
        _complain(str(error))
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        _complain(
            f"this should not have happened: {what}. The same command with --debug shows where; please report that."
        )
        return 1
    return 0


def complete_line(arguments: list[str]) -> int:
    """Answers a shell that asks what can come next; whatever goes wrong, it says nothing to a person who only typed."""
    from nightjar.scripts.completion.candidates import next_words
    from nightjar.scripts.completion.names import known_names
    from nightjar.scripts.completion.shells import after_breaks, answer_lines, read_call

    try:
        words, breaks = read_call(arguments)
        found = next_words(typer.main.get_command(app), words, known_names)
        print(*answer_lines(after_breaks(found, words[-1] if words else "", breaks)), sep="\n")
    except Exception:
        return 1
    return 0


def _complain(text: str) -> None:
    """An error for a person: without secrets, and without what a file or a model could do to the terminal."""
    from nightjar.config.redact import redact_text
    from nightjar.scripts.views.output import plain

    print(f"nightjar: {plain(redact_text(text))}", file=sys.stderr)
