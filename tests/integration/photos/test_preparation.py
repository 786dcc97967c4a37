"""How pictures are prepared: what publishers write is followed to the pixel, and what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nightjar.config.errors import ModelFileError
from nightjar.workers.photos.decode import prepared_pixels
from nightjar.workers.photos.preparation import Preparation, read_preparation

CLIP: dict[str, Any] = {
    "crop_size": {"height": 16, "width": 16},
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
    "size": {"shortest_edge": 20},
}
SIGLIP: dict[str, Any] = {
    "image_processor_type": "SiglipImageProcessor",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_rescale": True,
    "rescale_factor": 0.00392156862745098,
    "resample": 2,
    "size": {"height": 24, "width": 16},
    "processor_class": "SiglipProcessor",
    "do_convert_rgb": None,
}


def prepared(folder: Path, config: Any) -> Preparation:
    (folder / "preprocessor_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return read_preparation(folder)


@pytest.mark.parametrize(
    ("config", "size", "shortest", "resample"),
    [
        (CLIP, (16, 16), 20, 3),
        (CLIP | {"size": 16, "crop_size": 16}, (16, 16), 16, 3),  # as it was written first
        (CLIP | {"image_processor_type": "CLIPImageProcessorFast"}, (16, 16), 20, 3),
        (SIGLIP, (16, 24), None, 2),
        (SIGLIP | {"size": 16}, (16, 16), None, 2),  # a square: SigLIP cuts nothing off
        (SIGLIP | {"crop_size": 16}, (16, 24), None, 2),  # nothing asks for that cut
    ],
)
def test_what_publishers_write(
    tmp_path: Path, config: dict[str, Any], size: tuple[int, int], shortest: int | None, resample: int
) -> None:
    if config.get("crop_size") == 16 and "do_center_crop" not in config:
        config = config | {"do_center_crop": False}
    made = prepared(tmp_path, config)
    assert ((made.width, made.height), made.shortest, made.resample) == (size, shortest, resample)
    assert made.scale == pytest.approx(1 / 255)


def test_what_is_left_out(tmp_path: Path) -> None:
    made = prepared(tmp_path, SIGLIP | {"do_rescale": False, "do_normalize": False})
    assert (made.scale, made.mean, made.std) == (1.0, None, None)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("{", "cannot be read"),
        ("[]", "no object"),
        (CLIP | {"feature_extractor_type": "BlipImageProcessor"}, "'BlipImageProcessor'"),  # another kind
        ({key: value for key, value in CLIP.items() if key != "feature_extractor_type"}, "its kind is None"),
        (CLIP | {"do_pad": True}, "do_pad is not known"),  # a step that is not done here
        (CLIP | {"auto_map": {"AutoImageProcessor": "x.Y"}}, "auto_map"),  # code of its own
        (CLIP | {"do_resize": False}, "leaves pictures at their size"),
        (CLIP | {"resample": 1}, "resample 1"),  # Lanczos
        (CLIP | {"resample": None}, "resample None"),
        (CLIP | {"do_center_crop": False}, "no picture of one size"),
        (CLIP | {"crop_size": 30}, "no picture of one size"),  # larger than what it is cut from
        (CLIP | {"size": {"longest_edge": 9}}, "of {'longest_edge': 9} pixels"),
        (SIGLIP | {"size": {"height": 100_000, "width": 16}}, "of {'height': 100000"),
        (SIGLIP | {"size": True}, "of True pixels"),
        (SIGLIP | {"do_center_crop": True, "crop_size": 8}, "and then crop_size 8"),
        (SIGLIP | {"rescale_factor": "1/255"}, "rescale_factor '1/255'"),
        (SIGLIP | {"image_mean": [0.5]}, "image_mean"),
        (SIGLIP | {"image_std": [0.5, 0, 0.5]}, "image_std has a 0"),
        (SIGLIP | {"image_std": None}, "image_std is None"),
    ],
)
def test_what_is_refused(tmp_path: Path, config: Any, why: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        prepared(tmp_path, config)
    assert why in str(refused.value)


@pytest.mark.parametrize("size", [(61, 40), (40, 61), (50, 50), (20, 20), (16, 900)])
def test_the_pixels_are_those_of_one_step_after_the_other(tmp_path: Path, size: tuple[int, int]) -> None:
    """Resized by the shorter side, and the middle cut out, as publishers do it; the long way needs more memory."""
    colours = np.random.default_rng(1).integers(80, 176, (size[1], size[0], 3), dtype=np.uint8)  # none is cut off
    picture = Image.fromarray(colours)
    made = np.asarray(prepared_pixels(picture, prepared(tmp_path, CLIP).question), np.int32)
    scale = 20 / min(size)
    whole = picture.resize(
        tuple(20 if side == min(size) else int(side * scale) for side in size), Image.Resampling.BICUBIC
    )  # type: ignore[arg-type]
    left, top = (whole.width - 16) // 2, (whole.height - 16) // 2
    expected = np.asarray(whole.crop((left, top, left + 16, top + 16)), np.int32)
    assert made.shape == (16, 16, 3)
    assert np.abs(made - expected).max() <= 1, "but for what is rounded"
    whole_picture = prepared_pixels(picture, prepared(tmp_path, SIGLIP).question)
    assert whole_picture.tobytes() == picture.resize((16, 24), Image.Resampling.BILINEAR).tobytes()
