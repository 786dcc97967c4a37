"""Pulling models with the real huggingface_hub client from a local hub that fails in the ways a hub fails."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightjar.config.errors import HubError, ModelFitError, NightjarError, OutputError, UnknownNameError, UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.models import ModelKind
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.editing import add_entry, update_entry
from nightjar.workers.library.find import find_model, shelf_files
from nightjar.workers.library.inspect import read_facts
from nightjar.workers.library.inventory import ModelState, inventory
from nightjar.workers.library.manifest import read_manifest
from nightjar.workers.library.partial import is_downloading, pulling
from nightjar.workers.library.pull import LARGEST_FILE, Pulled, pull
from nightjar.workers.library.registry import read_registry
from nightjar.workers.library.verify import verify
from tests.gguf_files import CHATML, write_gguf, write_llama
from tests.hub import COMMIT, NEXT_COMMIT, Faults, LocalHub, Repository

REPO = "acme/Story-1B-GGUF"
FILE = "story-1b-Q4_K_M.gguf"


class Counted:
    """Progress that only counts."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0

    def start(self, label: str, total_bytes: int) -> None:
        self.total = total_bytes

    def advance(self, count: int) -> None:
        self.done += count


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real model file of about 600 kB."""
    return write_llama(tmp_path_factory.mktemp("made") / "m.gguf", vocab=2000).read_bytes()


@pytest.fixture
def hub(content: bytes) -> Iterator[LocalHub]:
    server = LocalHub()
    server.repositories[REPO] = Repository(files={FILE: content, "README.md": b"# Story"})
    with server.running():
        yield server


@pytest.fixture
def project(tmp_path: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with one registered hub model; the client reads in small chunks and keeps to its own folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 64 * 1024)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "models.toml").touch()  # one that is missing begins with the bundled models
    settings = Settings.model_validate(
        {
            "home": tmp_path / "home",
            "models_dir": tmp_path / "models",
            "models_file": tmp_path / "config" / "models.toml",
            "hf_endpoint": hub.endpoint,
        }
    )
    add_entry(settings.models_file, "story", {"repo": REPO})
    return settings


def fetch(settings: Settings, name: str = "story", **options: Any) -> Pulled:
    entry = read_registry(settings.models_file).models[name]
    return pull(name, entry, settings, progress=options.pop("progress", Counted()), **options)


def looks_whole(settings: Settings) -> list[str]:
    """The files that a person or a worker would take for a model."""
    return [held.name for held in inventory(settings) if held.state is ModelState.READY]


def test_a_pull_brings_the_file_and_pins_it(project: Settings, hub: LocalHub, content: bytes) -> None:
    """The bytes, the manifest, the pinned registry entry; nothing but the model's folder is written to."""
    progress = Counted()
    pulled = fetch(project, progress=progress)
    assert pulled.fetched
    assert pulled.path.read_bytes() == content
    assert (progress.total, progress.done) == (len(content), len(content))
    entry = read_registry(project.models_file).models["story"]
    assert (entry.file, entry.revision, entry.sha256) == (FILE, COMMIT, hashlib.sha256(content).hexdigest())
    assert sorted(path.name for path in (project.models_dir / "story").iterdir()) == [
        ".pull.lock",
        "nightjar.json",
        FILE,
    ]
    assert find_model("story", project).path == pulled.path
    assert read_facts(pulled.path, "story", digests=DigestCache(project.home / "d.json")).kind is ModelKind.CHAT
    assert looks_whole(project) == ["story"]


def test_a_model_that_is_here_is_not_asked_for(project: Settings, hub: LocalHub) -> None:
    """A second pull asks the hub nothing; `force` fetches again."""
    fetch(project)
    hub.seen.clear()
    assert not fetch(project).fetched
    assert hub.seen == []
    assert fetch(project, force=True).fetched
    assert len(hub.downloads()) == 1


