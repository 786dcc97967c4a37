"""The options that `enqueue`, `schedule add` and `eval` share, and how they become a request.

A new option of a run is a field here, named as in `pipeline.runs.request`; `request_options` hands it on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.scripts.options.gates import GateOptions

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.ending import Hook

READ = ("assignments", "memory", "systems", "stalled_after", "report_formats")
"""Fields that the request holds under another name, parsed."""
RunName = Annotated[
    str | None, typer.Option(help="The run's name; {date} becomes the day (UTC). The same name is the same run.")
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run generates and how it is judged."""

    repeats: Annotated[int, typer.Option(help="How often each sequence is generated, each time with another seed.")] = 1
    seed: Annotated[int | None, typer.Option(help="Seed of the run; default: from the suite's name.")] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value or MODEL:key=value, a generation parameter; repeatable."),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep facts across conversations: of each contestant in this run, or read shared/NAME.",
        ),
    ] = None
    systems: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="[NAME=]FILE",
            help="Try this system prompt; several are ranked against each other, `suite` is the suite's own.",
        ),
    ] = None
    only_variants: Annotated[
        list[str] | None, typer.Option("--variant", help="Only this variant of the suite; repeatable.")
    ] = None
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only sequences with this tag or id; repeatable.")
    ] = None
    limit: Annotated[int | None, typer.Option(help="At most so many sequences, the first ones.")] = None
    budget: Annotated[
        float | None,
        typer.Option(metavar="USD", help="Send nothing more to endpoints where it could cost more than this."),
    ] = None
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Send nothing to an endpoint: policies choose among local models.")
    ] = False
    judges: Annotated[
        list[str] | None, typer.Option("--judge", help="A model that judges the replies; repeatable.")
    ] = None
    rubric: Annotated[
        Path | None, typer.Option("--rubric", help="Its file, or pairwise or storybench; default: the suite's.")
    ] = None
    self_judging: Annotated[
        bool, typer.Option("--self-judging", help="Let a judge judge replies of its own model or file.")
    ] = False
    embed_model: Annotated[
        str | None,
        typer.Option("--embed-model", help="An embedding model: compares replies with references and turn by turn."),
    ] = None
    fidelity_to: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Hold the others against this model, token by token, on the run's replies."),
    ] = None
    measures: Annotated[
        list[str] | None,
        typer.Option("--measure", help="Measure replies for it, too (`nightjar scorer list`); NAME or NAME=JSON."),
    ] = None
    until: Annotated[
        str | None,
        typer.Option(metavar="decided", help="Ask the sequences in waves; stop when every pair is decided."),
    ] = None
    primary: Annotated[
        str | None, typer.Option(metavar="METRIC", help="What --until decided decides by; default: the suite's.")
    ] = None
    margin: Annotated[
        float | None, typer.Option(help="With --until decided: a smaller difference than this is none.")
    ] = None


SUITE = typer.Option("--suite", "-s", help="The suite's name, or NAME@VERSION.")
MODELS = typer.Option("--model", "-m", help="A model's name, alias:NAME or router:NAME; repeatable.")


@dataclass(frozen=True, kw_only=True)
class NightOptions(RunOptions):
    """What becomes of a run when nobody watches."""

    priority: Annotated[int | None, typer.Option(help="Runs with a higher number go first; default 0.")] = None
    max_tries: Annotated[
        int | None, typer.Option(help="Tries a job has when it fails by an error of its own; default 3.")
    ] = None
    fail_on_error: Annotated[
        float | None,
        typer.Option(help="Stop the run at so many failed jobs (1 or more) or this fraction (below 1)."),
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stop it then, with a partial report: 07:00, or 8h after its start."),
    ] = None
    stalled_after: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Tell when nothing has moved for so long; default 30m."),
    ] = None
    report_formats: Annotated[
        list[str] | None,
        typer.Option("--report", metavar="FORMAT", help="Of the report at its end; default: html and json."),
    ] = None
    on_finish: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|mailto:ADDRESS|COMMAND",
            help="Tell its end (done, gate tripped, stopped, deadline, stalled), each once; repeatable.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class QueuedRunOptions(NightOptions):
    """Of a run that workers take from the queue."""

    suite: Annotated[str, SUITE]
    models: Annotated[list[str], MODELS]


