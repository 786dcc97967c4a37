"""Models' pages: what a file says, settings with their difference, and downloads from a local hub that stalls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import UsageError
from nightjar.config.settings import Settings
from nightjar.jobs.accounts.documents import AuditEntry, Role
from nightjar.jobs.live.places import wanted_models
from nightjar.jobs.mongo import Database
from nightjar.web.pulls import Pulls, PullStatus, checked_source
from nightjar.workers.library.registry import read_registry
from tests.gguf_files import write_llama
from tests.hub import Faults, LocalHub, Repository
from tests.integration.web.conftest import Visits
from tests.integration.web.test_costs import table
from tests.integration.web.test_pages import get
from tests.workbench import until

REPO = "acme/Story-1B-GGUF"
FILE = "story-1b-Q4_K_M.gguf"
NAME = "story-1b"


@pytest.fixture
def settings(tmp_path: Path, hub: LocalHub, services: ServiceUrls, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a registry of one model and its file, another file that nobody registered, and a hub. Children read the
    environment, and would start servers of their own."""
    models = tmp_path / "models"
    models.mkdir()
    write_llama(models / "m.gguf", vocab=600)
    write_llama(models / "found.gguf", vocab=700)
    registry = tmp_path / "models.toml"
    registry.write_text('# mine\n[m]\npath = "m.gguf"\n[m.load]\ncontext = 128\n')
    monkeypatch.setenv("NIGHTJAR_HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", services.mongo.get_secret_value())
    monkeypatch.setenv("NIGHTJAR_REDIS_URL", services.redis.get_secret_value())
    return Settings(home=tmp_path / "home", models_dir=models, models_file=registry, hf_endpoint=hub.endpoint)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    server = LocalHub()
    content = write_llama(tmp_path / "made.gguf", vocab=2000).read_bytes()
    server.repositories[REPO] = Repository(files={FILE: content, "README.md": b"# Story"})
    with server.running():
        yield server


@pytest.fixture
async def owner(visits: Visits) -> AsyncIterator[httpx.AsyncClient]:
    async with await visits.owner() as client:
        yield client
    await visits.app.state.site.pulls.close()


async def shown(client: httpx.AsyncClient, path: str, there: str) -> str:
    """The page, once it has that."""

    async def found() -> str | None:
        text = await get(client, path)
        return text if re.search(there, text) else None

    return str(await until(found, within_s=120))


async def test_the_list_says_how_models_fit(owner: httpx.AsyncClient, settings: Settings) -> None:
    """By the headers of their files, without hashing them; one that cannot be read is told by its state."""
    (settings.models_dir / "broken.gguf").write_bytes(b"GGUF")
    text = await shown(owner, "/models", "at once")
    rows = {row[0]: row for row in table(text, "chat-models")[1:]}
    assert re.match(r"[\d.]+ \w+, \d+ at once [\d.]+ tokens/s to be expected", rows["m"][2])
    assert "at once" in rows["found"][2]
    assert rows["broken"][1:3] == [rows["broken"][1], "–"]


async def test_a_model_and_its_settings(owner: httpx.AsyncClient, settings: Settings) -> None:
    """The difference is shown and fitted before it can be saved; comments of the file stay."""
    assert 'href="/models/m"' in await get(owner, "/models")
    text = await shown(owner, "/models/m", "Conversations at once")
    assert "128 tokens" in text
    assert str(settings.models_dir) not in text  # where files lie is nobody's business
    changed = "/models/m/settings?check=yes&context=64&temperature=0.5&cache_type_k=q8_0"
    text = await shown(owner, changed, "Save it")
    assert re.search(r"Context \(tokens\).*128.*64", text, re.DOTALL)
    assert "64 tokens" in text
    for wrong, why in {"context=3": "greater than", "context=x": "Context", "temperature=-1": "temperature"}.items():
        refused = await get(owner, f"/models/m/settings?check=yes&{wrong}")
        assert why in refused, wrong
        assert "Save it" not in refused
    saved = await owner.post("/models/m/save", content=changed.partition("?")[2])
    assert saved.json() == {"said": "Saved: context, cache_type_k, temperature."}
    entry = read_registry(settings.models_file).models["m"]
    assert (entry.load, entry.parameters) == ({"context": 64, "cache_type_k": "q8_0"}, {"temperature": 0.5})
    assert settings.models_file.read_text().startswith("# mine")
    gone = await owner.post("/models/m/save", content="context=&temperature=")
    assert gone.status_code == 200
    assert read_registry(settings.models_file).models["m"].load == {}  # the default counts again
    assert "Nothing differs." in await get(owner, "/models/m/settings?check=yes&context=")