def test_the_token_stays_with_the_hub(project: Settings, hub: LocalHub, content: bytes) -> None:
    """A gated repository: refused without a token, fetched with one, and the file's host never sees the token."""
    hub.repositories[REPO].gated = True
    with pytest.raises(HubError, match=r"is gated.*HF_TOKEN.*\(none is set now\)"):
        fetch(project)
    assert looks_whole(project) == []
    settings = Settings.model_validate({**dict(project), "hf_token": hub.token})
    assert fetch(settings).path.read_bytes() == content
    assert any(seen.authorization for seen in hub.seen if "/resolve/" in seen.path)
    assert [seen.authorization for seen in hub.downloads()] == [None]


def test_a_cut_connection_is_continued(project: Settings, hub: LocalHub, content: bytes) -> None:
    """The client asks for the rest in the same pull."""
    hub.faults = Faults(cut_after=200_000, cuts=2)
    assert fetch(project).path.read_bytes() == content
    assert [seen.range is not None for seen in hub.downloads()] == [False, True, True]


def test_an_interrupted_pull_is_resumed_by_the_next(project: Settings, hub: LocalHub, content: bytes) -> None:
    """What was fetched stays as a part that nobody takes for a model, and the next pull continues it."""

    class Interrupted(Counted):
        def advance(self, count: int) -> None:
            super().advance(count)
            if self.done > 100_000:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(project, progress=Interrupted())
    assert looks_whole(project) == []
    assert shelf_files(project.models_dir) == {}
    assert 0 < inventory(project)[0].disk_bytes < len(content)
    hub.seen.clear()
    assert fetch(project).path.read_bytes() == content
    [download] = hub.downloads()
    assert download.range is not None


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (Faults(cut_after=0, cuts=-1), "cannot be reached"),  # every connection cut at once
        (Faults(corrupt=True), "was damaged on its way"),  # a wrong byte, the right length
        (Faults(short_by=1000), "broke off"),  # a shorter file than was promised
        (Faults(status=401, statuses=-1), "HF_TOKEN"),
        (Faults(status=403, statuses=-1), "forbids access"),
        (Faults(status=429, statuses=-1), "too often"),
        (Faults(status=500, statuses=-1), "answered 500"),
    ],
)
def test_a_failed_pull_leaves_nothing_that_looks_whole(
    project: Settings, hub: LocalHub, content: bytes, faults: Faults, says: str
) -> None:
    """One paragraph with the remedy; once the fault is gone the same command succeeds."""
    hub.faults = faults
    with pytest.raises(NightjarError, match=says) as caught:
        fetch(project)
    assert "\n" not in str(caught.value)
    assert looks_whole(project) == []
    assert list(project.models_dir.rglob("*.gguf")) == []
    hub.faults = Faults()
    assert fetch(project).path.read_bytes() == content


def test_a_busy_hub_is_asked_again(project: Settings, hub: LocalHub, content: bytes) -> None:
    """Two refusals (429) and then an answer."""
    hub.faults = Faults(status=429, statuses=2)
    assert fetch(project).path.read_bytes() == content


def test_a_storage_that_ignores_ranges(project: Settings, hub: LocalHub, content: bytes) -> None:
    """The server sends the whole file instead of the rest: the part is overwritten, not appended to."""
    hub.faults = Faults(cut_after=200_000, cuts=1, ignore_range=True)
    assert fetch(project).path.read_bytes() == content


def test_unknown_names_bring_the_nearest(project: Settings, hub: LocalHub) -> None:
    """A misspelt repository, revision, file and quantisation."""
    hub.repositories[REPO].files["story-1b-Q8_0.gguf"] = hub.repositories[REPO].files[FILE]
    update_entry(project.models_file, "story", {"repo": "acme/Storey-1B-GGUF"})
    with pytest.raises(UnknownNameError, match=f"Did you mean '{REPO}'"):
        fetch(project)
    update_entry(project.models_file, "story", {"repo": REPO, "revision": "mian"})
    with pytest.raises(UnknownNameError, match="Did you mean 'main'"):
        fetch(project)
    update_entry(project.models_file, "story", {"revision": None, "file": "story-1b-Q4_K_S.gguf"})
    with pytest.raises(UnknownNameError, match=FILE):
        fetch(project)
    with pytest.raises(UnknownNameError, match="Did you mean 'Q4_K_M'"):
        fetch(project, quantisation="Q4_K_L")


