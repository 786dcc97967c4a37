"""What a text that names no model file is told: a folder, a repository of the hub, an address. Pure but for `Path`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from nightjar.config.errors import ModelFileError
from nightjar.workers.library.endpoints import base_address, needs_allowance

SHOWN = 10
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://", re.IGNORECASE)
_REPO = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+?)(?:[/@:].*)?")


def refusal(text: str) -> ModelFileError | None:
    """The error for an address, or for what can only be a repository of the hub; None for what may be a path."""
    on_hub = _HUB.match(text)
    repo = _REPO.fullmatch(text[on_hub.end() :] if on_hub else text)
    if on_hub and repo:
        return _to_pull(text, repo["repo"], "is on the hub")
    if _ADDRESS.match(text):
        return _of_address(text)
    written_as_path = text.startswith((".", "/", "~")) or text.lower().endswith(".gguf") or text.count("/") != 1
    if repo and not written_as_path and not Path(text).exists() and not Path(text).parent.exists():
        return _to_pull(text, repo["repo"], "is no file or folder here; it may be a repository of the hub")
    return None


def folder_refusal(folder: Path, files: Sequence[Path]) -> ModelFileError:
    """The error for a folder where one model is wanted: it offers what is in it."""
    if not files:
        return ModelFileError(f"{folder} is a folder without any .gguf file. Give the path of a model's file.")
    more = f"\n  and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    listed = "".join(f"\n  --model {file}" for file in files[:SHOWN])
    return ModelFileError(
        f"{folder} is a folder. Name a model in it:{listed}{more}\n`nightjar model list {folder}` says more of each."
    )


def _to_pull(text: str, repo: str, what: str) -> ModelFileError:
    return ModelFileError(f"{text} {what}. Fetch it: `nightjar model pull {repo}`, then give the name that it says.")


def _of_address(text: str) -> ModelFileError:
    if text.lower().partition("?")[0].endswith(".gguf"):
        return ModelFileError(
            f"{text} is an address, and Nightjar fetches from the hub only. Fetch the file yourself, as with "
            f"`curl -LO {text}`, and give its path."
        )
    url = base_address(text)
    if url is None:
        return ModelFileError(
            f"{text} is an address at which no model can answer: such an address is http(s)://HOST[:PORT]/PATH. "
            "`nightjar model list` shows the models that are here."
        )
    private = " --allow-private" if needs_allowance(url) else ""
    return ModelFileError(
        f"{url} is an address. A model that answers there is evaluated under a name; give it one, and use that:\n"
        f"  nightjar endpoint add ENDPOINT {url}{private}\n"
        "  nightjar model add NAME --endpoint ENDPOINT --model WHAT-THE-SERVER-CALLS-IT\n"
        "A key is named with `--key-env VARIABLE`, the kind of server (llama-server, vllm, ollama, lmstudio) with "
        "`--kind`. `nightjar endpoint list` shows those that are known."
    )
