"""`nightjar user`, `nightjar token` and `nightjar serve`, as they are typed."""

from __future__ import annotations

import json
import subprocess

from tests.home import COMMAND, Home, eventually


def typed(home: Home, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that is given this on its standard input."""
    environment = home._environ({"NIGHTJAR_HOME": str(home.path)})
    return subprocess.run(
        [*COMMAND, *words], cwd=home.folder, env=environment, input=text, capture_output=True, text=True, timeout=240
    )


def test_users_and_tokens_and_who_may_be_served(home: Home) -> None:
    refused = home.run("serve", "--host", "0.0.0.0", "--port", "0", "--workers", "none")
    assert refused.returncode == 2, refused.stderr
    assert "nightjar user add" in refused.stderr
    assert "--role admin" in home.ok("user", "list")
    first = typed(home, "a long enough one\n", "user", "add", "ann", "--role", "viewer", "--stdin")
    assert first.returncode == 2
    assert "first user must be an admin" in first.stderr
    short = typed(home, "short\n", "user", "add", "ann", "--role", "admin", "--stdin")
    assert "8 to" in short.stderr
    assert typed(home, "a long enough one\n", "user", "add", "ann", "--role", "admin", "--stdin").returncode == 0
    secret = home.ok("token", "add", "grafana", "--scope", "metrics", "--user", "ann", "--days", "30").strip()
    assert secret.startswith("nj_")
    rows = json.loads(home.ok("token", "list", "--json"))["tokens"]
    assert [(row["name"], row["user"], row["scopes"]) for row in rows] == [("grafana", "ann", ["metrics"])]
    said = home.ok("token", "budget", "grafana", "--budget", "5", "--tokens-a-day", "1000")
    assert "$5.0000 a month, 1,000 tokens a day" in said
    [row] = json.loads(home.ok("token", "list", "--json"))["tokens"]
    assert row["limits"] == {"usd_day": None, "usd_month": 5, "tokens_day": 1000, "tokens_month": None}
    assert row["use"] == []
    assert "1,000 tokens a day" in home.ok("token", "list")
    assert "no limit" in home.ok("token", "budget", "grafana")
    wrong = home.run("token", "budget", "grafana", "--budget", "-1")
    assert (wrong.returncode, "more than 0" in wrong.stderr) == (2, True)
    stored = home.find("users") + home.find("api_tokens")
    assert "a long enough one" not in str(stored)
    assert secret not in str(stored)
    last = home.run("user", "rm", "ann")
    assert (last.returncode, "only admin" in last.stderr) == (2, True)
    noted = [(entry["action"], entry["about"], entry["outcome"] == "done") for entry in home.find("audit")]
    assert noted == [
        ("add-user", "ann", False),  # who is no admin
        ("add-user", "ann", True),
        ("add-token", "grafana", True),
        ("set-budget", "grafana", True),
        ("set-budget", "grafana", True),
        ("remove-user", "ann", False),
    ]
    assert secret not in str(home.find("audit"))
    plain = home.run("serve", "--host", "0.0.0.0", "--port", "0", "--workers", "none")
    assert "--tls-cert" in plain.stderr
    home.start("serve", "serve", "--port", "0", "--workers", "none")
    eventually(lambda: "Nightjar is at" in home.said("serve"), 240, lambda: home.said("serve"))
    assert "key=" not in home.said("serve")  # with users there is a login
    assert home.ok("token", "show", "local").startswith("nj_")
    # Nobody has loaded it yet, and it may be asked for.
    eventually(lambda: home.find("models", _id="nightjar-demo"), 60, lambda: home.said("serve"))
    home.running["serve"].terminate()
    assert home.running["serve"].wait(60) == 0
