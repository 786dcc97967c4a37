"""What `[endpoints.NAME]` of models.toml may hold: mistakes are named where they are made, and no key is repeated."""

from __future__ import annotations

import pytest

from nightjar.config.errors import SettingsError
from nightjar.workers.library.endpoints import RemoteEndpoint, parse_endpoint

HTTPS = "https://api.example.org/v1"
KEY = "gsk_abcdefghijklmnop0123456789"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"base_url": "api.example.org/v1"}, r"http\(s\)://HOST"),  # the scheme is missing
        ({"base_url": "https://api.example.org:99999/v1"}, "base_url: .*[Pp]ort"),  # no such port
        ({"base_url": "https://api.example.org:0/v1"}, "between 1 and 65535"),
        ({"base_url": f"{HTTPS}/chat/completions/"}, "ends before /chat/completions"),  # as a curl example has it
        ({"base_url": "https://me:pw@api.example.org/v1"}, "no user, password"),
        ({"base_url": "http://api.example.org/v1"}, "must be https"),
        ({"base_url": "https://127.0.0.1/v1"}, "private address"),
        ({"base_url": HTTPS, "key_env": "sk-0123456789"}, "never a key"),  # no name of a variable
        ({"base_url": HTTPS, "key_env": KEY}, "never a key"),  # it could be one, but looks like a key
        ({"base_url": HTTPS, "key": KEY}, "unknown key 'key'"),
        (KEY, "expected a table"),  # pasted in the place of the table
        ({"base_url": HTTPS, "price": {"input": float("nan"), "output": 1}}, "finite"),
        ({"base_url": HTTPS, "budget": 0}, "greater than 0"),
    ],
)
def test_a_mistake_is_named_and_no_secret_is_repeated(table: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refusal:
        parse_endpoint("cloud", table, "models.toml, endpoint 'cloud'")
    assert all(secret not in str(refusal.value) for secret in (KEY, "sk-0123456789", "pw@"))


@pytest.mark.parametrize("name", ["CLOUD_KEY", "OPENAI_API_KEY", "k2", "a_lower_case_name_that_is_long"])
def test_names_of_variables_are_taken(name: str) -> None:
    assert RemoteEndpoint(base_url=HTTPS, key_env=name).key_env == name
