"""A CLIP or SigLIP picture encoder in ONNX, on the CPU: pixels -> a unit vector. Needs the extra `photos`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import ModelError, ModelFileError
from nightjar.workers.library.digests import DigestCache

FILES = ("vision_model.onnx", "onnx/vision_model.onnx", "model.onnx")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""What CLIP was trained with; used where the folder has no preprocessor_config.json."""
SIDE = 224
OUTPUTS = ("image_embeds", "pooler_output")


class PictureModel:
    """The model in a folder, as its publisher lays it out: an ONNX file and preprocessor_config.json."""

    def __init__(self, folder: Path, digests: DigestCache) -> None:
        """Raises ModelFileError where there is no model, ModelError where it cannot be loaded."""
        file = next((folder / name for name in FILES if (folder / name).is_file()), None)
        if file is None:
            raise ModelFileError(f"{folder} holds no picture model: one of {', '.join(FILES)} has to lie there.")
        self.digest = digests.digest([file])
        config = _config(folder)
        self.side = _side(config)
        self._mean = np.array(config.get("image_mean", CLIP_MEAN), np.float32)
        self._std = np.array(config.get("image_std", CLIP_STD), np.float32)
        self._session = _session(file)
        outputs = [output.name for output in self._session.get_outputs()]
        self._output = next((name for name in OUTPUTS if name in outputs), outputs[0])
        self._input = self._session.get_inputs()[0].name

    def embed(self, pixels: bytes) -> npt.NDArray[np.float32]:
        """The unit vector of side x side RGB pixels. Raises ModelError."""
        square = np.frombuffer(pixels, np.uint8).reshape(self.side, self.side, 3).astype(np.float32) / 255
        planes = ((square - self._mean) / self._std).transpose(2, 0, 1)[None]
        try:
            [found] = self._session.run([self._output], {self._input: planes.astype(np.float32)})
        except Exception as error:  # onnxruntime has no error class of its own
            raise ModelError(f"The picture model cannot read {self.side} x {self.side} pixels: {error}") from None
        vector = np.asarray(found, np.float32).reshape(-1)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise ModelError("The picture model gave numbers that mean nothing.")
        return vector / np.float32(length)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{folder / 'preprocessor_config.json'} cannot be read: {error}") from None
    return config if isinstance(config, dict) else {}


def _side(config: dict[str, Any]) -> int:
    size = config.get("crop_size", config.get("size", SIDE))
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge", SIDE))
    if not isinstance(size, int) or not 1 <= size <= 1024:
        raise ModelFileError(f"preprocessor_config.json asks for pictures of {size!r} pixels.")
    return size


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(PHOTOS_EXTRA) from None
    try:
        return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFileError(f"{file} cannot be loaded: {error}") from None


PHOTOS_EXTRA = "Photos need the extra `photos`: pip install 'nightjar-eval[photos]'."


def checked_vectors(vectors: Sequence[npt.NDArray[np.float32] | None]) -> npt.NDArray[np.float32]:
    """n x d; zeros, which are near to nothing, for photos without one."""
    width = next((len(vector) for vector in vectors if vector is not None), 0)
    return np.array([np.zeros(width) if v is None else v for v in vectors], np.float32).reshape(len(vectors), width)
