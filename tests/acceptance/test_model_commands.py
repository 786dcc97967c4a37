"""`nightjar model` and `nightjar cleanup` as a person types them, against a local hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.forked_commands import run_forked
from tests.gguf_files import write_gguf, write_llama
from tests.home import COMMAND
from tests.hub import COMMIT, Faults, LocalHub, Repository
from tests.shell import PROJECT

if TYPE_CHECKING:
    from nightjar.config.embedded import ServiceUrls

DEMO = PROJECT / "config" / "models" / "nightjar-demo.gguf"
REPO = "acme/Story-GGUF"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """31 MB: the client writes in pieces of 10."""
    return write_llama(tmp_path_factory.mktemp("large") / "m.gguf", vocab=60_000, width=128).read_bytes()


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    server = LocalHub()
    with server.running():
        yield server


@pytest.fixture
def environment(tmp_path: Path, hub: LocalHub, services: ServiceUrls) -> dict[str, str]:
    """A separate machine: home, project, models and registry under one folder."""
    (tmp_path / "user").mkdir()
    (tmp_path / "models.toml").touch()
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        "HOME": str(tmp_path / "user"),
        "COLUMNS": "200",
        "HF_ENDPOINT": hub.endpoint,
        "NIGHTJAR_HOME": str(tmp_path / "home"),
        "NIGHTJAR_MODELS_DIR": str(tmp_path / "models"),
        "NIGHTJAR_MODELS_FILE": str(tmp_path / "models.toml"),
        "NIGHTJAR_MONGO_URL": services.mongo.get_secret_value(),
        "NIGHTJAR_REDIS_URL": services.redis.get_secret_value(),
        "NIGHTJAR_MONGO_DATABASE": f"test_{uuid.uuid4().hex[:12]}",
    }


@pytest.fixture
def nightjar(environment: dict[str, str], tmp_path: Path) -> Run:
    def run(*arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = run_forked(arguments, cwd=tmp_path, environ={**environment, **variables}, limit_s=240)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def rows(nightjar: Run) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(nightjar("model", "list", "--json").stdout)}


def test_pull_interrupt_resume_verify_inspect_and_remove(
    nightjar: Run, environment: dict[str, str], hub: LocalHub, large: bytes, tmp_path: Path
) -> None:
    """A model's whole life; a killed pull leaves nothing that looks whole, and the next one goes on where it was."""
    hub.repositories[REPO] = Repository(files={"story-Q8_0.gguf": large})
    hub.faults = Faults(stall_after=15 * 2**20)
    part = tmp_path / "models" / "story" / ".cache"
    process = subprocess.Popen(
        [*COMMAND, "model", "pull", REPO], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while sum(file.stat().st_size for file in part.glob("*.part")) < 10 * 2**20:
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.05)
    assert rows(nightjar)["story"]["state"] == "downloading"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert interrupted(environment, tmp_path) == (130, "Stopped. The same command goes on where it was.")
    hub.go_on.set()
    hub.faults = Faults()
    left = rows(nightjar)["story"]
    assert (left["state"], left["path"]) == ("available", None)
    assert left["disk_bytes"] >= 10 * 2**20
    nightjar("model", "info", "story", code=1)

    hub.seen.clear()
    done = nightjar("model", "pull", REPO)
    assert f"at {COMMIT[:12]}" in done.stdout
    [download] = hub.downloads()
    assert download.range is not None
    assert (tmp_path / "models" / "story" / "story-Q8_0.gguf").read_bytes() == large
    assert rows(nightjar)["story"]["state"] == "ready"
    assert "Already here" in nightjar("model", "pull", "story").stdout
    assert not list((tmp_path / "user").iterdir()), "nothing belongs in the user's home"

    assert "as it should be" in nightjar("model", "verify", "story").stdout
    facts = json.loads(nightjar("model", "info", "story", "--json").stdout)
    assert (facts["architecture"], facts["kind"], facts["vocabulary"]) == ("llama", "chat", 60_000)
    assert facts["memory"]["weights_bytes"] == pytest.approx(len(large), rel=0.05)
    assert "tokens and slot" in nightjar("model", "info", "story").stdout

    file = tmp_path / "models" / "story" / "story-Q8_0.gguf"
    damaged = bytearray(large)
    damaged[-1] ^= 1
    file.write_bytes(bytes(damaged))
    wrong = nightjar("model", "verify", "story", code=1)
    assert "WRONG" in wrong.stdout
    assert "nightjar model pull story --force" in wrong.stdout
    nightjar("model", "pull", "story", "--force")
    nightjar("model", "verify", "story")

    nightjar("model", "rm", "story")
    assert "story" not in rows(nightjar)
    assert not file.parent.exists()


