"""Which folder is the project: what lies in another one directs no secret, no command and no write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import LocalHub, Repository
from tests.machines import NO_SERVERS, Machine, copy_package
from tests.shell import PROJECT

REPO = "acme/Tale-GGUF"
SECRET = "do-not-tell-4711"
TOKEN = "hf_usersowntoken0123456789"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    server = LocalHub()
    demo = PROJECT / "config/models/nightjar-demo.gguf"
    server.repositories[REPO] = Repository(files={"tale-Q8_0.gguf": demo.read_bytes()})
    with server.running():
        yield server


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("packages")
    return {kind: copy_package(place / kind, checkout=kind == "checkout") for kind in ("checkout", "installed")}


@pytest.fixture
def installed(packages: dict[str, Path], tmp_path: Path) -> Machine:
    """A machine where pip put the package."""
    return machine(packages["installed"], tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> Machine:
    """A machine with a checkout that the test may write to."""
    return machine(copy_package(tmp_path / "checkout", checkout=True), tmp_path)


def machine(package: Path, tmp_path: Path) -> Machine:
    secrets = {"HF_TOKEN": TOKEN, "AWS_SECRET_ACCESS_KEY": SECRET}
    return Machine(package=package, user=tmp_path / "user", environment=NO_SERVERS | secrets)


def clone(folder: Path, files: dict[str, str]) -> Path:
    """A repository of somebody else's, as git leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def told(hub: LocalHub) -> str:
    """Everything that the hub was sent, in one text."""
    return "\n".join(f"{seen.method} {seen.path} {seen.authorization}" for seen in hub.seen)


@pytest.mark.parametrize("kind", ["checkout", "installed"])
@pytest.mark.parametrize("file", ["nightjar.toml", ".env"])
def test_a_cloned_repository_is_sent_no_secret(
    file: str, kind: str, packages: dict[str, Path], hub: LocalHub, tmp_path: Path
) -> None:
    """Neither the user's token nor, through ${NAME}, any variable of his shell; and he is told what was ignored."""
    text = {
        "nightjar.toml": f'hf_endpoint = "{hub.endpoint}"\n',
        ".env": f"HF_ENDPOINT={hub.endpoint}/${{AWS_SECRET_ACCESS_KEY}}\n",
    }[file]
    folder = clone(tmp_path / "cloned", {file: text})
    own = {"NIGHTJAR_MODELS_FILE": str(tmp_path / "models.toml"), "NIGHTJAR_MODELS_DIR": str(tmp_path / "models")}
    done = machine(packages[kind], tmp_path).run(folder, "model", "pull", REPO, **own)
    assert told(hub) == ""
    assert done.returncode == 1, "the real hub cannot be reached from here"
    assert f"{file} in {folder} is ignored" in done.stderr


@pytest.mark.parametrize("kind", ["checkout", "installed"])
def test_a_cloned_repository_has_no_code_run(kind: str, packages: dict[str, Path], tmp_path: Path) -> None:
    """A scorer named by its settings is not imported, even where its folder is on the path."""
    planted = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    folder = clone(tmp_path / "cloned", {"planted.py": planted, "nightjar.toml": 'scorers = ["planted:thing"]\n'})
    path = f"{packages[kind]}:{folder}"
    done = machine(packages[kind], tmp_path).run(folder, "scorer", "list", PYTHONPATH=path)
    assert not (tmp_path / "ran").exists()
    assert done.returncode == 0


def test_a_cloned_home_is_not_used(installed: Machine, tmp_path: Path) -> None:
    """It brings models and the addresses of servers; none of it counts, it is named, and nothing is written there."""
    folder = tmp_path / "cloned"
    record = {"port": 9, "password": "theirs", "version": "6", "pid": 1, "created": 0, "since": "2026-01-01"}
    (folder / ".nightjar" / "services").mkdir(parents=True)
    (folder / ".nightjar" / "services" / "mongo.json").write_text(json.dumps(record))
    (folder / ".nightjar" / "models.toml").write_text('[theirs]\npath = "/etc/passwd"\n')
    before = sorted(folder.rglob("*"))
    listed = installed.run(folder, "model", "list", "--json")
    assert "theirs" not in listed.stdout
    assert f".nightjar in {folder} is ignored" in listed.stderr
    assert "`nightjar init` makes this folder a project of yours" in listed.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_cloned_repository_directs_no_write(installed: Machine, tmp_path: Path) -> None:
    """What Nightjar writes goes to the user's own data folder."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    aim = tmp_path / "user" / ".bashrc"
    (folder / "nightjar.toml").write_text(f'models_file = "{aim}"\nhome = "{tmp_path / "theirs"}"\n')
    installed.ok(folder, "model", "recommend", "--ram", "8GB", "--vram", "0", "--write", "llama-3.2-3b")
    assert not aim.exists()
    assert not (tmp_path / "theirs").exists()
    registry = tmp_path / "user" / ".local" / "share" / "nightjar" / "models.toml"
    assert '["llama-3.2-3b"]' in registry.read_text()


def test_no_variable_is_replaced_in_the_projects_own_dotenv(checkout: Machine, hub: LocalHub, tmp_path: Path) -> None:
    """It is refused with the way out; other programs' lines in the same file are theirs."""
    dotenv = checkout.package / "nightjar" / ".env"
    dotenv.write_text(f"OTHER=${{HOME}}/x\nHF_ENDPOINT={hub.endpoint}/${{AWS_SECRET_ACCESS_KEY}}\n")
    done = checkout.run(tmp_path / "work", "model", "pull", REPO)
    assert SECRET not in told(hub)
    assert done.returncode == 2
    assert "HF_ENDPOINT in" in done.stderr
    assert "Write the value itself" in done.stderr
    assert SECRET not in done.stderr
    dotenv.write_text("OTHER=${HOME}/x\n")
    checkout.ok(tmp_path / "work", "model", "list")


