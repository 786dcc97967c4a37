"""Whole commands, as a user types them, against one home with embedded servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightjar.config import embedded
from nightjar.config.settings import Settings
from tests.fake_endpoint import FakeEndpoint, fake_endpoint
from tests.home import Home
from tests.shell import Shell


@pytest.fixture(scope="session")
def acceptance_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose embedded servers live as long as the test session."""
    home = tmp_path_factory.mktemp("acceptance") / "home"
    home.mkdir()
    try:
        yield home
    finally:
        embedded.down(Settings(home=home))


@pytest.fixture
def shell(acceptance_home: Path, tmp_path: Path) -> Shell:
    """Commands in an empty folder, with a fresh database on the session's embedded servers."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    environment = {"NIGHTJAR_HOME": str(acceptance_home), "NIGHTJAR_MONGO_DATABASE": f"t{uuid.uuid4().hex[:12]}"}
    return Shell(folder=folder, environment=environment)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home of the test's own in its folder; what runs in it is ended."""
    home = Home(folder=tmp_path)
    try:
        yield home
    finally:
        home.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeEndpoint]:
    """An endpoint whose faults the tests of a file choose."""
    with fake_endpoint() as running:
        yield running