async def test_what_is_done_with_a_model(owner: httpx.AsyncClient, settings: Settings, database: Database) -> None:
    assert (await owner.post("/models/m/pin")).status_code == 200
    assert (await wanted_models(database))["m"].pinned
    assert ">Unpin<" in await get(owner, "/models/m")
    assert (await owner.post("/models/m/unload")).status_code == 200
    assert await wanted_models(database) == {}
    assert (await owner.post("/models/m/load")).status_code == 200
    assert (await wanted_models(database))["m"].live
    hashed = await owner.post("/models/m/verify", headers={"hx-request": "true"})
    assert hashed.headers["hx-redirect"].endswith("/models/m")
    assert "SHA-256" in await shown(owner, "/models/m", "nothing says what it should be")
    assert (await owner.post("/models/found/add")).json() == {"said": "found is known by that name now."}
    assert read_registry(settings.models_file).models["found"].path == "found.gguf"
    assert (await owner.post("/models/found/add")).status_code == 400
    assert "Its file stays" in (await owner.post("/models/m/forget")).text
    assert "m" not in read_registry(settings.models_file).models
    assert (settings.models_dir / "m.gguf").is_file()
    assert "Deleted: m.gguf" in (await owner.post("/models/m/delete")).text
    assert not (settings.models_dir / "m.gguf").exists()
    done = [entry.action for entry in await AuditEntry.find_all().sort("+_id").to_list()]
    assert done == ["pin", "unload", "load", "verify", "add", "add", "forget", "delete"]


@pytest.mark.parametrize("name", ["other", "..%2Fmade.gguf", "%2Fetc%2Fpasswd", "models.toml"])
async def test_no_path_leads_to_a_model(name: str, owner: httpx.AsyncClient) -> None:
    assert (await owner.get(f"/models/{name}")).status_code == 404
    assert (await owner.post(f"/models/{name}/add")).status_code == 404


async def test_the_hub_is_searched_and_a_model_fetched(owner: httpx.AsyncClient, settings: Settings) -> None:
    """The pull goes on while nobody looks; it is here when it has ended."""
    text = await shown(owner, "/models/get?q=story", f">{REPO}<")
    assert "Fetch it" in text
    begun = await owner.post("/pulls/begin", content=f"source={REPO}&quantisation=Q4_K_M")
    assert begun.json() == {"said": f"{NAME} is being fetched."}
    await shown(owner, "/models/get", f"{NAME}: done")
    assert (settings.models_dir / NAME / FILE).is_file()
    assert read_registry(settings.models_file).models[NAME].sha256
    assert f'href="/models/{NAME}"' in await get(owner, "/models")
    assert (await owner.post(f"/pulls/{NAME}/forget")).status_code == 200
    assert f"{NAME}: done" not in await get(owner, "/models/get")


async def test_a_pull_is_cancelled_and_goes_on(owner: httpx.AsyncClient, settings: Settings, hub: LocalHub) -> None:
    """Its progress is on the page; what was fetched is kept. Another server finds it interrupted."""
    hub.faults = Faults(stall_after=200_000)
    await owner.post("/pulls/begin", content=f"source={REPO}")
    await shown(owner, "/models/get", r"MiB of \d+ MiB, \d+ %")
    assert "already" in (await owner.post("/pulls/begin", content=f"source={REPO}")).text
    [state] = Pulls(settings=settings).states()
    assert state.status is PullStatus.INTERRUPTED
    assert state.total_bytes is not None
    assert state.done_bytes < state.total_bytes
    assert (await owner.post(f"/pulls/{NAME}/cancel")).status_code == 200
    await shown(owner, "/models/get", f"{NAME}: cancelled")
    hub.faults = Faults()
    hub.go_on.set()
    assert (await owner.post(f"/pulls/{NAME}/resume")).status_code == 200
    await shown(owner, "/models/get", f"{NAME}: done")


async def test_a_pull_that_fails_says_why(owner: httpx.AsyncClient) -> None:
    await owner.post("/pulls/begin", content="source=acme/Nothing-GGUF")
    assert "acme/Nothing-GGUF" in await shown(owner, "/models/get", "nothing: failed")


async def test_viewers_begin_nothing(visits: Visits) -> None:
    async with await visits.somebody(Role.VIEWER) as client:
        for path in ("/models", "/models/m", "/models/get"):
            assert "hx-post" not in await get(client, path)
        assert (await client.get("/models/m/settings")).status_code == 403


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "../a/b",
        "~/x/y",
        "https://evil.example/a/b",
        "hf://a/b",
        "ollama:llama3",
        "a/b/c",
        "a/..",
        "--name/x",
        "file.gguf",
    ],
)
def test_only_repositories_of_the_hub_are_fetched(source: str) -> None:
    with pytest.raises(UsageError):
        checked_source(source)
