"""`nightjar try`: one prompt, straight from a model to the terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from nightjar.scripts.options.load import Reproducible, Threads, threads_setting
from nightjar.scripts.options.takes import takes
from nightjar.scripts.session import run_async

if TYPE_CHECKING:
    from nightjar.jobs.machines.doing import Doing
    from nightjar.jobs.models import LoadFacts
    from nightjar.scripts.chat_model import Subject
    from nightjar.workers.engine.engine import BatchEngine
    from nightjar.workers.engine.request import Generation, Request

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class TryOptions:
    """What is asked of which model, and how it is loaded."""

    model: Annotated[str, typer.Option("--model", "-m", help="Name of a model, or path of a GGUF file.")]
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None
    completion: Annotated[bool, typer.Option("--completion", help="No chat template: continue the text.")] = False
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, a generation parameter; repeatable.")
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of the sampling, from 0 to 2147483647.")] = 1
    context: Annotated[int | None, typer.Option(min=16, help="Tokens of context.")] = None
    gpu: Annotated[str | None, typer.Option(help="UUID or index of a card, or `none` for the CPU alone.")] = None
    threads: Threads = None
    reproducible: Reproducible = False


@app.command(epilog='Example: nightjar try --model nightjar-demo "Tell me a story about a fox."')
@takes(TryOptions)
def try_(
    prompt: Annotated[list[str], typer.Argument(metavar="PROMPT", help="What to ask; - reads it from standard input.")],
    options: TryOptions,
) -> None:
    """Generates one reply, text as it comes; what it took goes to standard error."""
    from nightjar.scripts.one_prompt import check_seed, find_subject, log_to_file, pin, read_prompt

    text = read_prompt(prompt, options.system)
    check_seed(options.seed)
    threads_setting(options.threads)  # a wrong one is named now
    log_to_file()
    gpu = pin(options.gpu)
    subject = find_subject(options.model, options.assignments or [], completion=options.completion)
    run_async(_try(text, subject, options, gpu))


async def _try(text: str, subject: Subject, options: TryOptions, gpu: str | None) -> None:
    from nightjar.scripts.chat_model import ChatModel, load_subject
    from nightjar.scripts.one_prompt import typed_prompt, unusable_file
    from nightjar.scripts.views.saying import Sayer
    from nightjar.workers.engine.load_progress import LoadProgress

    changes: dict[str, object] = {"slots": 1, **threads_setting(options.threads)}
    changes |= {"context": options.context} if options.context else {}
    changes |= {"reproducible": True} if options.reproducible else {}
    progress = LoadProgress()
    with unusable_file(), Sayer(lambda: progress.doing):
        engine = await load_subject(subject, changes, gpu, progress)
    model = ChatModel(engine, subject)
    try:
        prompt = typed_prompt(text, options.system, completion=options.completion)
        planned = await model.plan(prompt, seed=options.seed, remedy="give a larger --context")
        generation = await _stream(engine, planned.request)
        cost = await engine.reproducible_cost()
    finally:
        await model.close()
    for words in engine.load.given_up:
        print(f"[loaded smaller, since memory was short: {words}]", file=sys.stderr)
    if engine.load.reproducible:
        print(reproducible_line(engine.load, cost), file=sys.stderr)
    print(took_line(engine.load, generation), file=sys.stderr)


async def _stream(engine: BatchEngine, asked: Request) -> Generation:
    from nightjar.scripts.streams import unread
    from nightjar.scripts.views.output import plain
    from nightjar.scripts.views.saying import Sayer

    ticket, begun, seen = engine.start(asked, streaming=True), False, sys.stdout.isatty()
    moved = (lambda: engine.stats().decode_tokens) if seen else (lambda: None)  # elsewhere nobody sees the text
    with Sayer(lambda: _doing(engine), moved) as sayer:
        try:
            async for text in ticket:
                begun = True
                sayer.wipe()
                sys.stdout.write(plain(text))
                sys.stdout.flush()
                if unread():
                    raise SystemExit(0)
        finally:
            if begun:  # also after Ctrl-C, so that the shell's prompt begins a line
                print(flush=True)
        return await ticket


def _doing(engine: BatchEngine) -> Doing:
    """What the engine does for the one reply."""
    from nightjar.jobs.machines.doing import Activity, Doing

    stats = engine.stats()
    if stats.prompts_tokens:
        return Doing(
            task=Activity.PREFILL, share=stats.prompts_done / stats.prompts_tokens, tokens=stats.prompts_tokens
        )
    return Doing(task=Activity.GENERATING, tokens=stats.decode_tokens)


def took_line(load: LoadFacts, generation: Generation) -> str:
    """What the reply took: tokens, times, rate, device."""
    timings, count = generation.timings, len(generation.token_ids)
    said = [f"{generation.prompt_tokens} prompt tokens", f"{count} generated ({generation.finish_reason})"]
    if timings.first_token_s is not None:
        said.append(f"first token after {_duration(timings.first_token_s)}")
    if count > 1 and timings.decode_s > 0:
        said.append(f"{(count - 1) / timings.decode_s:.0f} tokens/s")
    return f"[{', '.join([*said, f'loaded in {_duration(load.load_s)}', load.device])}]"


def reproducible_line(load: LoadFacts, cost: float | None) -> str:
    """What `reproducible` costs on this device, as a share of the decode rate."""
    said = [] if cost is None else [f"costs {cost:.0%} of the decode rate here"]
    said += ["one conversation per decode"] if load.reproducible_alone else []
    return f"reproducible: {', '.join(said) or 'at no known cost'}"


def _duration(seconds: float) -> str:
    """Milliseconds below a second."""
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.0005 else "under 1 ms"
