"""The options that `enqueue` and `schedule add` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from config.settings import Settings

LISTS = ("only", "judges")
Suite = Annotated[str, typer.Option("--suite", "-s", help="The suite's name, or NAME@VERSION.")]
Models = Annotated[list[str], typer.Option("--model", "-m", help="A model's name; may be given several times.")]
Repeats = Annotated[int, typer.Option(help="How often each sequence is generated, each time with another seed.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the run; default: from the suite's name.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="key=value or MODEL:key=value, a generation parameter; repeatable.")
]
Only = Annotated[list[str] | None, typer.Option("--only", help="Only sequences with this tag or id; repeatable.")]
Limit = Annotated[int | None, typer.Option(help="At most so many sequences, the first ones.")]
Priority = Annotated[int, typer.Option(help="Runs with a higher number go first.")]
MaxTries = Annotated[int, typer.Option(help="Tries a job has when it fails by an error of its own.")]
FailOnError = Annotated[
    float | None, typer.Option(help="Stop the run at so many failed jobs (1 or more) or this fraction (below 1).")
]
Judges = Annotated[list[str] | None, typer.Option("--judge", help="A model that judges the replies; repeatable.")]
RubricFile = Annotated[Path | None, typer.Option("--rubric", help="The judges' rubric; default: the suite's own.")]


def request_options(assignments: list[str] | None, **options: Any) -> dict[str, Any]:
    """Keyword arguments of `make_request`. Raises ParameterError for an assignment that is none."""
    from scripts.assignments import read_assignments
    from scripts.rubrics import read_rubric_file

    everywhere, by_model = read_assignments(assignments or [])
    given: dict[str, Any] = {key: tuple(value or ()) if key in LISTS else value for key, value in options.items()}
    if options.get("rubric") is not None:
        given["rubric"] = read_rubric_file(options["rubric"])
    return {**given, "set_parameters": everywhere, "set_model_parameters": by_model}


def local_models(settings: Settings) -> tuple[str, ...]:
    """Names of the models on this machine: its registry's, and the files in its models folder."""
    from workers.library.find import shelf_files
    from workers.library.registry import read_registry

    return tuple({**read_registry(settings.models_file).models, **shelf_files(settings.models_dir)})
