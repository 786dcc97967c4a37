"""Addresses of MongoDB and Redis: one without the other, under cron, and servers of one's own beside them."""

from __future__ import annotations

from pathlib import Path

from tests.home import Home, eventually
from tests.machines import NO_SERVERS, Machine, copy_package

SUITE = ("--suite", "story-starters", "--model", "nightjar-demo", "--limit", "2")


def together(text: str) -> str:
    return " ".join(text.split())


def test_a_second_host_with_one_url_is_told_that_its_redis_is_another(home: Home, tmp_path: Path) -> None:
    """With MongoDB's URL alone its worker would listen where nobody rings: refused with both named, and so in status.

    With both URLs it works.
    """
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none")
    home.ok("enqueue", *SUITE)
    eventually(lambda: home.find("services"), 60, lambda: home.said("worker"))
    one = {"NIGHTJAR_MONGO_URL": home.url("mongo")}
    second = tmp_path / "second"
    worker = home.run("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst", home=second, env=one)
    assert worker.returncode == 2, worker.stderr
    told = together(worker.stderr)
    assert f"{home.record('redis')['socket']} on" in told
    assert str(second) in told or "nightjar-" in told
    assert "Set NIGHTJAR_REDIS_URL to the same server on all hosts" in told
    status = home.run("status", home=second, env=one)
    assert status.returncode == 1
    assert "is not the one that the workers and dispatchers of this database use" in together(status.stdout)
    waiting = home.run("enqueue", *SUITE, "--wait", home=second, env=one)
    assert waiting.returncode == 0, "it waits for those who have the right one"
    assert "Note: this command does not dispatch." in waiting.stderr
    both = one | {"NIGHTJAR_REDIS_URL": home.url("redis")}
    assert "is not the one" not in home.run("status", home=second, env=both).stdout


def test_a_second_host_with_redis_s_url_alone_is_told_that_its_mongodb_is_another(home: Home, tmp_path: Path) -> None:
    """Its worker would stand beside an empty MongoDB of its own: refused with both named, by all that serve."""
    home.start("worker", "worker", "--model", "nightjar-demo", "--gpu", "none")
    home.ok("services", "up")
    one = {"NIGHTJAR_REDIS_URL": home.url("redis")}
    second = tmp_path / "second"

    def named() -> bool:
        return "work with another MongoDB" in together(home.run("status", home=second, env=one).stdout)

    home.run("services", "up", home=second, env=one)
    eventually(named, 60, lambda: home.said("worker"))
    for command in (("worker", "--model", "nightjar-demo", "--gpu", "none"), ("dispatcher",), ("serve", "--port", "0")):
        refused = home.run(*command, home=second, env=one)
        told = together(refused.stderr)
        assert refused.returncode == 2, (command, told)
        assert f"the embedded one of {second} on" in told, command
        assert f"the embedded one of {home.path} on" in told, command
        assert "Set NIGHTJAR_MONGO_URL to the same server on all hosts" in told, command
    both = one | {"NIGHTJAR_MONGO_URL": home.url("mongo")}
    assert "another MongoDB" not in home.run("status", home=second, env=both).stdout


def test_one_url_is_enough_on_one_host(home: Home, tmp_path: Path) -> None:
    """MongoDB elsewhere and an embedded Redis: the run is done."""
    home.ok("services", "up")
    one = {"NIGHTJAR_MONGO_URL": home.url("mongo")}
    only = tmp_path / "only"
    assert home.run("enqueue", *SUITE, home=only, env=one).returncode == 0
    done = home.run("worker", "--model", "nightjar-demo", "--gpu", "none", "--burst", home=only, env=one)
    assert done.returncode == 0, done.stderr
    assert [run["status"] for run in home.find("runs")] == ["DONE"]


def test_services_down_stops_servers_that_urls_have_replaced(home: Home) -> None:
    """`services status` names them; `down` stops them, and leaves the configured ones alone."""
    home.ok("services", "up")
    servers = {"NIGHTJAR_MONGO_URL": NO_SERVERS["NIGHTJAR_MONGO_URL"], "NIGHTJAR_REDIS_URL": home.url("redis")}
    status = home.run("services", "status", env=servers)
    assert "Beside it the embedded mongo of this home still runs" in together(status.stdout)
    assert "Beside it the embedded redis" not in together(status.stdout), "it is the one that the URL names"
    down = home.run("services", "down", env=servers)
    assert (down.returncode, down.stdout.strip()) == (0, "Stopped mongo and redis.")
    assert home.servers("mongo") == []


def test_cleanup_keeps_the_logs_that_are_being_written(home: Home) -> None:
    """Those of running servers and of running commands, however old is asked for; the others go."""
    home.ok("services", "up")
    home.start("dispatcher", "dispatcher")
    logs = home.path / "logs"
    (logs / "old.log").write_text("done long ago")
    running = {"mongod.log", "redis-server.log"}
    assert running <= {path.name for path in logs.iterdir()}
    home.ok("cleanup", "--logs", "0")
    assert {path.name for path in logs.iterdir()} == running


def test_cron_finds_the_checkouts_env(tmp_path: Path) -> None:
    """From any folder, with nothing in the environment but the way to programs: the `.env` of the checkout counts."""
    package = copy_package(tmp_path / "package", checkout=True)
    (package / "nightjar" / ".env").write_text(
        "NIGHTJAR_MONGO_URL=mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500\nNIGHTJAR_REDIS_URL=redis://127.0.0.1:9/0\n"
    )
    machine = Machine(package=package, user=tmp_path / "user")
    done = machine.run(Path("/"), "enqueue", *SUITE)
    assert done.returncode == 1
    assert "MongoDB at 127.0.0.1:9 cannot be used" in together(done.stderr)


def test_who_enqueues_into_a_database_that_nobody_works_on_is_told(home: Home) -> None:
    """As under cron without any setting: the note names the database and the model that nobody serves."""
    told = together(home.ok("enqueue", *SUITE))
    assert "no worker of nightjar-demo was seen in the last 10 minutes in the embedded MongoDB of" in told
    assert str(home.path) in told