def test_a_secret_of_the_environment_goes_to_no_address_of_a_file(
    checkout: Machine, hub: LocalHub, tmp_path: Path
) -> None:
    """The pull goes on without it and says so. Side by side in one place the two are used together."""
    settings = checkout.package / "nightjar" / "nightjar.toml"
    settings.write_text(f'hf_endpoint = "{hub.endpoint}"\n')
    work = tmp_path / "work"
    done = checkout.run(work, "model", "pull", REPO)
    assert done.returncode == 0, done.stderr
    assert TOKEN not in told(hub)
    assert f"HF_TOKEN of the environment is not sent to {hub.endpoint}" in done.stderr
    assert TOKEN not in done.stderr

    hub.seen.clear()
    done = checkout.run(work, "model", "pull", REPO, "--force", HF_ENDPOINT=hub.endpoint)
    assert TOKEN in told(hub)
    assert "is not sent" not in done.stderr
    assert f"HF_TOKEN goes to {hub.endpoint} as it is" in done.stderr, "plain http is said"

    hub.seen.clear()
    (checkout.package / "nightjar" / ".env").write_text("HF_TOKEN=hf_of_the_project_0123456\n")
    without = Machine(package=checkout.package, user=checkout.user, environment=NO_SERVERS)
    without.run(work, "model", "pull", REPO, "--force")
    assert "hf_of_the_project_0123456" in told(hub)


def test_a_password_for_mails_goes_to_no_host_of_a_file(checkout: Machine, tmp_path: Path) -> None:
    settings = checkout.package / "nightjar" / "nightjar.toml"
    settings.write_text('[night]\nsmtp_host = "mail.example.org"\nsmtp_user = "me"\n')
    done = checkout.run(tmp_path / "work", "model", "list", NIGHTJAR_NIGHT__SMTP_PASSWORD=SECRET)
    assert "NIGHTJAR_NIGHT__SMTP_PASSWORD of the environment is not sent to mail.example.org" in done.stderr
    assert SECRET not in done.stderr


