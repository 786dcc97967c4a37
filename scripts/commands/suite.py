"""`nightjar suite`: import, pull, make, list, show, export and validate suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightjar.config.counting import how_many
from nightjar.config.errors import OutputError, UnknownNameError, UsageError
from nightjar.scripts.views.output import Json, console, emit_json, plain, table
from nightjar.scripts.views.suites import (
    averages_words,
    first_line,
    import_day,
    show_sequence,
    suite_size,
    suite_summary,
    variant_rows,
    variants_named,
)

if TYPE_CHECKING:
    from nightjar.jobs.documents import SuiteVersion
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
        "--format",
        "-f",
        help="native, mt-bench, storybench, inspect, eq-bench, promptfoo, lm-eval; default: by its looks.",
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

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="[[TASK:]SPLIT=]FILE",
        help="For a task or a group of lm-evaluation-harness: rows (Parquet, JSON Lines, JSON, CSV); repeatable.",
    ),
]
TaskShots = Annotated[int | None, typer.Option("--shots", min=0, max=100, help="With --data: examples before each.")]


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to begin.")] = Path("my-suite.yaml"),
    like: Annotated[str, typer.Option(help="stories, checks or extract: what the beginning is made of.")] = "stories",
) -> None:
    """Begin a suite of your own: a short file that runs as it is. Example: nightjar suite init tales.yaml"""
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
    data: Data = None,
    shots: TaskShots = None,
    as_json: Json = False,
) -> None:
    """Store a suite as an immutable version. Example: nightjar suite import question.jsonl --format mt-bench"""
    from nightjar.scripts.views.suite_file import FileForm, read_checked
    from nightjar.scripts.views.suite_store import notes_of, print_notes, stored_suite

    form = FileForm(
        format=format_, mapped=mapped or (), skip_unsupported=skip_unsupported, data=data or (), shots=shots
    )
    content = read_checked(file, form, name)
    stored = stored_suite(content)
    if as_json:
        emit_json({"suite": {**suite_summary(stored.version), "created": stored.created, **notes_of(content)}})
        return
    print_notes(content)
    for line in stored.lines():
        print(plain(line))


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(metavar="[BENCHMARK]", help="Without one: which there are.")] = None,
    shots: Annotated[int | None, typer.Option(min=0, max=100, help="Examples before each question.")] = None,
    rule: Annotated[
        str | None, typer.Option("--as", help="For texts: lm-eval (default), or llama-perplexity: windows of 512.")
    ] = None,
    written: Annotated[bool, typer.Option("--written", help="The model writes a letter instead.")] = False,
    revision: Annotated[str | None, typer.Option(help="A commit of the data set; default: its newest.")] = None,
    show_only: Annotated[bool, typer.Option("--show", help="Say what would be fetched, and fetch nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a standard benchmark from the hub and import it. Example: nightjar suite pull hellaswag"""
    from nightjar.pipeline.suites.benchmarks.catalogue import HowAsked
    from nightjar.scripts.views.models import prepared
    from nightjar.scripts.views.suite_pull import (
        fetch_suite,
        hub_for,
        known_benchmark,
        offer,
        print_benchmarks,
        tell_offer,
    )
    from nightjar.scripts.views.suite_store import store_suite

    if name is None:
        print_benchmarks()
        return
    benchmark = known_benchmark(name)
    hub = hub_for(prepared())
    offered = offer(benchmark, HowAsked(shots=shots, rule=rule, written=written), hub, revision)
    if not as_json:
        tell_offer(offered)
    if show_only:
        if as_json:
            emit_json({"benchmark": offered.shown()})
        return
    store_suite(fetch_suite(offered, hub), {"benchmark": offered.shown()}, as_json=as_json)


