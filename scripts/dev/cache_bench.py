"""How long a server takes for a reply that is there already: `python -m nightjar.scripts.dev.cache_bench`.

Asks this home's `nightjar serve` the same again and again, one request after the other, and reads from each answer how
long the server says that it took (`nightjar-processing-ms`): from the request's arrival to its answer's first byte.
A worker of the model must be there for the first request. Quiet machines only: it says nothing of a busy one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
from typing import Any

from nightjar.config.settings import load_settings
from nightjar.web.arrival import token_file
from nightjar.web.gate import PROCESSING_MS
from nightjar.web.openai.cached import CACHE

HITS = 200
WARM = 20
"""Requests before, which are not counted."""
WAIT_S = 300.0
TEXT = "Tell me a story about a fox."


def main() -> None:
    arguments = _arguments()
    token = token_file(load_settings().home).read_text("utf-8").strip()
    connection = http.client.HTTPConnection("127.0.0.1", arguments.port, timeout=WAIT_S)
    for path, body in _requests(arguments.model):
        took: list[float] = []
        for number in range(1 + WARM + arguments.hits):
            use, milliseconds = _ask(connection, token, path, body)
            if number > WARM:
                if use != "hit":
                    sys.exit(f"The cache said {use!r} of request {number} to {path}: there is nothing to measure.")
                took.append(milliseconds)
        print(f"{path}: {hits_in_words(took)}")


def hits_in_words(took_ms: list[float]) -> str:
    """The middle and the slow end."""
    p95 = statistics.quantiles(took_ms, n=20)[-1]
    return f"{len(took_ms)} hits, median {statistics.median(took_ms):.2f} ms, p95 {p95:.2f}, most {max(took_ms):.2f}"


def _requests(model: str) -> list[tuple[str, dict[str, Any]]]:
    chat = {"model": model, "messages": [{"role": "user", "content": TEXT}], "seed": 11, "max_tokens": 64}
    return [
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", chat | {"stream": True}),
        ("/generate", {"model": model, "prompt": TEXT, "max_tokens": 64, "temperature": 0}),
    ]


def _ask(connection: http.client.HTTPConnection, token: str, path: str, body: dict[str, Any]) -> tuple[str, float]:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit(f"{path} answered {answer.status}: {text.decode('utf-8', 'replace')}")
    return answer.headers[CACHE], float(answer.headers[PROCESSING_MS])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nightjar.scripts.dev.cache_bench", description=__doc__)
    parser.add_argument("--model", default="nightjar-demo")
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--hits", type=int, default=HITS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
