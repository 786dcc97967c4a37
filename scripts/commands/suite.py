"""`nightjar suite`: import, list, show, export and validate suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.counting import how_many
from nightjar.config.errors import OutputError, UnknownNameError
from nightjar.scripts.views.output import Json, console, emit_json, plain, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightjar.jobs.documents import SuiteVersion
    from nightjar.jobs.variants import Variant
    from nightjar.pipeline.suites.content import SuiteContent

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Suites: named, versioned sets of prompt sequences. The format is described in docs/suites.md.",
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A suite file: native YAML, MT-bench, Storybench.")]
Name = Annotated[str, typer.Argument(metavar="SUITE", help="A suite's name, or NAME@VERSION.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", help="native, mt-bench, storybench, inspect, eq-bench, promptfoo; default: by its looks."
    ),
]
Mapped = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="WHAT=FIELD",
        help="For rows of any JSON Lines, CSV or Parquet file: which field is the prompt, answer, reference, choices, "
        "system, id, tags; repeatable.",
    ),
]
SkipUnsupported = Annotated[
    bool,
    typer.Option("--skip-unsupported", help="Leave out, list and record what only the file's own tool can do."),
]


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to begin.")] = Path("my-suite.yaml"),
    like: Annotated[str, typer.Option(help="stories, checks or extract: what the beginning is made of.")] = "stories",
) -> None:
    """Begin a suite of your own: a short file that runs as it is. Example: nightjar suite init tales.yaml"""
    from nightjar.config.errors import UsageError
    from nightjar.config.packaged import packaged

    starts = packaged("starts")
    if like not in starts:
        raise UnknownNameError("beginning", like, starts, "--like takes one of them.")
    try:
        with file.open("x", encoding="utf-8") as begun:
            begun.write(starts[like].read_text(encoding="utf-8"))
    except FileExistsError:
        raise UsageError(f"{file} is there already, and stays as it is. Name another file.") from None
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}. Name another file.") from None
    print(plain(f"Wrote {file}. Change what it says, then:"))
    print(plain(f"  nightjar suite validate {file}\n  nightjar eval --suite ./{file} --model MODEL"))


@app.command("import")
def import_(
    file: File,
    format_: Format = None,
    mapped: Mapped = None,
    skip_unsupported: SkipUnsupported = False,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Default: the suite's own, or the file's.")] = None,
    as_json: Json = False,
) -> None:
    """Store a suite as an immutable version. Example: nightjar suite import question.jsonl --format mt-bench"""
    from nightjar.jobs.lookup import find_suite
    from nightjar.pipeline.suites.importer import import_suite
    from nightjar.pipeline.suites.read import read_suite
    from nightjar.scripts.enforceable import check_suite
    from nightjar.scripts.session import open_session, run_async

    content = check_suite(read_suite(file, format_, name, mapping=_mapping(mapped), skip_unsupported=skip_unsupported))

    async def store() -> tuple[SuiteVersion, bool, int]:
        async with open_session() as session:
            version, created = await import_suite(content, session.database)
            newest = await find_suite(version.name, session.database)
            return version, created, newest.version

    version, created, newest = run_async(store())
    if as_json:
        emit_json({"suite": {**_summary(version), "created": created, **_notes(content)}})
        return
    _print_notes(content)
    what = f"Suite {version.name!r} version {version.version}: {_size(version)}."
    print(plain(f"Imported. {what}" if created else f"Nothing to do: this content is there already. {what}"))
    if newest != version.version:
        print(f"The newest version is {newest}; name this one {version.name}@{version.version} to use it.")


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Every version, not only the newest.")] = False,
    as_json: Json = False,
) -> None:
    """Imported suites, and those that come with Nightjar. Example: nightjar suite list"""
    from nightjar.jobs.documents import SuiteVersion
    from nightjar.pipeline.suites.catalogue import bundled
    from nightjar.scripts.session import open_session, run_async

    async def load() -> list[SuiteVersion]:
        async with open_session(reading=True):
            return await SuiteVersion.find_all().sort("+name", "-version").to_list()

    versions = run_async(load())
    newest: dict[str, SuiteVersion] = {}
    for version in versions:
        newest.setdefault(version.name, version)
    waiting = [name for name in bundled() if name not in newest]
    shown = versions if every else list(newest.values())
    if as_json:
        emit_json({"suites": [_summary(version) for version in shown], "bundled": waiting})
        return
    rows: list[list[Any]] = [
        [v.name, v.version, len(v.sequences), sum(s.turns for s in v.sequences), ", ".join(v.tags), _day(v)]
        for v in shown
    ]
    rows += [[name, None, None, None, "comes with Nightjar, imported on first use", None] for name in waiting]
    console().print(table(None, ("suite", "version>", "sequences>", "turns>", "tags", "imported"), rows))


@app.command()
def show(
    name: Name,
    sequence: Annotated[str | None, typer.Option("--sequence", help="Show this one with its prompts.")] = None,
    as_json: Json = False,
) -> None:
    """A suite's sequences. Example: nightjar suite show story-starters --sequence fox-and-star"""
    content, version = _load(name)
    if as_json:
        emit_json({"suite": _summary(version) | content.model_dump(mode="json", exclude={"name", "tags"})})
        return
    if sequence is not None:
        _show_sequence(content, sequence)
        return
    about = "  ".join(text for text in (content.description, f"Licence: {content.licence or 'not given'}.") if text)
    print(plain(f"{version.name}@{version.version}, {_size(version)}, digest {version.id[:12]}, from {content.source}"))
    print(plain(about))
    for left_out in version.left_out:
        print(plain(f"Left out: {left_out}"))
    rows = [[s.id, s.mode, len(s.turns), ", ".join(s.tags), _shortened(s.turns[0].prompt)] for s in content.sequences]
    console().print(table(None, ("sequence", "mode", "turns>", "tags", "first prompt"), rows))
    if content.variants:
        console().print(table("Variants", ("variant", "system prompt", "prompt", "parameters"), _variant_rows(content)))


