"""What others wrote and the pages load: which version, by which licence, unchanged."""

from __future__ import annotations

import hashlib
import json

from nightjar.web.static_files import FOLDER, read_static


def test_the_manifest_is_true() -> None:
    vendor = FOLDER / "vendor"
    packages = json.loads((vendor / "manifest.json").read_text("utf-8"))["packages"]
    named = {name: digest for package in packages for name, digest in package["files"].items()}
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.iterdir()}
    del there["manifest.json"]
    assert named == there
    assert all(package["version"] and package["licence"] for package in packages)
    assert [(package["name"], package["version"]) for package in packages] == [("htmx.org", "4.0.1")]


def test_what_pages_load_first_is_small() -> None:
    """A page's HTML comes on top."""
    assert sum(len(file.content) for file in read_static().values()) < 100_000


def test_no_file_of_ours_speaks_to_others() -> None:
    for name, file in read_static().items():
        text = file.content.decode()
        assert "@import" not in text, name
        assert "url(http" not in text, name
