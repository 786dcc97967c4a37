"""The form of what a hub answers."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import HubError
from nightjar.workers.library.hub_answers import check_digests, checked_commit, checked_file, is_safe_path
from nightjar.workers.library.quants import RemoteFile

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "name", ["a-Q8_0.gguf", "Q8_0/a-00001-of-00002.gguf", "模型/q4 k.gguf", ".gitattributes", "a..b"]
)
def test_a_path_of_a_repository_is_safe(name: str) -> None:
    assert is_safe_path(name)
    assert checked_file("a/b", name, 5, DIGEST) == RemoteFile(name=name, bytes=5, sha256=DIGEST)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/a.gguf",
        "../a.gguf",
        "a/../../b.gguf",
        "a//b.gguf",
        "./a.gguf",
        "a/.",
        "a\\b.gguf",
        "a\nb.gguf",
        "a\x1b[2J.gguf",
        "a\u202eb.gguf",
        "a\u2028b.gguf",
        "a\x00.gguf",
        "x" * 256,
        "x/" * 600 + "x",
        7,
        None,
    ],
)
def test_a_name_that_leads_out_or_acts_on_a_terminal_is_refused(name: Any) -> None:
    with pytest.raises(HubError) as caught:
        checked_file("a/b", name, 5, DIGEST)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("digest", ["", "/../../pw", DIGEST[:-1], DIGEST.upper(), DIGEST + "\n", 7, ["x"]])
def test_a_digest_of_another_form_is_refused(digest: Any) -> None:
    with pytest.raises(HubError, match="which is none"):
        checked_file("a/b", "a.gguf", 5, digest)


@pytest.mark.parametrize("size", [-1, "many", 2**60, 1.5])
def test_an_impossible_size_is_refused(size: Any) -> None:
    with pytest.raises(HubError, match="which is none"):
        checked_file("a/b", "a.gguf", size, DIGEST)


@pytest.mark.parametrize("commit", [None, "", "main", "../x", "0" * 39, "0" * 40 + "\n", 7])
def test_a_commit_of_another_form_is_refused(commit: Any) -> None:
    with pytest.raises(HubError, match="which is none"):
        checked_commit("a/b", commit)
    assert checked_commit("a/b", "0" * 40) == "0" * 40


def test_a_model_file_needs_a_digest() -> None:
    check_digests("a/b", [RemoteFile(name="a.gguf", bytes=1, sha256=DIGEST)])
    with pytest.raises(HubError, match=r"no SHA-256 for a\.gguf"):
        check_digests("a/b", [RemoteFile(name="a.gguf", bytes=1, sha256=None)])