def interrupted(environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """Starts the pull again and presses Ctrl-C: exit code and the last line it says."""
    part = next((folder / "models" / "story" / ".cache").glob("*.part"))
    with subprocess.Popen(
        [*COMMAND, "model", "pull", REPO], env=environment, cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        lock = folder / "models" / "story" / ".pull.lock"
        deadline = time.monotonic() + 60
        while not _held(lock):
            assert time.monotonic() < deadline, "it did not start"
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert part.exists()
    return process.returncode, said.strip().splitlines()[-1]


def _held(lock: Path) -> bool:
    from nightjar.workers.library.partial import is_downloading

    return is_downloading(lock.parent)


def test_a_pulled_model_runs(nightjar: Run, hub: LocalHub, tmp_path: Path) -> None:
    """From the hub to a report, by name; its last use is recorded."""
    hub.repositories["acme/Tale-GGUF"] = Repository(files={"tale-Q8_0.gguf": DEMO.read_bytes()})
    nightjar("model", "pull", "acme/Tale-GGUF", "--name", "tale")
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "nightjar: 1\nname: two\nsequences:\n  - id: one\n    turns:\n      - prompt: Tell me a story about a fox.\n"
    )
    nightjar("eval", "--suite", str(suite), "--model", "tale", "--set", "max_tokens=8", "--gpu", "none", "--slots", "1")
    tale = rows(nightjar)["tale"]
    assert tale["state"] in ("ready", "loaded")
    assert tale["last_used"] is not None


def test_gated_unknown_and_unreachable(nightjar: Run, hub: LocalHub) -> None:
    """One paragraph each, with the remedy; exit code 1 or 2; nothing registered for a name that does not exist."""
    hub.repositories[REPO] = Repository(files={"story-Q8_0.gguf": DEMO.read_bytes()}, gated=True)
    gated = nightjar("model", "pull", REPO, code=1)
    assert "is gated. Accept its licence" in gated.stderr
    assert rows(nightjar) == {}
    nightjar("model", "pull", REPO, HF_TOKEN=hub.token)
    typo = nightjar("model", "pull", "acme/Stroy-GGUF", "--name", "typo", code=2)
    assert f"Did you mean '{REPO}'" in typo.stderr
    assert "typo" not in rows(nightjar)
    nearest = nightjar("model", "pull", "stori", code=2)
    assert "Did you mean 'story'" in nearest.stderr
    gone = nightjar("model", "pull", "acme/Other", code=1, HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached" in gone.stderr
    offline = nightjar("model", "pull", "acme/Third", code=1, NIGHTJAR_OFFLINE="true")
    assert "NIGHTJAR_OFFLINE is set" in offline.stderr
    quant = nightjar("model", "pull", "story", "--quant", "Q4_K_M", code=2)
    assert "Q8_0" in quant.stderr


def test_a_disk_without_room(nightjar: Run, hub: LocalHub, tmp_path: Path) -> None:
    """The numbers, before anything is fetched, and nothing left behind."""
    parts = {f"story-Q8_0-{part:05d}-of-00100.gguf": b"GGUF" for part in range(1, 101)}
    hub.repositories[REPO] = Repository(files=parts, claimed_bytes=40 * 10**9)
    full = nightjar("model", "pull", REPO, "--quant", "Q8_0", code=1)
    assert "no room for acme/Story-GGUF: 4000.00 GB" in full.stderr
    assert hub.downloads() == []
    assert rows(nightjar) == {}
    large = nightjar("model", "pull", REPO, "--quant", "auto", code=1)
    assert "No file of acme/Story-GGUF fits" in large.stderr or "no room" in large.stderr


def test_add_list_and_keep_file(nightjar: Run, tmp_path: Path) -> None:
    """A file by name, with its facts published; taken off the list again, the file stays."""
    path = write_gguf(tmp_path / "base.gguf")
    nightjar("model", "add", str(path), "--name", "base", "--tag", "judge", "--context", "512")
    assert 'tags = ["judge"]' in (tmp_path / "models.toml").read_text()
    listed = rows(nightjar)["base"]
    assert (listed["kind"], listed["tags"], listed["state"]) == ("base", ["judge"], "ready")
    assert json.loads(nightjar("model", "list", "--for", "embedding", "--json").stdout) == []
    twice = nightjar("model", "add", str(path), "--name", "base", code=2)
    assert "has a model 'base' already" in twice.stderr
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(path.read_bytes()[:100])
    assert "truncated" in nightjar("model", "add", str(broken), code=1).stderr
    assert "broken" not in rows(nightjar)
    assert "Kept" in nightjar("model", "rm", "base", "--keep-file").stdout
    assert path.exists()
    assert rows(nightjar) == {}


def test_recommend_and_write(nightjar: Run, tmp_path: Path) -> None:
    """For a machine of a given size; the settings it was fitted with go to the registry."""
    found = json.loads(nightjar("model", "recommend", "--vram", "12GB", "--ram", "32GB", "--json").stdout)
    names = [model["name"] for model in found["models"]]
    assert found["as_of"] == "2026-11-21"
    assert names.index("qwen2.5-14b") < names.index("llama-3.2-1b")
    assert "fluent, GPU" in nightjar("model", "recommend", "--vram", "12GB", "--ram", "32GB").stdout
    nightjar("model", "recommend", "--ram", "8GB", "--vram", "0", "--write", "llama-3.2-3b")
    text = (tmp_path / "models.toml").read_text()
    assert '["llama-3.2-3b"]' in text
    assert "gpu_layers = 0" in text
    assert rows(nightjar)["llama-3.2-3b"]["state"] == "available"
    unknown = nightjar("model", "recommend", "--ram", "8GB", "--vram", "0", "--write", "llama-3.2", code=2)
    assert "Did you mean 'llama-3.2-3b'" in unknown.stderr
    assert "is not a size" in nightjar("model", "recommend", "--ram", "much", code=2).stderr


def test_cleanup_shows_and_then_clears(nightjar: Run, tmp_path: Path) -> None:
    """A dry run leaves everything; the real one frees what it said."""
    part = tmp_path / "models" / "half" / ".cache" / "x.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1000))
    assert "1.0 kB would be freed in 1 place." in nightjar("cleanup", "--dry-run").stdout
    assert part.exists()
    assert json.loads(nightjar("cleanup", "--json").stdout)["items"][0]["bytes"] == 1000
    assert not part.parent.exists()


def test_auto_serves_one_model_after_the_other(
    nightjar: Run, environment: dict[str, str], tmp_path: Path, services: ServiceUrls
) -> None:
    """A worker without a named model finishes the jobs of two models, larger backlog first, and ends when idle."""
    for name in ("first", "second"):
        nightjar("model", "add", str(DEMO), "--name", name)
    write_gguf(tmp_path / "unfit.gguf")
    nightjar("model", "add", str(tmp_path / "unfit.gguf"), "--name", "unfit")
    suite = tmp_path / "suite.yaml"
    turns = "    turns: [{prompt: Tell me a story about a fox., parameters: {max_tokens: 8}}]\n"
    suite.write_text(f"nightjar: 1\nname: tales\nsequences:\n  - id: one\n{turns}  - id: two\n{turns}")
    nightjar("suite", "import", str(suite))
    nightjar("enqueue", "--suite", "tales", "--model", "first", "--name", "small")
    nightjar("enqueue", "--suite", "tales", "--model", "second", "--repeats", "4", "--name", "large")
    worker = ["worker", "--model", "auto", "--gpu", "none", "--slots", "1", "--for", "chat", "--idle-exit", "6"]
    with subprocess.Popen([*COMMAND, "dispatcher"], env=environment, cwd=tmp_path) as dispatcher:
        try:
            ended = subprocess.run(
                [*COMMAND, *worker], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240
            )
        finally:
            dispatcher.send_signal(signal.SIGTERM)
    assert ended.returncode == 0, ended.stderr
    status = json.loads(nightjar("status", "--json").stdout)
    assert {run["name"]: run["jobs"]["DONE"] for run in status["runs"]} == {"small": 2, "large": 8}
    chosen = [line for line in ended.stderr.splitlines() if "model_chosen" in line]
    assert "second" in chosen[0]
    assert any('"first"' in line or "model=first" in line for line in chosen[1:])
