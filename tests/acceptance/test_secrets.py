"""What is secret in the settings is printed by no command, whatever goes wrong."""

from __future__ import annotations

import pytest

from tests.shell import Shell

PASSWORDS = {"mongo": "hunter2-4f9a", "redis": "s3same-0pen", "hub": "hf_abcdefghijklmnop0123"}
AWAY = {
    "NIGHTJAR_MONGO_URL": f"mongodb://nightjar:{PASSWORDS['mongo']}@127.0.0.1:9/?authSource=admin",
    "NIGHTJAR_REDIS_URL": f"redis://user:{PASSWORDS['redis']}@127.0.0.1:9/0",
    "HF_TOKEN": PASSWORDS["hub"],
    "NIGHTJAR_LOG_LEVEL": "debug",
    "NIGHTJAR_DEBUG": "true",
}


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--json"),
        ("doctor", "--json"),
        ("services", "status"),
        ("run", "list"),
        ("dispatcher",),
        ("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst"),
    ],
)
def test_no_command_prints_a_secret(shell: Shell, command: tuple[str, ...]) -> None:
    done = shell.run(*command, env=AWAY)
    assert done.returncode == 1, "both servers are away"
    said = done.stdout + done.stderr
    assert "127.0.0.1:9" in said, "the server is named"
    assert [name for name, secret in PASSWORDS.items() if secret in said] == []