@app.command()
def export(
    name: Name,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; default: standard output.")] = None,
) -> None:
    """A suite as native YAML, with the same digest. Example: nightjar suite export mt-bench --out mt-bench.yaml"""
    from nightjar.pipeline.suites.export import export_yaml

    content, _ = _load(name)
    text = export_yaml(content)
    if out is None:
        print(text, end="")
        return
    part = out.with_name(out.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{out} cannot be written: {error.strerror}. Choose another file with --out.") from None
    print(plain(f"Wrote {out}."))


@app.command()
def same(
    name: Name,
    other: Annotated[str, typer.Argument(help="Name of the other suite.")],
    least: Annotated[float, typer.Option(help="How near by meaning is the same.", min=0.0, max=1.0)] = 0.9,
    as_json: Json = False,
) -> None:
    """Which sequences of two suites are the same. Example: nightjar suite same story-starters my-stories"""
    from dataclasses import asdict

    from nightjar.config.settings import load_settings
    from nightjar.pipeline.search.same import SameSequences, same_sequences
    from nightjar.scripts.session import run_async
    from nightjar.workers.embedder.client import open_embedder

    (ours, _), (theirs, _) = _load(name), _load(other)

    async def compare() -> list[SameSequences]:
        async with await open_embedder(load_settings(), "Comparing suites by meaning") as embedder:
            return await same_sequences(ours.sequences, theirs.sequences, least, embedder)

    pairs = run_async(compare())
    if as_json:
        emit_json({"pairs": [asdict(pair) for pair in pairs], "least": least})
        return
    rows = [[p.ours, p.theirs, "equal" if p.similarity is None else f"{p.similarity:.2f}"] for p in pairs]
    console().print(table(None, (name, other, "similarity>"), rows))
    print(plain(f"{how_many(len(pairs), 'pair')} of {len(ours.sequences)} and {len(theirs.sequences)} sequences."))


@app.command()
def validate(
    file: File,
    format_: Format = None,
    mapped: Mapped = None,
    skip_unsupported: SkipUnsupported = False,
    as_json: Json = False,
) -> None:
    """Check a suite file, name all its errors, and store nothing. Example: nightjar suite validate my-suite.yaml"""
    from nightjar.pipeline.suites.read import read_suite
    from nightjar.scripts.enforceable import check_suite

    content = check_suite(read_suite(file, format_, mapping=_mapping(mapped), skip_unsupported=skip_unsupported))
    turns = sum(len(sequence.turns) for sequence in content.sequences)
    if as_json:
        named = [variant.name for variant in content.variants]
        counts = {"sequences": len(content.sequences), "turns": turns, "variants": named, **_notes(content)}
        emit_json({"suite": {"name": content.name, "id": content.digest, "source": content.source, **counts}})
        return
    _print_notes(content)
    sizes = f"{how_many(len(content.sequences), 'sequence')}, {how_many(turns, 'turn')}{_tried(content.variants)}"
    print(plain(f"Fine: suite {content.name!r}, {sizes}, {content.source}."))


@app.command()
def schema() -> None:
    """The JSON Schema of the native format, for editors. Example: nightjar suite schema > suite.schema.json"""
    from nightjar.pipeline.suites.native_file import published_schema

    emit_json(published_schema())


def _mapping(texts: list[str] | None) -> dict[str, str] | None:
    from nightjar.pipeline.suites.mapped import read_mapping

    return read_mapping(texts) if texts else None


def _print_notes(content: SuiteContent) -> None:
    for note in content.notes:
        print(plain(f"Note: {note}"))
    for left_out in content.left_out:
        print(plain(f"Left out: {left_out}"))


def _notes(content: SuiteContent) -> dict[str, list[str]]:
    return {"notes": list(content.notes), "left_out": list(content.left_out)}


def _load(name: str) -> tuple[SuiteContent, SuiteVersion]:
    from nightjar.pipeline.suites.catalogue import take_suite
    from nightjar.pipeline.suites.importer import load_content
    from nightjar.scripts.session import open_session, run_async

    async def load() -> tuple[SuiteContent, SuiteVersion]:
        async with open_session(reading=True) as session:
            version, _ = await take_suite(name, session.database)
            return await load_content(version, session.database), version

    return run_async(load())


def _show_sequence(content: SuiteContent, name: str) -> None:
    sequence = next((s for s in content.sequences if s.id == name), None)
    if sequence is None:
        raise UnknownNameError("sequence", name, [s.id for s in content.sequences])
    tags = ", ".join(sequence.tags) or "none"
    print(plain(f"{sequence.id}  mode {sequence.mode}  tags: {tags}  {sequence.parameters or ''}"))
    if sequence.system:
        print(plain(f"\n[system]\n{sequence.system}"))
    for message in sequence.messages:
        print(plain(f"\n[{message.role}, fixed]\n{message.text}"))
    for index, turn in enumerate(sequence.turns, start=1):
        print(plain(f"\n[turn {index}{': ' + turn.name if turn.name else ''}]\n{sequence.prompt_text(index - 1)}"))
        for expectation in turn.expect:
            print(plain(f"  expects {expectation.check}: {expectation.value}"))
        if turn.reference:
            print(plain(f"  reference: {turn.reference}"))


def _variant_rows(content: SuiteContent) -> list[list[str]]:
    def shown(text: str | None) -> str:
        return "as in the suite" if text is None else _shortened(text) or "none"

    return [
        [v.name, shown(v.system), shown(v.prompt), ", ".join(f"{key}={value}" for key, value in v.parameters.items())]
        for v in content.variants
    ]


def _tried(variants: Sequence[Variant]) -> str:
    return f", {how_many(len(variants), 'variant')}" if variants else ""


def _summary(version: SuiteVersion) -> dict[str, Any]:
    return {
        "id": version.id,
        "name": version.name,
        "version": version.version,
        "sequences": len(version.sequences),
        "turns": sum(s.turns for s in version.sequences),
        "variants": [variant.name for variant in version.variants],
        "tags": version.tags,
        "source": version.source,
        "imported_at": version.imported_at,
    }


def _size(version: SuiteVersion) -> str:
    turns = how_many(sum(s.turns for s in version.sequences), "turn")
    return f"{how_many(len(version.sequences), 'sequence')}, {turns}{_tried(version.variants)}"


def _day(version: SuiteVersion) -> str:
    return f"{version.imported_at.astimezone():%Y-%m-%d %H:%M}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
