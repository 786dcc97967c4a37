"""Models of a local Ollama store, used in place: its blobs are GGUF files, its manifests say which is which."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from nightjar.config.counting import how_many
from nightjar.config.errors import ModelFileError, ParameterError, UnknownNameError
from nightjar.jobs.parameters import check
from nightjar.workers.library.go_template import Untranslatable, to_jinja

if TYPE_CHECKING:
    from nightjar.config.settings import Settings

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
"""The parts of a name that Ollama leaves out."""
STORES = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")
PARAMETERS: Mapping[str, str] = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "num_predict": "max_tokens",
    "stop": "stop",
}
"""Ollama's parameter -> Nightjar's. The others (mirostat, threads, ...) have no counterpart."""
_DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")
_MOST_TEXT = 4 * 2**20
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class OllamaModel:
    """One model of the store."""

    name: str
    path: Path
    """The blob with the model, a GGUF file without that ending."""
    template: str | None = None
    """In Jinja; None if the store has none or it cannot be translated, and then the file's own is used."""
    system: str | None = None
    """What a conversation without a system message is told."""
    parameters: dict[str, Any] = field(default_factory=dict)
    context: int | None = None
    adapters: tuple[Path, ...] = ()
    bytes: int = 0


def store_of(settings: Settings) -> Path | None:
    """The Ollama store of this machine; None if there is none."""
    places = [settings.ollama_models] if settings.ollama_models else [Path(place).expanduser() for place in STORES]
    return next((place for place in places if (place / "manifests").is_dir()), None)


def ollama_names(settings: Settings) -> dict[str, Path]:
    """Names in the store, as Ollama shows them, and their manifests; unreadable folders are skipped."""
    store = store_of(settings)
    if store is None:
        return {}
    root = store / "manifests"
    manifests = {}
    for file in sorted(root.rglob("*")):
        parts = file.relative_to(root).parts
        if len(parts) >= 4 and not file.name.startswith(".") and file.is_file() and "/".join(parts).isprintable():
            manifests[_short(parts)] = file
    return manifests


def with_tag(name: str) -> str:
    """The name with the tag that Ollama leaves out."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:{TAG}"


def find_ollama(name: str, settings: Settings) -> OllamaModel:
    """The model of that name. Raises UnknownNameError, and ModelFileError for a damaged store."""
    known = ollama_names(settings)
    wanted = with_tag(name)
    if wanted not in known:
        raise UnknownNameError("model in the Ollama store", name, known, "See `ollama list`, or OLLAMA_MODELS.")
    manifest = known[wanted]
    store = store_of(settings)
    assert store is not None
    layers = list(_layers(manifest, store))
    models = [blob for kind, blob in layers if kind == "model"]
    if len(models) != 1:
        raise ModelFileError(
            f"{manifest} names {how_many(len(models), 'model file')}; one is expected. Pull {name} again in Ollama."
        )
    options = _parameters(name, layers)
    context = options.pop("num_ctx", None)
    return OllamaModel(
        name=wanted,
        path=models[0],
        template=_template(name, layers),
        system=_text(layers, "system"),
        parameters={PARAMETERS[key]: value for key, value in options.items()},
        context=context if isinstance(context, int) and context >= 16 else None,
        adapters=tuple(blob for kind, blob in layers if kind == "adapter"),
        bytes=models[0].stat().st_size,
    )


def _short(parts: tuple[str, ...]) -> str:
    host, *namespace, model, tag = parts
    if host != HOST:
        return f"{'/'.join([host, *namespace, model])}:{tag}"
    return f"{model if namespace == [NAMESPACE] else '/'.join([*namespace, model])}:{tag}"


def _layers(manifest: Path, store: Path) -> Iterator[tuple[str, Path]]:
    """(kind, blob) of each layer: model, template, params, system, adapter, license, ..."""
    try:
        layers = json.loads(_read(manifest))["layers"]
        named = [(str(layer["mediaType"]).rpartition(".")[2], str(layer["digest"])) for layer in layers]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{manifest} is no manifest of Ollama ({type(error).__name__}). Pull it again.") from None
    for kind, digest in named:
        if not _DIGEST.fullmatch(digest):
            raise ModelFileError(
                f"{manifest} names {ascii(digest)[:80]} as a digest, which is none and could lead out of the store. "
                "Remove the model in Ollama, and do not trust where it came from."
            )
        blob = store / "blobs" / digest.replace(":", "-")
        if not blob.is_file():
            raise ModelFileError(
                f"{manifest} names the blob {blob}, which is not there. Pull the model again in Ollama."
            )
        yield kind, blob


def _parameters(name: str, layers: list[tuple[str, Path]]) -> dict[str, Any]:
    """The store's parameters that Nightjar knows, and num_ctx; values out of range are left out and logged."""
    try:
        given = json.loads(_text(layers, "params") or "{}")
    except ValueError:
        given = {}
    kept: dict[str, Any] = {}
    for key, value in given.items() if isinstance(given, dict) else ():
        if key == "num_ctx":
            kept[key] = value
        if key not in PARAMETERS or (key == "num_predict" and value in (-1, -2)):
            continue
        try:
            check({PARAMETERS[key]: value}, "the Ollama store")
        except ParameterError as error:
            _log.warning("ollama_parameter_ignored", model=name, parameter=key, reason=str(error))
            continue
        kept[key] = value
    return kept


def _template(name: str, layers: list[tuple[str, Path]]) -> str | None:
    source = _text(layers, "template")
    if not source:
        return None
    try:
        return to_jinja(source)
    except Untranslatable as error:
        _log.warning("ollama_template_untranslated", model=name, reason=str(error), used="the file's own template")
        return None


def _text(layers: list[tuple[str, Path]], kind: str) -> str | None:
    for other, blob in layers:
        if other == kind:
            try:
                return _read(blob)
            except (OSError, ValueError) as error:
                raise ModelFileError(f"{blob}, the {kind} of a model of Ollama, cannot be used: {error}.") from None
    return None


def _read(file: Path) -> str:
    """A text of the store. Raises ValueError for one that is far larger than any: it may be somebody's model file."""
    with file.open("rb") as opened:
        content = opened.read(_MOST_TEXT + 1)
    if len(content) > _MOST_TEXT:
        raise ValueError(f"it has more than {_MOST_TEXT / 2**20:.0f} MiB")
    return content.decode("utf-8", "replace")