@app.command()
def ladder(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="needle, needles, variables or counting.")],
    up_to: Annotated[int | None, typer.Option(help="Tokens: 1,024 and its doubles up to this. Default: 4,096.")] = None,
    context_of: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Up to the context this model was made for, in its tokens.")
    ] = None,
    each: Annotated[int, typer.Option(min=1, max=1000, help="Sequences of each length.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Another one makes other texts.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a suite of growing contexts, without any data. Example: nightjar suite ladder needle --up-to 8192"""
    from nightjar.pipeline.suites.benchmarks import ladders
    from nightjar.scripts.model_context import made_for
    from nightjar.scripts.views.suite_store import store_suite

    if context_of is not None and up_to is not None:
        raise UsageError("--context-of says how far the ladder goes, and so does --up-to. Leave one out.")
    usual = (up_to or 4096, ladders.CHARS_PER_TOKEN)
    most, chars = usual if context_of is None else made_for(context_of, ladders.filling_sample())
    made = ladders.ladder(kind, ladders.lengths_up_to(most), each=each, seed=seed, chars_per_token=chars)
    store_suite(made, {}, as_json=as_json)


@app.command()
def join(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the joined suite is called.")],
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help="Two or more, each a NAME or NAME@VERSION.")],
    metric: Annotated[
        str | None, typer.Option(help="What the average of the suites is of; default: the primary metric of all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one suite of several, each of which counts alike. Example: nightjar suite join board mmlu piqa"""
    from nightjar.pipeline.suites.join import join_suites
    from nightjar.scripts.views.suite_store import store_suite

    contents = [_load(suite, whole=True)[0] for suite in suites]
    store_suite(join_suites(name, contents, metric), {}, as_json=as_json)


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
        emit_json({"suites": [suite_summary(version) for version in shown], "bundled": waiting})
        return
    rows: list[list[Any]] = [
        [v.name, v.version, len(v.sequences), sum(s.turns for s in v.sequences), ", ".join(v.tags), import_day(v)]
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
    from nightjar.jobs.withheld import WHY_WITHHELD

    content, version = _load(name)
    if as_json:
        emit_json({"suite": suite_summary(version) | content.model_dump(mode="json", exclude={"name", "tags"})})
        return
    if sequence is not None:
        show_sequence(content, sequence)
        return
    about = "  ".join(text for text in (content.description, f"Licence: {content.licence or 'not given'}.") if text)
    print(
        plain(
            f"{version.name}@{version.version}, {suite_size(version)}, digest {version.id[:12]}, from {content.source}"
        )
    )
    print(plain(about))
    if content.withheld:
        print(plain(WHY_WITHHELD))
    if averages := averages_words(content):
        print(plain(averages))
    for left_out in version.left_out:
        print(plain(f"Left out: {left_out}"))
    rows = [[s.id, s.mode, len(s.turns), ", ".join(s.tags), first_line(s.turns[0].prompt)] for s in content.sequences]
    console().print(table(None, ("sequence", "mode", "turns>", "tags", "first prompt"), rows))
    if content.variants:
        console().print(table("Variants", ("variant", "system prompt", "prompt", "parameters"), variant_rows(content)))


@app.command()
def export(
    name: Name,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; default: standard output.")] = None,
) -> None:
    """A suite as native YAML, with the same digest. Example: nightjar suite export mt-bench --out mt-bench.yaml"""
    from nightjar.pipeline.suites.export import export_yaml

    content, _ = _load(name, whole=True)
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

    (ours, _), (theirs, _) = _load(name, whole=True), _load(other, whole=True)

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
    data: Data = None,
    shots: TaskShots = None,
    as_json: Json = False,
) -> None:
    """Check a suite file, name all its errors, and store nothing. Example: nightjar suite validate my-suite.yaml"""
    from nightjar.scripts.views.suite_file import FileForm, read_checked
    from nightjar.scripts.views.suite_store import notes_of, print_notes

    form = FileForm(
        format=format_, mapped=mapped or (), skip_unsupported=skip_unsupported, data=data or (), shots=shots
    )
    content = read_checked(file, form)
    turns = sum(len(sequence.turns) for sequence in content.sequences)
    if as_json:
        named = [variant.name for variant in content.variants]
        counts = {"sequences": len(content.sequences), "turns": turns, "variants": named, **notes_of(content)}
        emit_json({"suite": {"name": content.name, "id": content.digest, "source": content.source, **counts}})
        return
    print_notes(content)
    sizes = (
        f"{how_many(len(content.sequences), 'sequence')}, {how_many(turns, 'turn')}{variants_named(content.variants)}"
    )
    print(plain(f"Fine: suite {content.name!r}, {sizes}, {content.source}."))


@app.command()
def schema() -> None:
    """The JSON Schema of the native format, for editors. Example: nightjar suite schema > suite.schema.json"""
    from nightjar.pipeline.suites.native_file import published_schema

    emit_json(published_schema())


def _load(name: str, *, whole: bool = False) -> tuple[SuiteContent, SuiteVersion]:
    """`whole`: something is made of its texts."""
    from nightjar.pipeline.suites.catalogue import take_suite
    from nightjar.pipeline.suites.importer import load_content, load_whole
    from nightjar.scripts.session import open_session, run_async

    async def load() -> tuple[SuiteContent, SuiteVersion]:
        async with open_session(reading=True) as session:
            version, _ = await take_suite(name, session.database)
            return await (load_whole if whole else load_content)(version, session.database), version

    return run_async(load())
