"""How a picture model wants its pictures, as preprocessor_config.json beside it says. What is not known is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nightjar.config.errors import ModelFileError

FILE = "preprocessor_config.json"
CLIP, SIGLIP = "CLIP", "Siglip"
PROCESSORS = {
    **dict.fromkeys(("CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPFeatureExtractor"), CLIP),
    **dict.fromkeys(("SiglipImageProcessor", "SiglipImageProcessorFast"), SIGLIP),
}
RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which publishers write."""
MOST_SIDE = 1024
_READ = frozenset(
    "image_processor_type feature_extractor_type do_resize size resample do_center_crop crop_size do_rescale "
    "rescale_factor do_normalize image_mean image_std do_convert_rgb".split()
)
_WITHOUT_MEANING = frozenset("processor_class _valid_processor_keys return_tensors".split())
"""Keys that say nothing of the pixels."""
Three = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is done to the pixels of an upright picture in RGB. It is a part of what a vector means."""

    width: int
    height: int
    """What the model is given."""
    shortest: int | None
    """The shorter side is first brought to this and the middle is cut out; None: both sides are, whatever the shape."""
    resample: int
    scale: float
    """What a pixel of 0 to 255 is multiplied by."""
    mean: Three | None
    std: Three | None
    """None: not normalised."""

    @property
    def question(self) -> dict[str, int | None]:
        """What `decode.read_photo` has to know; the rest is done to the numbers."""
        return {
            name: value for name, value in asdict(self).items() if name in ("width", "height", "shortest", "resample")
        }


def read_preparation(folder: Path) -> Preparation:
    """Raises ModelFileError where the file is missing, or asks for something that is not done here."""
    file = folder / FILE
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFileError(
            f"{folder} has no {FILE}, so that nobody knows how its model wants pictures. Take it from the model's "
            "repository."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{file} cannot be read: {error}") from None
    try:
        return _preparation(config)
    except _Unknown as error:
        raise ModelFileError(
            f"{file} cannot be followed: {error} A vector made another way would mean nothing."
        ) from None


class _Unknown(Exception):
    """Why a configuration is refused."""


def _preparation(config: Any) -> Preparation:
    if not isinstance(config, dict):
        raise _Unknown("it is no object.")
    given = {name: value for name, value in config.items() if value is not None and name not in _WITHOUT_MEANING}
    if strange := sorted(set(given) - _READ):
        raise _Unknown(f"{', '.join(strange)} is not known here.")
    kind = _processor(given)
    if given.get("do_resize", True) is not True:
        raise _Unknown("it leaves pictures at their size.")
    resample = given.get("resample")
    if resample not in RESAMPLING or isinstance(resample, bool):
        raise _Unknown(f"resample {resample!r} is not known here.")
    width, height, shortest = _sizes(given, kind)
    mean, std = _normalisation(given)
    return Preparation(
        width=width,
        height=height,
        shortest=shortest,
        resample=int(resample),
        scale=_scale(given),
        mean=mean,
        std=std,
    )


def _processor(given: dict[str, Any]) -> str:
    name = given.get("image_processor_type", given.get("feature_extractor_type"))
    if not isinstance(name, str) or name not in PROCESSORS:
        raise _Unknown(f"its kind is {name!r}; {', '.join(PROCESSORS)} are known here.")
    return PROCESSORS[name]


def _sizes(given: dict[str, Any], kind: str) -> tuple[int, int, int | None]:
    """Width and height of what the model is given, and the shorter side before the middle is cut out."""
    size = given.get("size")
    shortest = size.get("shortest_edge") if isinstance(size, dict) else size if kind == CLIP else None
    crops = given.get("do_center_crop", "crop_size" in given)
    cut = _pair(given.get("crop_size")) if crops else None
    if shortest is not None:
        if cut is None or not _is_side(shortest) or max(cut) > shortest:
            raise _Unknown(f"size {size!r} with crop_size {given.get('crop_size')!r} gives no picture of one size.")
        return *cut, shortest
    whole = _pair(size)
    if cut not in (None, whole):
        raise _Unknown(f"size {size!r} and then crop_size {given.get('crop_size')!r} is not known here.")
    return *whole, None


def _pair(size: Any) -> tuple[int, int]:
    """(width, height)"""
    width, height = (size.get("width"), size.get("height")) if isinstance(size, dict) else (size, size)
    if not _is_side(width) or not _is_side(height):
        raise _Unknown(f"it asks for pictures of {size!r} pixels.")
    return width, height


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SIDE


def _scale(given: dict[str, Any]) -> float:
    if not given.get("do_rescale", True):
        return 1.0
    factor = given.get("rescale_factor", 1 / 255)
    if not isinstance(factor, float) or not 0 < factor <= 1:
        raise _Unknown(f"rescale_factor {factor!r} is not known here.")
    return factor


def _normalisation(given: dict[str, Any]) -> tuple[Three | None, Three | None]:
    if not given.get("do_normalize", True):
        return None, None
    mean, std = (_three(given, name) for name in ("image_mean", "image_std"))
    if 0 in std:
        raise _Unknown("image_std has a 0.")
    return mean, std


def _three(given: dict[str, Any], name: str) -> Three:
    numbers = given.get(name)
    if not isinstance(numbers, list) or len(numbers) != 3 or not all(isinstance(n, int | float) for n in numbers):
        raise _Unknown(f"{name} is {numbers!r}, where three numbers were expected.")
    red, green, blue = map(float, numbers)
    return red, green, blue