@dataclass(frozen=True, kw_only=True)
class EditedRunOptions(NightOptions):
    """Of a schedule that is there: all may be left as they are."""

    suite: Annotated[str | None, SUITE] = None
    models: Annotated[list[str] | None, MODELS] = None


def request_options(options: RunOptions, gates: GateOptions, **more: Any) -> dict[str, Any]:
    """Keyword arguments of `make_request`; what was not given is left out. Raises UsageError, ParameterError."""
    from nightjar.jobs.assignments import read_assignments
    from nightjar.scripts.options.rubric import read_rubric_file
    from nightjar.scripts.options.system import read_systems

    given = {field.name: getattr(options, field.name) for field in fields(options)} | more
    everywhere, by_model = read_assignments(options.assignments or [])
    if options.memory is not None:
        everywhere = everywhere | {"memory": options.memory}
    given |= {"set_parameters": everywhere or None, "set_model_parameters": by_model or None}
    given |= {"gates": gates.gates() or None, "strict": gates.strict or None, "baseline": gates.baseline}
    given["measures"] = _measures(options.measures) if options.measures else None
    if options.systems:
        given["variants"] = read_systems(options.systems)
    if options.rubric is not None:
        given["rubric"] = read_rubric_file(options.rubric)
    if isinstance(options, NightOptions):
        given |= _ending(options)
    for name in READ:
        given.pop(name, None)
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }


def _measures(texts: list[str]) -> dict[str, Any]:
    """Name -> argument of `--measure NAME` and `--measure NAME=JSON`. Raises UsageError."""
    import json

    from nightjar.config.errors import UsageError

    measures: dict[str, Any] = {}
    for text in texts:
        name, given, argument = text.partition("=")
        try:
            value = json.loads(argument) if given else True
        except ValueError:
            raise UsageError(
                f"--measure {text!r}: what follows the = must be JSON, as in 'mattr={{\"window\": 100}}'."
            ) from None
        if measures.setdefault(name.strip(), value) != value:
            raise UsageError(f"--measure gives {name.strip()} twice, with other arguments. Leave one out.")
    return measures


def _ending(options: NightOptions) -> dict[str, Any]:
    from nightjar.pipeline.durations import parse_duration
    from nightjar.pipeline.exports.write import check_formats
    from nightjar.pipeline.notify.hooks import parse_hook

    patience = options.stalled_after
    return {
        "stalled_after_s": parse_duration("--stalled-after", patience) if patience is not None else None,
        "formats": check_formats(options.report_formats) if options.report_formats else None,
        "on_finish": [parse_hook(text) for text in options.on_finish] if options.on_finish else None,
    }


def command_notes(hooks: Iterable[Hook], settings: Settings) -> tuple[str, ...]:
    """Says that a dispatcher with these settings will not run a command that was asked for."""
    from nightjar.jobs.ending import HookKind

    if settings.night.commands or all(hook.kind is not HookKind.COMMAND for hook in hooks):
        return ()
    return (
        "a dispatcher with these settings does not run the command of --on-finish: it comes from MongoDB, into which "
        "others may write. Set NIGHTJAR_NIGHT__COMMANDS=true where the dispatcher runs to allow it.",
    )


def local_deadline(text: str | None) -> dict[str, str]:
    """A deadline that is a time of day, of this machine's, as a moment in the request; nothing for other deadlines."""
    from datetime import datetime

    from nightjar.pipeline.durations import parse_deadline

    deadline = parse_deadline(text) if text is not None else None
    if deadline is None or deadline.clock is None:
        return {}
    now = datetime.now().astimezone()
    assert now.tzinfo is not None
    return {"deadline": deadline.after(now, now.tzinfo).isoformat()}


def local_models(settings: Settings) -> tuple[str, ...]:
    """Names of the models on this machine: its registry's, and the files in its models folder."""
    from nightjar.workers.library.find import shelf_files
    from nightjar.workers.library.registry import read_registry

    return tuple({**read_registry(settings.models_file).models, **shelf_files(settings.models_dir)})
