"""`nightjar uninstall --data` while its home is at work."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.home import Home, eventually


def test_workers_and_servers_end_before_their_data_go(home: Home) -> None:
    """It asks first, and refuses while a program that is no command of ours is at work; then it leaves a file that is
    not Nightjar's, and nothing that runs."""
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none")
    eventually(lambda: "worker_ready" in home.said("worker"), 200, lambda: home.said("worker"))
    (home.path / "mine.txt").write_text("mine")
    asked = home.run("uninstall", "--data")
    assert asked.returncode == 2
    assert "wants --yes" in asked.stderr
    assert "At work in it: " in asked.stdout
    assert " worker --model nightjar-demo" in asked.stdout

    held = f"import sys; file = open({str(home.path / 'home.id')!r}); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", held]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        refused = home.run("uninstall", "--data", "--yes")
        assert refused.returncode == 2, refused.stderr
        assert f"(process {program.pid}) works in {home.path}" in refused.stderr
        program.kill()
    assert home.running["worker"].poll() is None
    assert home.servers("mongo")

    told = json.loads(home.ok("uninstall", "--data", "--yes", "--json"))
    assert told["removed"]
    assert [left["where"] for left in told["leaves"] if left["where"].startswith(str(home.path))] == [
        str(home.path / "mine.txt")
    ]
    assert [path.name for path in home.path.iterdir()] == ["mine.txt"]
    assert home.running["worker"].wait(30) == 0
    assert not home.servers("mongo")
    assert not home.servers("redis")
