"""A CLIP or SigLIP model in ONNX, on the CPU: its picture encoder and its text encoder give unit vectors of one space.

Needs the extra `photos`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import ModelError, ModelFileError
from nightjar.jobs.identity import digest
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.photos.preparation import read_preparation

PICTURES = ("vision_model.onnx", "onnx/vision_model.onnx", "model.onnx")
WORDS = ("text_model.onnx", "onnx/text_model.onnx")
TOKENIZER = "tokenizer.json"
OUTPUTS = {"clip": ("image_embeds", "text_embeds"), "siglip": ("pooler_output", "pooler_output")}
"""What the two encoders of a kind of model give in the space that they share."""
TOKENS = {"clip": 77, "siglip": 64}
"""Of a text, where config.json does not say."""
PictureVector = npt.NDArray[np.float32]
PHOTOS_EXTRA = "Photos need the extra `photos`: pip install 'nightjar-eval[photos]'."


class PictureModel:
    """The model in a folder, as its publisher lays it out. Each encoder is loaded when it is first used."""

    def __init__(self, folder: Path, digests: DigestCache) -> None:
        """Raises ModelFileError where there is no picture encoder, or nobody knows how it wants its pictures."""
        file = _first(folder, PICTURES)
        if file is None:
            raise ModelFileError(f"{folder} holds no picture model: one of {', '.join(PICTURES)} has to lie there.")
        self.folder = folder
        self.preparation = read_preparation(folder)
        self._file = file
        self.digest = digest("pictures", digests.digest([file]), asdict(self.preparation))
        """Of all that a picture's vector depends on."""

    @property
    def takes_words(self) -> bool:
        """Whether a text encoder lies beside it."""
        return _first(self.folder, WORDS) is not None and (self.folder / TOKENIZER).is_file()

    def embed(self, pixels: bytes) -> PictureVector:
        """The unit vector of RGB pixels as the preparation asks for them. Raises ModelError, ModelFileError."""
        wanted = self.preparation
        read = np.frombuffer(pixels, np.uint8).reshape(wanted.height, wanted.width, 3)
        picture: PictureVector = read.astype(np.float32)
        picture *= np.float32(wanted.scale)
        if wanted.mean is not None and wanted.std is not None:
            picture -= np.array(wanted.mean, np.float32)
            picture /= np.array(wanted.std, np.float32)
        session = self._pictures
        name = session.get_inputs()[0].name
        made = _run(session, self._picture_output, {name: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])})
        return _unit(made)

    def embed_words(self, text: str) -> PictureVector:
        """The unit vector of a text, in the space of the pictures. Raises ModelError, ModelFileError."""
        session, (tokenizer, output) = self._words, self._tokens
        encoding = tokenizer.encode(text)
        given = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
        inputs = {value.name: value.type for value in session.get_inputs()}
        if unknown := sorted(set(inputs) - set(given)):
            raise ModelFileError(
                f"The text encoder in {self.folder} asks for {', '.join(unknown)}, which is not known."
            )
        feed = {
            name: np.array([given[name]], np.int32 if kind == "tensor(int32)" else np.int64)
            for name, kind in inputs.items()
        }
        return _unit(_run(session, output, feed))

    @cached_property
    def _pictures(self) -> Any:
        return _session(self._file)

    @cached_property
    def _picture_output(self) -> str:
        names = [output.name for output in self._pictures.get_outputs()]
        return next((name for name, _ in OUTPUTS.values() if name in names), str(names[0]))

    @cached_property
    def _words(self) -> Any:
        file = _first(self.folder, WORDS)
        if file is None:
            raise ModelFileError(f"{self.folder} holds no text encoder: one of {', '.join(WORDS)} has to lie there.")
        return _session(file)

    @cached_property
    def _tokens(self) -> tuple[Any, str]:
        """The tokenizer as the model was trained with it, and the output that shares the pictures' space."""
        config = _object(self.folder / "config.json")
        kind = config.get("model_type")
        if kind not in OUTPUTS:
            raise ModelFileError(
                f"{self.folder / 'config.json'} calls its model_type {kind!r}; of {', '.join(OUTPUTS)} it is known how "
                "they take words."
            )
        output = OUTPUTS[kind][1]
        if output not in [made.name for made in self._words.get_outputs()]:
            raise ModelFileError(f"The text encoder in {self.folder} gives no {output}, which pictures are near to.")
        text = config.get("text_config") or {}
        length = text.get("max_position_embeddings", TOKENS[kind])
        return _tokenizer(self.folder, length, padded=kind == "siglip"), output


def _tokenizer(folder: Path, length: int, *, padded: bool) -> Any:
    """`padded`: the model was trained on texts that were all filled up to one length."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ModelError(PHOTOS_EXTRA) from None
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the library has no error class of its own
        raise ModelFileError(f"{folder / TOKENIZER} cannot be read: {error}") from None
    tokenizer.enable_truncation(length)
    if not padded:
        tokenizer.no_padding()
        return tokenizer
    given = _object(folder / "tokenizer_config.json").get("pad_token")
    token = given.get("content") if isinstance(given, dict) else given
    number = tokenizer.token_to_id(token) if isinstance(token, str) else None
    if number is None:
        raise ModelFileError(f"{folder / 'tokenizer_config.json'} names no pad_token that {TOKENIZER} has.")
    tokenizer.enable_padding(length=length, pad_id=number, pad_token=token)
    return tokenizer


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _object(file: Path) -> dict[str, Any]:
    """Raises ModelFileError where it is missing, or no object in JSON."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{file} cannot be read: {error}") from None
    if not isinstance(read, dict):
        raise ModelFileError(f"{file} holds no object.")
    return read


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(PHOTOS_EXTRA) from None
    try:
        return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFileError(f"{file} cannot be loaded: {error}") from None


def _run(session: Any, output: str, feed: dict[str, Any]) -> Any:
    try:
        [made] = session.run([output], feed)
    except Exception as error:  # onnxruntime has no error class of its own
        shapes = ", ".join(f"{name} {value.shape}" for name, value in feed.items())
        raise ModelError(f"The picture model cannot take {shapes}: {error}") from None
    return made


def _unit(made: Any) -> PictureVector:
    vector: PictureVector = np.asarray(made, np.float32).reshape(-1)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise ModelError("The picture model gave numbers that mean nothing.")
    return vector / np.float32(length)


def checked_vectors(vectors: Sequence[PictureVector | None]) -> PictureVector:
    """n x d; zeros, which are near to nothing, for photos without one."""
    width = next((len(vector) for vector in vectors if vector is not None), 0)
    return np.array([np.zeros(width) if v is None else v for v in vectors], np.float32).reshape(len(vectors), width)
