"""One photo: size, what EXIF says but for the place, a thumbnail, and the pixels for a picture model.

Run in a `LimitedProcess` (`decode_child.py`): a picture can crash or fill whoever opens it. Needs the extra `photos`.
"""

from __future__ import annotations

import base64
import io
import os
import stat
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image as ImageModule

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF")
"""Told by the content, whatever the name says. Others stay closed: Pillow has PostScript run by another program."""
MOST_PIXELS = 120_000_000
MOST_BYTES = 200_000_000
THUMBNAIL = 256
"""Pixels of its longer side."""
SIDES = ("width", "height", "shortest", "longest")
"""What of the question is a number of pixels."""
TEXTS = {270: "description", 271: "make", 272: "camera", 306: "taken"}
"""EXIF tags that are kept. The place (GPS) is none of them, and the thumbnail has no EXIF at all."""
TAKEN = 36867
"""DateTimeOriginal, in EXIF's own folder; before the date of the last change."""
EXIF_FOLDER = 34665
MOST_TEXT = 1_000


def read_photo(path: str, wanted: Mapping[str, int | None] | None) -> dict[str, Any]:
    """Of a regular file that no link leads to. `wanted`: the pixels, as `Preparation.question` says, or the whole
    picture with a `longest` side of so many; None: none.

    Raises OSError, and ValueError for what is no picture or too large a one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if os.path.realpath(path) != path:
        raise ValueError("a link leads there")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
        os.close(descriptor)
        raise ValueError("it is no file, or larger than a photo")
    with os.fdopen(descriptor, "rb") as file:
        _register_heif()
        Image.MAX_IMAGE_PIXELS = None  # checked here, before anything is decoded
        try:
            with warnings.catch_warnings(), Image.open(file, formats=FORMATS) as image:
                warnings.simplefilter("ignore")
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise ValueError(f"{width:,} x {height:,} pixels are more than {MOST_PIXELS:,}")
                facts = _exif(image)
                side = 2 * max([THUMBNAIL, *((wanted.get(name) or 0) for name in SIDES)] if wanted else [THUMBNAIL])
                image.draft("RGB", (side, side))
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (UnidentifiedImageError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ValueError(f"it cannot be read as a picture ({type(error).__name__})") from None
    if (upright.width > upright.height) != (width > height):  # it was taken with the camera turned
        width, height = height, width
    made: dict[str, Any] = {"width": width, "height": height, "exif": facts, "thumbnail": _encoded(_thumbnail(upright))}
    if wanted is not None:
        picture = prepared_pixels(upright, wanted)
        made |= {"pixels": _encoded(picture.tobytes()), "pixels_size": picture.size}
    return made


def prepared_pixels(image: ImageModule.Image, wanted: Mapping[str, int | None]) -> ImageModule.Image:
    """The picture as its model wants it.

    The middle is cut out and made smaller in one step, which gives the pixels of doing one after the other: a strip
    of a picture would become very long otherwise.
    """
    from PIL import Image

    if (longest := wanted.get("longest")) is not None:
        whole_picture = image.copy()
        whole_picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
        return whole_picture
    width, height, shortest, how = (wanted[name] for name in ("width", "height", "shortest", "resample"))
    assert width is not None
    assert height is not None
    size, resampling = (width, height), Image.Resampling(how)
    if shortest is None:
        return image.resize(size, resampling)
    short, long = sorted(image.size)
    resized = [shortest if side == short else int(shortest * long / short) for side in image.size]
    box: list[float] = []
    for whole, there, kept in zip(image.size, resized, size, strict=True):
        start = (there - kept) // 2
        box += [start * whole / there, (start + kept) * whole / there]
    return image.resize(size, resampling, box=(box[0], box[2], box[1], box[3]))


def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()


def _exif(image: ImageModule.Image) -> dict[str, str]:
    try:
        exif = image.getexif()
        taken = exif.get_ifd(EXIF_FOLDER).get(TAKEN)
        found = {name: exif[tag] for tag, name in TEXTS.items() if tag in exif}
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):  # broken EXIF is no reason to leave a photo out
        return {}
    found |= {"taken": taken} if taken else {}
    texts = {name: str(value).replace("\x00", " ").strip()[:MOST_TEXT] for name, value in found.items()}
    return {name: text for name, text in texts.items() if text}


def _thumbnail(image: ImageModule.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
