"""A command of --on-finish as it is shown."""

from __future__ import annotations

import pytest

from nightjar.config.redact import redact_command
from nightjar.jobs.ending import Hook, HookKind

# The command, and what is shown of it; "pw" is never.
COMMANDS = [
    ("notify-send 'the night is over'", "notify-send 'the night is over'"),
    ("tool --password pw x", "tool --password *** x"),
    ("tool --password=pw x", "tool '--password=***' x"),
    ("tool --api-key pw --port 22", "tool --api-key *** --port 22"),
    ("sshpass -p pw ssh -p 22 host", "sshpass -p *** ssh -p 22 host"),
    ("curl -u me:pw https://host/a", "curl -u 'me:***' https://host/..."),
    ("systemctl --user start x", "systemctl --user start x"),
    ("curl https://hooks.example.org/services/T0/pw", "curl https://hooks.example.org/..."),
    ("curl --url=https://me:pw@host", "curl --url=https://host"),
    ("curl -H 'X-Api-Key: pw' -H 'Accept: text/plain'", "curl -H 'X-Api-Key: ***' -H 'Accept: text/plain'"),
    ("env PGPASSWORD=pw pg_dump", "env 'PGPASSWORD=***' pg_dump"),
    ("sh -c 'PGPASSWORD=pw pg_dump'", "sh -c 'PGPASSWORD=***'"),  # a password may have spaces
    ("sh -c 'tool --token pw; echo done'", "sh -c 'tool --token ***; echo done'"),
    ("tool 'Bearer pwpwpwpwpw'", "tool 'Bearer ***'"),
]


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_what_may_be_secret_is_hidden_and_the_rest_is_not(command: str, shown: str) -> None:
    assert redact_command(command) == shown
    assert str(Hook(kind=HookKind.COMMAND, target=command)) == shown
    assert "pw" not in shown


def test_a_command_that_is_none_hides_what_it_can() -> None:
    assert "hunter2" not in redact_command("tool 'x --password=hunter2")
