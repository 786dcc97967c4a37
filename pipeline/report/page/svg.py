"""Draws chart specifications as SVG for a page, without a browser and without fetching anything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_IDS = re.compile(r'(id="|url\(#|href="#)(?=clip|gradient)')
_ROOT = re.compile(r"<svg[^>]*?width=\"([\d.]+)\" height=\"([\d.]+)\"[^>]*>")


def draw(spec: Mapping[str, Any], name: str) -> str:
    """The chart as an `<svg>` that scales down with its column; `name` keeps its ids apart from other charts'."""
    import vl_convert

    drawn = str(vl_convert.vegalite_to_svg(json.dumps(spec), allowed_base_urls=[]))
    drawn = _IDS.sub(rf"\g<1>{name}-", drawn)
    return _ROOT.sub(_root, drawn, count=1)


def _root(match: re.Match[str]) -> str:
    width, height = match.groups()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" aria-hidden="true" focusable="false" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    )
