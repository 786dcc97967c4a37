"""Settings: where they come from, which source wins, and what an error says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from nightjar.config import settings as module
from nightjar.config.errors import SettingsError
from nightjar.config.keys import TOLD, dotted, key_paths
from nightjar.config.settings import Settings, load_settings, settings_files

Write = Callable[[str, str], None]
_real_files = settings_files  # before conftest's fixture hides the project's


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file of a project in an otherwise empty folder; the project's files are read."""
    monkeypatch.delenv("NIGHTJAR_HOME")
    monkeypatch.setattr(module, "settings_files", _real_files)
    monkeypatch.setattr("nightjar.config.project._ABOVE_ROOMS", tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        load_settings.cache_clear()

    return write


def test_defaults_lie_in_the_project(write: Write, tmp_path: Path) -> None:
    found = load_settings()
    assert found.home == tmp_path / ".nightjar"
    assert found.reports_dir == tmp_path / ".nightjar" / "reports"
    assert found.models_dir == tmp_path / "models"
    assert found.model.context is None
    assert found.mongo_url is None


def test_reports_follow_the_home(tmp_path: Path) -> None:
    assert Settings(home=tmp_path / "elsewhere").reports_dir == tmp_path / "elsewhere" / "reports"


# What each source says of lease_s, highest first, and what counts.
PRECEDENCE = [
    ("50", "60", "70", 50.0),  # environment wins
    (None, "60", "70", 60.0),  # then .env
    (None, None, "70", 70.0),  # then the TOML file
    (None, None, None, 30.0),  # then the default
    ("50", None, "70", 50.0),
]


@pytest.mark.parametrize(("variable", "dotenv", "toml", "expected"), PRECEDENCE)
def test_the_nearest_source_wins(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    dotenv: str | None,
    toml: str | None,
    expected: float,
) -> None:
    if variable:
        monkeypatch.setenv("NIGHTJAR_LEASE_S", variable)
    if dotenv:
        write(".env", f"NIGHTJAR_LEASE_S={dotenv}\nSOMEBODY_ELSES=1\n")
    if toml:
        write("nightjar.toml", f"lease_s = {toml}\n")
    assert load_settings().lease_s == expected


def test_tables_are_merged_key_by_key(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key of [model] in the environment leaves the others to the files."""
    write("nightjar.toml", '[model]\ncontext = 1024\nslots = 3\ncache_type_k = "q8_0"\n')
    write(".env", "NIGHTJAR_MODEL__SLOTS=5\n")
    monkeypatch.setenv("NIGHTJAR_MODEL__CONTEXT", "4096")
    model = load_settings().model
    assert (model.context, model.slots, model.cache_type_k) == (4096, 5, "q8_0")
    assert model.model_fields_set == {"context", "slots", "cache_type_k"}


def test_a_file_of_the_current_folder_is_named_and_ignored(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("nightjar.toml", "lease_s = 70")
    write("inner/nightjar.toml", "lease_s = 71")
    monkeypatch.chdir(tmp_path / "inner")
    assert load_settings().lease_s == 70
    assert f"nightjar.toml in {tmp_path / 'inner'} is ignored" in capsys.readouterr().err
    assert load_settings().home == tmp_path / ".nightjar"


@pytest.mark.parametrize(
    ("url", "given", "run"),
    [(None, None, True), ("mongodb://h", None, False), ("mongodb://h", True, True), (None, False, False)],
)
def test_commands_of_a_database_by_url_are_not_run_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, url: str | None, given: bool | None, run: bool
) -> None:
    if url is not None:
        monkeypatch.setenv("NIGHTJAR_MONGO_URL", url)
    if given is not None:
        monkeypatch.setenv("NIGHTJAR_NIGHT__COMMANDS", str(given))
    assert load_settings().night.commands is run


def test_the_project_may_keep_the_file_under_config(write: Write) -> None:
    write("config/nightjar.toml", "lease_s = 72")
    assert load_settings().lease_s == 72


def test_a_json_file_says_the_same_as_the_toml(write: Write, tmp_path: Path) -> None:
    """By the same schema, its errors included; with two files nobody could know which one counts."""
    write("nightjar.json", '{"lease_s": 70, "model": {"context": 2048}}')
    assert (load_settings().lease_s, load_settings().model.context) == (70, 2048)
    write("nightjar.json", '{"lease_sec": 70}')
    with pytest.raises(SettingsError, match=r"nightjar\.json.*lease_s"):
        load_settings()
    for broken in ("{", "[]", '{"lease_s": "soon"}'):
        write("nightjar.json", broken)
        with pytest.raises(SettingsError, match=r"nightjar\.json"):
            load_settings()
    write("nightjar.json", "{}")
    write("nightjar.toml", "")
    with pytest.raises(SettingsError, match="Keep one of them"):
        load_settings()


def test_a_manifest_of_a_pulled_model_is_no_settings(write: Write) -> None:
    write("nightjar.json", '{"name": "m", "repo": "a/b", "commit": "c", "files": []}')
    assert load_settings().lease_s == Settings().lease_s


def test_the_hub_keeps_its_own_variable_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(".env", "HF_ENDPOINT=https://hub.example\nHF_TOKEN=hf_from_dotenv\n")
    found = load_settings()
    assert (found.hf_token, found.hf_endpoint) == (SecretStr("hf_from_dotenv"), "https://hub.example")
    load_settings.cache_clear()
    monkeypatch.setenv("HF_TOKEN", "hf_from_the_environment")
    assert load_settings().hf_token is None, "only a file names the address"
    load_settings.cache_clear()
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    found = load_settings()
    assert (found.hf_token, found.hf_endpoint) == (SecretStr("hf_from_the_environment"), "https://mirror.example")


# Addresses as their makers give them.
ADDRESSES = [
    ("mongodb://127.0.0.1", "redis://127.0.0.1"),
    (
        "mongodb+srv://u:p%40w@cluster0.ab1cd.mongodb.net/?retryWrites=true&w=majority",
        "rediss://:p@redis.example:6380/1",
    ),
    ("mongodb://u:p!$&'()*+,;=-._~@one:27017,two:27018/admin?replicaSet=rs0&tls=true", "redis://default:p@host:6379"),
    ("mongodb://[::1]:27017,[fe80::1]/?tls=true", "redis://[::1]:6379/0"),
    ("mongodb://%2Ftmp%2Fmongodb.sock/db", "rediss://host?ssl_ca_certs=/etc/ca.pem"),
    ("mongodb://u:p@%2Frun%2Fmongo.sock/", "unix://:p@/run/redis/redis.sock?db=0"),
    ("mongodb://user_1@my_host", "redis://host/"),
]


@pytest.mark.parametrize(("mongo", "redis"), ADDRESSES)
def test_an_address_passes_unchanged(write: Write, monkeypatch: pytest.MonkeyPatch, mongo: str, redis: str) -> None:
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", mongo)
    monkeypatch.setenv("NIGHTJAR_REDIS_URL", redis)
    found = load_settings()
    assert found.mongo_url == SecretStr(mongo)
    assert found.redis_url == SecretStr(redis)


# A variable nobody knows, and the one that is meant.
MISSPELT_VARIABLES = [
    ("NIGHTJAR_MODEL_CONTEXT", "NIGHTJAR_MODEL__CONTEXT"),  # one underscore: what the old system read as nothing
    ("NIGHTJAR_CONTEXT", "NIGHTJAR_MODEL__CONTEXT"),  # flat
    ("NIGHTJAR_MODEL__CTX", "NIGHTJAR_MODEL__CONTEXT"),
    ("NIGHTJAR_MODEL__CONTEXT__SIZE", "NIGHTJAR_MODEL__CONTEXT"),  # too deep
    ("NIGHTJAR_N_BATCH", "NIGHTJAR_MODEL__N_BATCH"),
    ("NIGHTJAR_GPU_LAYERS", "NIGHTJAR_MODEL__GPU_LAYERS"),
    ("NIGHTJAR_MONGO_URI", "NIGHTJAR_MONGO_URL"),
    ("NIGHTJAR_MONGODB_URL", "NIGHTJAR_MONGO_URL"),
    ("NIGHTJAR_REDISURL", "NIGHTJAR_REDIS_URL"),
    ("NIGHTJAR__HOME", "NIGHTJAR_HOME"),
    ("nightjar_hom", "NIGHTJAR_HOME"),  # the case does not matter, so a lower-case slip is one as well
    ("NIGHTJAR_LOGLEVEL", "NIGHTJAR_LOG_LEVEL"),
]


@pytest.mark.parametrize(("name", "nearest"), MISSPELT_VARIABLES)
@pytest.mark.parametrize("source", ["environment", ".env"])
def test_a_misspelt_variable_names_the_nearest(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, nearest: str, source: str
) -> None:
    if source == ".env":
        write(".env", f"{name}=1\n")
    else:
        monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"Did you mean {nearest}?" in str(caught.value)
    assert name in str(caught.value)
    assert source in str(caught.value)


# A TOML text with a key nobody knows: the key as the error names it, and the nearest.
MISSPELT_KEYS = [
    ("context = 4096", "context", "model.context"),  # flat
    ("model_context = 4096", "model_context", "model.context"),
    ("[model]\ncontxt = 4096", "model.contxt", "model.context"),
    ("[modle]\ncontext = 4096", "modle.context", "model.context"),
    ("[model.cache]\ntype_k = 'f16'", "model.cache.type_k", "model.cache_type_k"),  # deeper than any setting
    ("mongo-url = 'x'", "mongo-url", "mongo_url"),
    ("Home = 'x'", "Home", "home"),
    ("[home]\npath = 'x'", "home.path", "home"),  # a value written as a table
    ("[nightjar]\nhome = 'x'", "nightjar.home", "home"),
    ("[model.memory_shares]", "model.memory_shares", "model.memory_share"),  # empty tables count too
]


@pytest.mark.parametrize(("text", "name", "nearest"), MISSPELT_KEYS)
def test_a_misspelt_toml_key_names_the_nearest(write: Write, text: str, name: str, nearest: str) -> None:
    write("nightjar.toml", text)
    with pytest.raises(SettingsError, match=rf"^{re.escape(name)} in .*nightjar\.toml .*Did you mean {nearest}\?"):
        load_settings()


def test_a_key_like_no_other_lists_what_is_known(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_XYZZY", "1")
    with pytest.raises(SettingsError, match=r"NIGHTJAR_XYZZY.*Known: .*NIGHTJAR_MONGO_URL"):
        load_settings()


@pytest.mark.parametrize("value", ['{"context": 4096}', "4096", ""])
def test_the_model_settings_have_one_form(write: Write, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Not JSON in one variable, nor a number."""
    monkeypatch.setenv("NIGHTJAR_MODEL", value)
    with pytest.raises(SettingsError, match="NIGHTJAR_MODEL__CONTEXT"):
        load_settings()


def test_a_table_written_as_a_value_is_told_so(write: Write) -> None:
    write("nightjar.toml", "model = 3")
    with pytest.raises(SettingsError, match=r"model in .* is a table .*\[model\].*context"):
        load_settings()


# A value out of its range: variable, value, what the error says besides both.
BAD_VALUES = [
    ("NIGHTJAR_MODEL__CONTEXT", "8", "greater than or equal to 16"),
    ("NIGHTJAR_MODEL__CONTEXT", "many", "valid integer"),
    ("NIGHTJAR_MODEL__SLOTS", "0", "greater than or equal to 1 or 'auto'"),
    ("NIGHTJAR_MODEL__THREADS", "-2", "greater than or equal to 1"),
    ("NIGHTJAR_MODEL__CACHE_TYPE_K", "q5", "'f16', 'q8_0' or 'q4_0'"),
    ("NIGHTJAR_MODEL__MEMORY_SHARE", "1.5", "less than or equal to 1"),
    ("NIGHTJAR_MODEL__FLASH_ATTENTION", "perhaps", "valid boolean"),
    ("NIGHTJAR_LEASE_S", "0", "greater than or equal to 1"),
    ("NIGHTJAR_LEASE_S", "nan", "finite number"),
    ("NIGHTJAR_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ("NIGHTJAR_MONGO_DATABASE", "a/b", "it must be text that matches"),
    ("NIGHTJAR_EMBEDDED_PORTS", "27000", "such as 27500-27599"),
    ("NIGHTJAR_EMBEDDED_PORTS", "27000-26000", "such as 27500-27599"),  # the wrong way round
    ("NIGHTJAR_EMBEDDED_PORTS", "65000-66000", "such as 27500-27599"),
    ("NIGHTJAR_HOME", "~nobody-of-that-name/x", "home directory"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD_VALUES)
def test_a_bad_value_is_named_with_its_source_and_range(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{name} = {value!r} (environment) is not allowed" in str(caught.value)
    assert allowed in str(caught.value)


def test_a_bad_value_in_a_file_names_the_file(write: Write) -> None:
    write("nightjar.toml", "[model]\ncontext = 2\n")
    with pytest.raises(SettingsError, match=r"^model\.context = 2 \(.*nightjar\.toml\) is not allowed"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NIGHTJAR_MONGO_URL", "postgres://user:hunter2@host/"),
        ("NIGHTJAR_MONGO_URL", "hunter2"),
        ("NIGHTJAR_MONGO_URL", ""),  # an empty address is a mistake, not a wish for the embedded server
        ("NIGHTJAR_MONGO_URL", "mongodb://"),
        ("NIGHTJAR_MONGO_URL", "mongodb://user:hunter2/"),  # the host forgotten
        ("NIGHTJAR_MONGO_URL", "mongodb://user:hun/ter2@host/"),  # a password that is not encoded
        ("NIGHTJAR_MONGO_URL", "mongodb://user:hun@hunter2@host/"),
        ("NIGHTJAR_MONGO_URL", "mongodb://user:hunter2@host:port/"),
        ("NIGHTJAR_MONGO_URL", "mongodb://user:hunter2@host:99999/"),
        ("NIGHTJAR_MONGO_URL", "mongodb://user:hunter2@[::1/"),
        ("NIGHTJAR_MONGO_URL", "mongodb://host/ hunter2"),
        ("NIGHTJAR_REDIS_URL", "http://:hunter2@host"),
        ("NIGHTJAR_REDIS_URL", "redis://:hun#hunter2@host"),
        ("NIGHTJAR_REDIS_URL", "redis://:hunter2@host:70000/0"),
        ("NIGHTJAR_REDIS_URL", "redis://:hunter2@one:6379,two:6379/0"),
        ("NIGHTJAR_REDIS_URL", "redis://:hunter2@host/nightjar"),  # read as database 0 by the driver
    ],
)
def test_a_bad_address_is_an_error_that_hides_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(
        SettingsError, match=rf"{name} \(environment\) is not allowed: it must be a URL such as"
    ) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"), [("nightjar.toml", b"home = "), ("nightjar.toml", b"\xff"), (".env", b"A=\xff\xfe")]
)
def test_a_file_that_cannot_be_read_is_named(write: Write, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=rf"{name} cannot be read"):
        load_settings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_MONGO_URL", "mongodb://u:hunter2@host/")
    assert "hunter2" not in repr(load_settings())


def test_a_settings_object_reads_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTJAR_LEASE_S", "99")
    assert Settings(home=tmp_path).lease_s == 30


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    text = (Path(module.__file__).parent / "nightjar.example.toml").read_text("utf-8")
    table: dict[str, Any] = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    listed = {dotted(path) for path in key_paths(Settings) if _has(table, path)}
    in_the_environment = {"hf_token", "night.webhook_secret", "night.smtp_password"}
    assert listed == {dotted(path) for path in key_paths(Settings)} - in_the_environment
    defaults = Settings().model_dump()
    # No default, or one made of another setting: shown with an example.
    shown = {"mongo_url", "redis_url", "embedded_ports", "hf_endpoint", "ollama_models", "home", "models_dir"}
    shown |= {"memory_model", "photo_model", "money.usd_per_kwh", "money.reference_model"}
    shown |= {f"night.{key}" for key in ("keep_nights", "reports_url", "smtp_host", "smtp_user", "mail_from")}
    for path in key_paths(Settings):
        if dotted(path) not in {
            *shown,
            *in_the_environment,
            "scorers",
            "phrases_file",
            "models_file",
            "reports_dir",
            "model.context",
        }:
            assert _at(table, path) == _at(defaults, path), dotted(path)


def _has(table: dict[str, Any], path: tuple[str, ...]) -> bool:
    return path[0] in table and (len(path) == 1 or _has(table[path[0]], path[1:]))


def _at(table: dict[str, Any], path: tuple[str, ...]) -> Any:
    return table[path[0]] if len(path) == 1 else _at(table[path[0]], path[1:])


def test_what_a_command_is_told_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of --on-finish may call `nightjar` with these set."""
    for name in TOLD:
        monkeypatch.setenv(name, "x")
    assert load_settings().home


def test_secrets_of_nights_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTJAR_NIGHT__SMTP_PASSWORD", "hunter2")
    monkeypatch.setenv("NIGHTJAR_NIGHT__SMTP_PORT", "0")
    with pytest.raises(SettingsError, match="NIGHTJAR_NIGHT__SMTP_PORT = '0'"):
        load_settings()
    monkeypatch.delenv("NIGHTJAR_NIGHT__SMTP_PORT")
    load_settings.cache_clear()
    assert "hunter2" not in repr(load_settings())