def test_no_network(project: Settings) -> None:
    """A port where nobody listens."""
    settings = Settings.model_validate({**dict(project), "hf_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(HubError, match=r"http://127\.0\.0\.1:9 cannot be reached.*HF_ENDPOINT"):
        fetch(settings)


def test_offline_asks_nothing(project: Settings, hub: LocalHub) -> None:
    """Not one request; a model that is here is found all the same."""
    settings = Settings.model_validate({**dict(project), "offline": True})
    with pytest.raises(HubError, match="NIGHTJAR_OFFLINE"):
        fetch(settings)
    assert hub.seen == []
    fetch(project)
    hub.seen.clear()
    assert not fetch(settings).fetched
    assert hub.seen == []


def test_a_full_disk_is_said_before_anything_is_fetched(
    project: Settings, hub: LocalHub, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers, and no download."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(content)))
    with pytest.raises(OutputError, match=r"no room for acme/Story-1B-GGUF.*Nothing was fetched"):
        fetch(project)
    assert hub.downloads() == []


def test_a_file_too_large_for_http(project: Settings, hub: LocalHub) -> None:
    """Said before anything is fetched, by the limit the client has."""
    from huggingface_hub import constants

    assert LARGEST_FILE == constants.MAX_HTTP_DOWNLOAD_SIZE
    hub.repositories[REPO].claimed_bytes = LARGEST_FILE + 1
    with pytest.raises(HubError, match="Take a split file"):
        fetch(project)
    assert hub.downloads() == []


def test_a_disk_that_fills_up_on_the_way(project: Settings, hub: LocalHub, content: bytes) -> None:
    """Writing fails in the middle: an error with the remedy, and nothing that looks whole."""
    from nightjar.workers.library.hub import Hub, part_of
    from nightjar.workers.library.quants import choices

    listing = Hub(project).listing(REPO, None)
    part = part_of(project.models_dir / "story", choices(listing.files)[0].files[0])
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device"):
        fetch(project)
    assert looks_whole(project) == []


def test_a_split_model(project: Settings, hub: LocalHub, tmp_path: Path) -> None:
    """All parts are fetched, checked and verified; an incomplete set in the repository is not offered."""
    parts = {}
    for number in (1, 2):
        name = f"big-Q8_0-0000{number}-of-00002.gguf"
        values = {"tokenizer.chat_template": CHATML} if number == 1 else {}
        parts[f"Q8_0/{name}"] = write_gguf(tmp_path / name, values, tensors=number).read_bytes()
    lone = {"half-Q4_0-00001-of-00002.gguf": next(iter(parts.values()))}
    hub.repositories["acme/big"] = Repository(files={**parts, **lone})
    add_entry(project.models_file, "big", {"repo": "acme/big"})
    pulled = fetch(project, "big")
    assert [file.name for file in pulled.manifest.files] == [
        "big-Q8_0-00001-of-00002.gguf",
        "big-Q8_0-00002-of-00002.gguf",
    ]
    entry = find_model("big", project)
    facts = read_facts(entry.path, "big", digests=DigestCache(project.home / "d.json"))
    assert facts.file_facts.parameters == 3 * 4 * 32
    assert not any(verdict.wrong for verdict in verify(entry, project))
    second = entry.path.with_name("big-Q8_0-00002-of-00002.gguf")
    damaged = bytearray(second.read_bytes())
    damaged[-1] ^= 1
    second.write_bytes(bytes(damaged))
    assert [verdict.what for verdict in verify(entry, project) if verdict.wrong] == [second.name]


@pytest.mark.parametrize(
    ("served", "says"),
    [
        (b"<html>Sign in</html>" * 100, "not a GGUF file"),
        (b"GGUF" + (9).to_bytes(4, "little") + bytes(100), "GGUF version 9"),
    ],
)
def test_a_file_that_is_no_model(project: Settings, hub: LocalHub, served: bytes, says: str) -> None:
    """The hub serves exactly what it promises, and it is of no use."""
    hub.repositories[REPO].files[FILE] = served
    with pytest.raises(HubError, match=says):
        fetch(project)
    assert [path.name for path in project.models_dir.rglob("*") if path.is_file()] == [".pull.lock"]


def test_the_best_file_that_fits_is_taken(project: Settings, hub: LocalHub, content: bytes) -> None:
    """By size, quantised before full precision; too large for all is an error with the numbers."""
    larger, largest = content + bytes(50_000), content + bytes(100_000)
    hub.repositories[REPO].files |= {"story-1b-Q8_0.gguf": larger, "story-1b-F16.gguf": largest}
    assert fetch(project, room_bytes=10**9).manifest.files[0].name == "story-1b-Q8_0.gguf"
    room = int(len(content) / 0.85) + 10
    assert fetch(project, room_bytes=room, quantisation="auto").manifest.files[0].name == FILE
    assert sorted(path.name for path in (project.models_dir / "story").glob("*.gguf")) == [FILE]
    assert fetch(project, quantisation="f16").manifest.files[0].name == "story-1b-F16.gguf"
    with pytest.raises(ModelFitError, match=r"the smallest, story-1b-Q4_K_M\.gguf"):
        fetch(project, room_bytes=1000, quantisation="auto")
    update_entry(project.models_file, "story", {"file": "*.gguf", "revision": None})
    with pytest.raises(UsageError, match="fits 3 models"):
        fetch(project, force=True)


def test_a_branch_is_pinned_to_its_commit(project: Settings, hub: LocalHub, content: bytes) -> None:
    """The branch moves on, the pinned entry stays; asking for the branch again takes the new commit."""
    update_entry(project.models_file, "story", {"revision": "main"})
    fetch(project)
    update_entry(project.models_file, "story", {"revision": "main", "sha256": None})
    assert not fetch(project).fetched  # asked again, and the branch is where it was
    hub.repositories[REPO].branches = {"main": NEXT_COMMIT, "old": COMMIT}
    assert not fetch(project).fetched
    update_entry(project.models_file, "story", {"revision": "main", "sha256": None})
    assert fetch(project).manifest.commit == NEXT_COMMIT
    assert read_registry(project.models_file).models["story"].revision == NEXT_COMMIT


def test_two_pulls_of_one_model_do_not_meet(project: Settings, hub: LocalHub) -> None:
    """The second is refused while the first holds the folder."""
    folder = project.models_dir / "story"
    with pulling(folder, "story"):
        assert is_downloading(folder)
        assert inventory(project)[0].state is ModelState.DOWNLOADING
        with pytest.raises(OutputError, match="Another command is downloading"):
            fetch(project)
    assert not is_downloading(folder)
    assert fetch(project).fetched


def test_models_copied_to_another_host_are_found_there(project: Settings, hub: LocalHub, tmp_path: Path) -> None:
    """The folder alone is enough: no registry, no network."""
    fetch(project)
    shutil.copytree(project.models_dir, tmp_path / "elsewhere" / "models")
    other = Settings.model_validate(
        {
            **dict(project),
            "models_dir": tmp_path / "elsewhere" / "models",
            "models_file": tmp_path / "elsewhere" / "models.toml",
            "offline": True,
        }
    )
    entry = find_model("story", other)
    assert entry.path.is_relative_to(tmp_path / "elsewhere")
    assert not any(verdict.wrong for verdict in verify(entry, other))
    manifest = read_manifest(entry.path.parent)
    assert manifest is not None
    assert manifest.commit == COMMIT
