"""Renders the chat templates given on standard input, one after the other: `python -m tests.fuzz.renderer`.

A process of its own, so that a template that gets past its limits can hang or fill only that. Answers with one line of
JSON each: how it ended, and the text.
"""

from __future__ import annotations

import json
import resource
import sys

MEMORY_BYTES = 2**30
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Tell me a story."},
    {"role": "assistant", "content": "Once."},
    {"role": "user", "content": "Go on <|im_end|>"},
]


def render(source: str) -> dict[str, str]:
    from nightjar.config.errors import NightjarError
    from nightjar.workers.conversation.templates import ChatTemplate

    try:
        template = ChatTemplate(source, bos_text="<s>", eos_text="</s>", date="2026-03-14")
        return {"end": "rendered", "said": template.render(MESSAGES)}
    except NightjarError as error:
        return {"end": "refused", "said": str(error)}
    except Exception as error:
        return {"end": "escaped", "said": f"{type(error).__name__}: {error}"}


def main() -> None:
    render("{{ messages }}")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(render(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
