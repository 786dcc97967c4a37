"""A program of a user's, typed: `make check` holds it to mypy --strict, and a test runs it. Prints JSON."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, assert_type

import nightjar

FOX = "Tell me a story about a fox."


def in_threads(model: nightjar.Model) -> list[str]:
    """Four threads that share the model."""
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(model.chat(FOX, max_tokens=24).text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


async def in_a_loop(model: nightjar.Model) -> dict[str, Any]:
    """As in a notebook: a loop runs, and plain calls are made beside async ones."""
    reply = await model.achat(FOX, max_tokens=24)
    assert_type(reply, nightjar.ModelReply)
    plain = model.chat(FOX, max_tokens=24)
    streamed = [text async for text in model.astream(FOX, max_tokens=24)]
    batch = await model.achat_batch([FOX, FOX], max_tokens=24)
    endless = asyncio.create_task(model.agenerate(FOX, max_tokens=1500, grammar="root ::= [ab] root"))
    while not model.stats().slots_used and not endless.done():  # noqa: ASYNC110  # another thread's doing
        await asyncio.sleep(0.001)
    endless.cancel()
    [ended] = await asyncio.gather(endless, return_exceptions=True)
    while model.stats().slots_used:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    texts = [reply.text, plain.text, "".join(streamed), *(one.text for one in batch)]
    async with await nightjar.aload("nightjar-demo", context=256, gpu="none") as other:
        texts.append((await other.achat(FOX, max_tokens=24)).text)
    return {"texts": texts, "ended": type(ended).__name__}


def wrong(model: nightjar.Model) -> dict[str, str]:
    """The errors of wrong calls, by name."""
    calls: dict[str, Any] = {
        "no message": lambda: model.chat([]),
        "no role": lambda: model.chat([{"content": "x"}]),
        "assistant last": lambda: model.chat([{"role": "assistant", "content": "x"}]),
        "no text": lambda: model.chat([{"role": "user", "content": 3}]),
        "parameter": lambda: model.chat(FOX, temprature=1),
        "value": lambda: model.chat(FOX, temperature=-1),
        "seed": lambda: model.chat(FOX, seed=-1),
        "too long": lambda: model.chat("fox " * 3000),
        "embed": lambda: model.embed("x"),
        "setting": lambda: nightjar.load("nightjar-demo", contxt=3),
        "no model": lambda: nightjar.load("nightjar-dmo"),
        "report": lambda: nightjar.read_report(__file__),
        "option": lambda: nightjar.evaluate("story-starters", "nightjar-demo", limt=3),  # type: ignore[call-arg]
    }
    said = {}
    for name, call in calls.items():
        try:
            call()
        except nightjar.NightjarError as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def main() -> None:
    model = nightjar.load("nightjar-demo", context=2048, slots=4, gpu="none")
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": FOX}]
    first = next(iter(model.stream(FOX, max_tokens=400)))  # leaving the loop ends it
    facts = {
        "chat": model.chat(FOX, max_tokens=24).text,
        "streamed": "".join(model.stream(FOX, max_tokens=24)),
        "first": first,
        "threads": in_threads(model),
        "loop": asyncio.run(in_a_loop(model)),
        "counts": [model.count("fox"), len(model.tokenize("fox"))],
        "prompt": [model.count(messages), model.chat(messages).prompt_tokens],
        "text": model.detokenize(model.tokenize("a fox")),
        "generated": str(model.generate("Once", max_tokens=8, temperature=0)),
        "wrong": wrong(model),
        "name": [model.name, model.context, model.load_facts.slots],
    }
    model.close()
    model.close()
    try:
        model.chat(FOX)
    except nightjar.EngineError as error:
        facts["closed"] = str(error)
    left_open = nightjar.load("nightjar-demo", context=2048, gpu="none")  # and works while the process ends
    endless: dict[str, Any] = {"max_tokens": 1500, "grammar": "root ::= [ab] root"}
    threading.Thread(target=lambda: left_open.generate(FOX, **endless), daemon=True).start()
    while not left_open.stats().slots_used:
        time.sleep(0.001)
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
