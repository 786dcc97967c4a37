"""Passwords: how many are checked at once, and that nobody's takes as long as somebody's."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from nightjar.config.errors import UsageError
from nightjar.web.auth import passwords
from nightjar.web.auth.passwords import AT_ONCE, LONGEST, SHORTEST, Passwords

TRIES = 7
NOTHING_ELSE_S = 0.2


class CountingHasher:
    """Each hash takes until it is let go; what was compared, and how many were at work together."""

    def __init__(self) -> None:
        self.compared: list[str] = []
        self.at_work = self.most = 0
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def verify(self, digest: str, password: str) -> bool:
        self.compared.append(digest)
        self._work()
        raise VerifyMismatchError

    def hash(self, password: str) -> str:
        self._work()
        return "digest"

    def _work(self) -> None:
        with self._lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.begun.release()
        assert self.go_on.wait(60)
        with self._lock:
            self.at_work -= 1


async def test_no_more_than_two_at_once() -> None:
    """Each takes 64 MiB; new passwords and logins together."""
    hasher: Any = CountingHasher()
    checked = Passwords(hasher=hasher)
    digests = [checked.digest("a long enough one") for _ in range(TRIES)]
    tries = asyncio.gather(*digests, *(checked.matches("x", "digest") for _ in range(TRIES)))
    for _ in range(AT_ONCE):
        assert await asyncio.to_thread(hasher.begun.acquire, timeout=60)
    await asyncio.sleep(NOTHING_ELSE_S)
    assert hasher.at_work == AT_ONCE == 2
    hasher.go_on.set()
    assert await tries == ["digest"] * TRIES + [False] * TRIES
    assert hasher.most == AT_ONCE


async def test_an_unknown_user_takes_as_long() -> None:
    """A digest that costs the same is compared, and nothing ever matches it."""
    hasher: Any = CountingHasher()
    hasher.go_on.set()
    assert await Passwords(hasher=hasher).matches("anything", None) is False
    [dummy] = hasher.compared
    costs = [extract_parameters(each) for each in (dummy, PasswordHasher().hash("x"))]
    [cost, real] = [(each.type, each.memory_cost, each.time_cost, each.parallelism, each.hash_len) for each in costs]
    assert cost == real

    class Yes:
        def verify(self, digest: str, password: str) -> bool:
            return True

    yes: Any = Yes()
    assert await Passwords(hasher=yes).matches("anything", None) is False


@pytest.mark.parametrize("length", [0, SHORTEST - 1, LONGEST + 1])
async def test_a_password_has_a_length(length: int) -> None:
    with pytest.raises(UsageError, match=str(SHORTEST)):
        await Passwords().digest("x" * length)


async def test_a_stored_password_that_is_none_matches_nothing() -> None:
    """A damaged document, say; and a password that is too long is cut, not refused with a trace."""
    for digest in ("", "-", "$argon2id$none", passwords._DUMMY[:-3]):
        assert await Passwords().matches("x" * 5000, digest) is False