def test_init_makes_a_folder_a_project_until_another_lies_there(installed: Machine, tmp_path: Path) -> None:
    """Its settings count there and below; what is cloned to the same path later does not."""
    folder = tmp_path / "evals"
    assert f"{folder} is a project now" in installed.ok(tmp_path, "init", folder)
    assert "is a project already" in installed.ok(folder, "init")
    assert "# lease_s" in (folder / "nightjar.toml").read_text()
    listed = tmp_path / "user" / ".config" / "nightjar" / "projects.json"
    assert json.loads(listed.read_text())[str(folder)]["inode"] == folder.stat().st_ino
    assert (listed.stat().st_mode & 0o777, listed.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert ((folder / ".nightjar").stat().st_mode & 0o777) == 0o700
    (folder / "nightjar.toml").write_text('models_dir = "elsewhere"\n')
    assert installed_disks(installed, folder / "below") == (str(folder / ".nightjar"), str(folder / "elsewhere"))

    shutil.rmtree(folder)
    clone(folder, {".nightjar/project": "0" * 32 + "\n", "nightjar.toml": 'models_dir = "/etc"\n'})
    done = installed.run(folder, "doctor", "--json")
    home = tmp_path / "user" / ".local" / "share" / "nightjar"
    assert installed_disks(installed, folder) == (str(home), str(home / "models"))
    assert f"{folder} is not the folder any more that `nightjar init` made a project" in done.stderr


def installed_disks(machine: Machine, folder: Path) -> tuple[str, str]:
    """Home and models folder, as `doctor` shows them."""
    checks = json.loads(machine.run(folder, "doctor", "--json").stdout)["checks"]
    found = {check["name"]: check["found"].partition(" free at ")[2] for check in checks}
    return found["disk: home"], found["disk: models"]


def test_init_asks_before_it_trusts_what_lies_there(installed: Machine, tmp_path: Path) -> None:
    """It names every key; where nobody can answer it refuses and changes nothing."""
    folder = clone(
        tmp_path / "cloned",
        {
            "nightjar.toml": 'hf_endpoint = "http://127.0.0.1:9"\n[night]\ncommands = true\n',
            ".env": "NIGHTJAR_MONGO_URL=mongodb://127.0.0.1:9\n",
            ".nightjar/models": "x",
        },
    )
    done = installed.run(folder, "init")
    assert done.returncode == 2
    for named in ("hf_endpoint, night.commands", "NIGHTJAR_MONGO_URL", ".nightjar, a home", "--yes"):
        assert named in done.stderr
    assert not (tmp_path / "user" / ".config").exists()
    installed.ok(folder, "init", "--yes")
    assert installed_disks(installed, folder)[0] == str(folder / ".nightjar")


def test_init_in_a_checkout_says_which_project_counts(checkout: Machine, tmp_path: Path) -> None:
    done = checkout.run(tmp_path / "work", "init")
    assert done.returncode == 2
    assert f"runs from the checkout {checkout.package / 'nightjar'}" in done.stderr


def test_models_added_in_a_checkout_change_no_tracked_file(checkout: Machine, tmp_path: Path) -> None:
    """They are known from the home's registry, which begins as the one that git tracks; its paths go on to hold."""
    folder = checkout.package / "nightjar"
    tracked = (folder / "config" / "models.toml").read_bytes()
    (folder / "models").mkdir()
    shutil.copy(PROJECT / "config/models/nightjar-demo.gguf", folder / "models" / "own.gguf")
    (folder / ".nightjar").mkdir()
    (folder / ".nightjar" / "own.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    checkout.ok(
        tmp_path / "work", "model", "add", folder / "models" / "own.gguf", "--name", "own", "--template", "own.jinja"
    )
    assert (folder / "config" / "models.toml").read_bytes() == tracked
    registry = (folder / ".nightjar" / "models.toml").read_text()
    assert registry.startswith(tracked.decode())
    assert 'path = "own.gguf"' in registry
    known = {model["name"]: model["state"] for model in checkout.json(tmp_path / "work", "model", "list")}
    assert known == {"nightjar-demo": "ready", "own": "ready"}


def test_a_folder_named_in_the_environment_counts(installed: Machine, tmp_path: Path) -> None:
    """NIGHTJAR_CONFIG: its settings and its home; NIGHTJAR_HOME: the home, and the settings that lie in it."""
    config, home, work = tmp_path / "config", tmp_path / "home", tmp_path / "work"
    clone(config, {"nightjar.toml": 'models_dir = "m1"\n'})
    clone(home, {"nightjar.toml": 'models_dir = "m2"\n'})
    clone(work, {"nightjar.toml": 'models_dir = "m3"\n'})

    def doctor(**named: str) -> tuple[str, str, str]:
        checks = json.loads(installed.run(work, "doctor", "--json", **named).stdout)["checks"]
        found = {
            check["name"]: check["found"] for check in checks if check["state"] != "warning" or "disk" in check["name"]
        }
        return found["project"], found["settings"], found["disk: models"].partition(" free at ")[2]

    project, files, models = doctor(NIGHTJAR_CONFIG=str(config))
    assert project == f"{config}, named by NIGHTJAR_CONFIG"
    assert (files, models) == (f"environment, {config / 'nightjar.toml'}", str(config / "m1"))
    assert doctor(NIGHTJAR_CONFIG=str(config / "nightjar.toml")) == (project, files, models)
    project, files, models = doctor(NIGHTJAR_HOME=str(home))
    assert project == f"{home}, named by NIGHTJAR_HOME"
    assert (files, models) == (f"environment, {home / 'nightjar.toml'}", str(home / "m2"))
    missing = installed.run(work, "model", "list", NIGHTJAR_CONFIG=str(tmp_path / "none"))
    assert missing.returncode == 2
    assert "NIGHTJAR_CONFIG names" in missing.stderr


def test_doctor_lists_the_files_in_use_and_those_that_are_not(installed: Machine, tmp_path: Path) -> None:
    """A `.env` of another program is nobody's business."""
    own = tmp_path / "user" / ".config" / "nightjar"
    clone(own, {"nightjar.toml": "lease_s = 31\n", ".env": "NIGHTJAR_BEAT_S=3\n"})
    work = clone(tmp_path / "work", {"nightjar.toml": "", ".env": "DATABASE_URL=x\n"})
    done = installed.run(work, "doctor", "--json")
    checks = json.loads(done.stdout)["checks"]
    settings = [check for check in checks if check["name"] == "settings"]
    assert settings[0]["found"] == f"environment, {own / '.env'}, {own / 'nightjar.toml'}"
    assert settings[1]["state"] == "warning"
    assert settings[1]["found"] == f"nightjar.toml in {work} is ignored: it may come from somebody else"
    assert ".env in" not in done.stderr
