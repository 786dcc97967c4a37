"""A run in one file, from which another machine can repeat it. Pure.

The file holds what a run was frozen from, under the run's own id: whoever imports it gets the same job ids and the
same turn seeds. What it says of loads, parameters and versions is for readers and for the comparison at import.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator

from nightjar.config.counting import how_many
from nightjar.config.errors import UsageError
from nightjar.jobs.documents import Run, SequenceRef, SuiteVersion
from nightjar.jobs.models import LoadFacts, ModelFacts, flat_facts, nest_file_facts
from nightjar.jobs.variants import Variant
from nightjar.jobs.waves import WavePlan, Waves
from nightjar.pipeline.runs.freeze import content_digest, freeze
from nightjar.pipeline.runs.request import make_request
from nightjar.pipeline.suites.content import NAME_PATTERN, SuiteContent

FORMAT_VERSION = 1
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class RunFilePart(BaseModel):
    """A part of the file: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ParameterSet(RunFilePart):
    """Parameters of a model's turns, the layer that each came from, and for how many turns."""

    values: dict[str, Any]
    sources: dict[str, str]
    turns: int


class UsedModel(RunFilePart):
    """A model of the run, or one of its judges."""

    name: str
    digest: str | None
    facts: ModelFacts | None = None
    """In the file they are flat, as they have been from its first version on."""
    origin: dict[str, Any] | None = None
    """Where the exporting host got it; None where that host does not have it."""
    template: str | None = None
    """A chat template used instead of the file's own."""
    loads: tuple[LoadFacts, ...] = ()
    """The hardware, the versions and the settings that it ran with."""
    parameters: tuple[ParameterSet, ...] = ()

    @field_validator("facts", mode="before")
    @classmethod
    def _nested(cls, facts: object) -> object:
        return nest_file_facts(facts) if isinstance(facts, dict) else facts

    @field_serializer("facts")
    def _flat(self, facts: ModelFacts | None) -> dict[str, Any] | None:
        return flat_facts(facts) if facts is not None else None

    @field_serializer("loads")
    def _loads(self, loads: tuple[LoadFacts, ...]) -> list[dict[str, Any]]:
        return [load.shown() for load in loads]


class RunPart(RunFilePart):
    """What the run was asked for."""

    id: Id
    name: str = Field(pattern=NAME_PATTERN)
    seed: int
    repeats: int
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    sequences: tuple[str, ...] = Field(min_length=1)
    variants: tuple[Variant, ...] = Field((), exclude_if=lambda variants: not variants)
    set_parameters: dict[str, Any] = Field(default_factory=dict)
    set_model_parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    max_tries: int = 3
    judges: tuple[str, ...] = ()
    rubric: dict[str, Any] | None = None
    self_judging: bool = False
    embed_model: str | None = None
    fidelity_to: str | None = Field(None, exclude_if=lambda reference: reference is None)
    measures: dict[str, Any] = Field(default_factory=dict)
    waves: WavePlan | None = Field(None, exclude_if=lambda waves: waves is None)
    nightjar_version: str
    created_at: datetime


class RunFileSuite(RunFilePart):
    """The suite of the run, with all of its content."""

    version: int
    digest: Id
    content: SuiteContent


class RunFile(RunFilePart):
    """The whole file."""

    nightjar_run: Literal[1]
    exported_at: datetime
    exported_by: str
    run: RunPart
    suite: RunFileSuite
    prompts: dict[str, str]
    """Sequence id -> digest of all that reaches the model."""
    models: tuple[UsedModel, ...] = Field(min_length=1)
    judges: tuple[UsedModel, ...] = ()
    """The judges, and the embedding model where there is one."""


def read_run_file(text: str | bytes, name: str) -> RunFile:
    """A checked file. Raises UsageError that names file and field, also where its suite does not match its digest."""
    try:
        file = RunFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = one_line(".".join(map(str, first["loc"]))) or "the whole file"
        raise UsageError(f"{name}: {field}: {first['msg']}. Is it a file of `nightjar run export`?") from None
    if file.suite.content.digest != file.suite.digest:
        raise UsageError(
            f"{name}: suite: its content has the digest {file.suite.content.digest}, and the file says "
            f"{file.suite.digest}. The file was changed, or this Nightjar reads suites otherwise than "
            f"{one_line(file.exported_by)}; export the run again."
        )
    return file


