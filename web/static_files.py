"""The files that pages load: read once, served by name and content, so that browsers keep them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nightjar.pipeline.report.page.environment import TEMPLATES

FOLDER = Path(__file__).parent / "static"
_SCRIPT = "text/javascript; charset=utf-8"
_OWN_SCRIPTS = ("login.js", "events.js", "pages.js", "console.js", "watch.js", "play.js", "upload.js")
_SOURCES: dict[str, tuple[str, tuple[Path, ...]]] = {
    "style.css": ("text/css; charset=utf-8", (TEMPLATES / "report.css", FOLDER / "web.css")),
    "icon.svg": ("image/svg+xml", (FOLDER / "icon.svg",)),
    "htmx.js": (_SCRIPT, (FOLDER / "vendor/htmx.min.js",)),
    "hx-csp.js": (_SCRIPT, (FOLDER / "vendor/hx-csp.min.js",)),
    **{name: (_SCRIPT, (FOLDER / name,)) for name in _OWN_SCRIPTS},
}
"""Name -> type, and the files whose contents it is, one after the other."""


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    content: bytes
    media_type: str
    url: str
    """With a digest of the content: another content has another address."""


def read_static() -> dict[str, StaticFile]:
    """Every file, by name."""
    files = {}
    for name, (media_type, sources) in _SOURCES.items():
        content = b"\n".join(source.read_bytes() for source in sources)
        digest = hashlib.sha256(content).hexdigest()[:12]
        files[name] = StaticFile(content=content, media_type=media_type, url=f"/static/{digest}/{name}")
    return files
