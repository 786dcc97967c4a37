"""`nightjar try`: one prompt, straight from a model to the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.session import run_async

if TYPE_CHECKING:
    from workers.engine.engine import BatchEngine
    from workers.engine.request import Generation, Request
    from workers.library.find import ModelEntry

app = typer.Typer()


@app.command(epilog='Example: nightjar try --model nightjar-demo "Tell me a story about a fox."')
def try_(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name of a model, or path of a GGUF file.")],
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    completion: Annotated[bool, typer.Option("--completion", help="No chat template: continue the text.")] = False,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, a generation parameter; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 1,
    context: Annotated[int | None, typer.Option(min=16, help="Tokens of context.")] = None,
    gpu: Annotated[str | None, typer.Option(help="`none` for the CPU alone.")] = None,
) -> None:
    """Generates one reply, text as it comes; what it took goes to standard error."""
    text = sys.stdin.read() if prompt == "-" else prompt
    values = _values(assignments or [])
    run_async(_try(text, model, system, completion, values, seed, context, gpu))


def _values(assignments: list[str]) -> dict[str, Any]:
    from jobs.parameters import parse_assignment

    return {key: value for _, key, value in map(parse_assignment, assignments)}


async def _try(
    text: str,
    model: str,
    system: str | None,
    completion: bool,
    values: dict[str, Any],
    seed: int,
    context: int | None,
    gpu: str | None,
) -> None:
    import structlog

    from config.logging import configure
    from config.settings import load_settings
    from scripts.model_pull import obtained
    from workers.engine.loading import load
    from workers.library.inspect import entry_facts

    settings = load_settings()
    configure(settings.model_copy(update={"log_level": "warning"}) if settings.log_level == "info" else settings)
    entry = obtained(model, settings)
    wanted = entry.load.model_copy(update={"slots": 1} | ({"context": context} if context else {}))
    facts = entry_facts(entry)
    engine = await load(entry.path, name=entry.name, settings=wanted, facts=facts, gpu=gpu, adapters=entry.adapters)
    structlog.get_logger().debug("loaded", **engine.load.model_dump(exclude_none=True))
    try:
        generation = await _stream(engine, _request(engine, entry, text, system, completion, values, seed))
        print(_took(engine, generation), file=sys.stderr)
    finally:
        await engine.close()


def _request(
    engine: BatchEngine,
    entry: ModelEntry,
    text: str,
    system: str | None,
    completion: bool,
    values: dict[str, Any],
    seed: int,
) -> Request:
    """The same way as a job's first turn. Raises TemplateError, ContextError, ParameterError."""
    from datetime import UTC, datetime

    from jobs.parameters import Source, resolve
    from jobs.sequences import Mode, Sequence, TurnSpec
    from workers.conversation import plan_prompt
    from workers.prompts import open_conversation
    from workers.templates import ChatTemplate
    from workers.turns import turn_request

    source = entry.template or engine.chat_template
    template = None
    if source is not None and not completion:
        template = ChatTemplate(
            source,
            bos_text=engine.bos_text,
            eos_text=engine.eos_text,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            reasoning=entry.reasoning,
        )
    mode = Mode.COMPLETION if completion else Mode.CHAT
    conversation = open_conversation(
        Sequence(id="try", turns=(TurnSpec(prompt=text),), mode=mode, system=system),
        template=template,
        tokenizer=engine.tokenizer,
        context=engine.load.context,
        bos_text=engine.bos_text,
    )
    layers = [(Source.GGUF, engine.facts.sampling_defaults), (Source.REGISTRY, entry.parameters), (Source.SET, values)]
    resolved = resolve(layers)
    return turn_request(conversation, plan_prompt(conversation, 0, (), resolved.values), resolved, id="try", seed=seed)


async def _stream(engine: BatchEngine, request: Request) -> Generation:
    from scripts.output import plain

    ticket = engine.start(request, streaming=True)
    async for text in ticket:
        sys.stdout.write(plain(text))
        sys.stdout.flush()
    sys.stdout.write("\n")
    return await ticket


def _took(engine: BatchEngine, generation: Generation) -> str:
    timings, count = generation.timings, len(generation.token_ids)
    rate = f"{(count - 1) / timings.decode_s:.0f} tokens/s" if timings.decode_s > 0 else "one token"
    first = f"first token after {timings.first_token_s:.2f} s" if timings.first_token_s is not None else "no token"
    return (
        f"[{generation.prompt_tokens} prompt tokens, {count} generated ({generation.finish_reason}), {first}, {rate}, "
        f"loaded in {engine.load.load_s:.2f} s, {engine.load.device}]"
    )