def run_of(file: RunFile, suite: SuiteVersion, *, name: str | None, version: str) -> Run:
    """The run to write, EXPANDING, with the exported run's id. Raises UsageError, ParameterError for a wrong part."""
    asked = file.run
    request = make_request(
        suite=f"{suite.name}@{suite.version}",
        models=tuple(model.name for model in file.models),
        **_variants(asked, suite),
        repeats=asked.repeats,
        seed=asked.seed,
        set_parameters=asked.set_parameters,
        set_model_parameters=asked.set_model_parameters,
        name=name or asked.name,
        max_tries=asked.max_tries,
        judges=asked.judges,
        rubric=asked.rubric,
        self_judging=asked.self_judging,
        embed_model=asked.embed_model,
        fidelity_to=asked.fidelity_to,
        measures=asked.measures,
    )
    sequences = _taken(file, suite)
    run = freeze(request, suite, sequences, identity=asked.id, now=asked.created_at, version=version)
    digests = {model.name: model.digest for model in file.models}
    run.models = [model.model_copy(update={"digest": digests[model.name]}) for model in run.models]
    run.waves = Waves(plan=asked.waves) if asked.waves is not None else None
    run.jobs_total = len(run.asked) * len(run.contestants) * run.repeats
    run.date = asked.date  # templates see the day of the first run
    run.content = content_digest(run)
    return run


def _variants(asked: RunPart, suite: SuiteVersion) -> dict[str, Any]:
    """The run's variants as a request names them: by their names, where they are the suite's own."""
    if suite.variants:
        return {"only_variants": tuple(variant.name for variant in asked.variants)}
    return {"variants": asked.variants}


def _taken(file: RunFile, suite: SuiteVersion) -> list[SequenceRef]:
    by_id = {sequence.id: sequence for sequence in suite.sequences}
    for name in file.run.sequences:
        if name not in by_id:
            raise UsageError(f"run.sequences names {name!r}, and the file's suite has no such sequence.")
    if file.run.waves is not None and len(file.run.waves.numbers) != len(file.run.sequences):
        raise UsageError("run.waves.numbers must name the wave of each of run.sequences; it is not as long.")
    return [by_id[name] for name in file.run.sequences]


def model_differences(wanted: UsedModel, present: ModelFacts) -> list[str]:
    """What about this machine's model would make other texts: one phrase for each difference."""
    name, was = one_line(wanted.name), wanted.facts
    differences = []
    if wanted.digest is not None and present.digest != wanted.digest:
        used = one_line(wanted.digest)
        differences.append(f"the file of {name} has SHA-256 {present.digest}, the exported run used {used}")
    if was is not None and present.template_digest != was.template_digest:
        remedy = " (models.template in the file is the one it used)" if wanted.template else ""
        differences.append(f"the chat template of {name} is another one{remedy}")
    if was is not None and present.registry_parameters != was.registry_parameters:
        differences.append(
            f"models.toml gives {name} the parameters {present.registry_parameters}, it was "
            f"{one_line(was.registry_parameters)}"
        )
    return differences


def how_to_get(model: UsedModel) -> str:
    """The command that makes a model known under the name that the run has for it.

    Somebody may paste it into a shell: each word of the file's is quoted, and none can be taken for an option.
    """
    origin, name = model.origin or {}, shell_word(model.name)
    digest = f"; its SHA-256 must be {one_line(model.digest)}" if model.digest else ""
    if "repo" in origin:
        revision = origin.get("commit") or origin.get("revision")
        source = str(origin["repo"]) + (f"@{revision}" if revision else "")
        source += f":{origin['file']}" if "file" in origin else ""
        return f"`nightjar model pull {shell_word(source)} --name {name}`{digest}"
    if "ollama" in origin:
        source = shell_word(f"ollama:{origin['ollama']}")
        return f"`ollama pull {shell_word(origin['ollama'])}`, then `nightjar model add {source} --name {name}`"
    known = model.facts.file if model.facts else None
    file = origin.get("file") or (known.file_name if known else "FILE.gguf")
    return f"`nightjar model add {shell_word(file)} --name {name}`{digest}"


def shell_word(text: object) -> str:
    """One word for a shell, whatever is in it, and no option."""
    return shlex.quote(one_line(text).lstrip("-"))


def one_line(text: object) -> str:
    """Words of the file as part of a line: they end no line, and begin no command between backticks, as ours are."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).replace("`", "'").split())[:300]


def remarks(file: RunFile, version: str) -> list[str]:
    """What a person who repeats the run should know about how it ran: versions, hardware, settings."""
    notes = []
    if file.run.nightjar_version != version:
        notes.append(f"The run was made by Nightjar {one_line(file.run.nightjar_version)}; this is {version}.")
    for model in file.models:
        for load in model.loads[-1:]:
            notes.append(
                f"{one_line(model.name)} ran on {one_line(load.device)} with {one_line(load.llama_cpp_build)}: "
                f"context {load.context}, "
                f"{how_many(load.slots, 'slot')}, flash attention {'on' if load.flash_attention else 'off'}, "
                f"{'reproducible' if load.reproducible else 'not reproducible'}. Texts repeat word for word on a "
                "device and build that compute alike; see docs/exports.md."
            )
    return notes
