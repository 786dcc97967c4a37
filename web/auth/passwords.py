"""Passwords: argon2, two at a time, since each takes 64 MiB and a sixth of a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from nightjar.config.errors import UsageError

AT_ONCE = 2
SHORTEST, LONGEST = 8, 1024
_DUMMY = "$argon2id$v=19$m=65536,t=3,p=4$bmlnaHRqYXItbm9ib2R5$L2R8OEjxX6Hk1cwFzYp3XJ8bVUMwt3xDzEgkYyLZxQg"
"""Compared where there is no such user, so that both cases take equally long. No password matches it."""


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """Digests of passwords, made and checked in threads."""

    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def digest(self, password: str) -> str:
        """What is stored of a password. Raises UsageError for one that is too short."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise UsageError(f"A password has {SHORTEST} to {LONGEST} characters; a sentence is a good one.")
        async with self._turn:
            return await asyncio.to_thread(self.hasher.hash, password)

    async def matches(self, password: str, digest: str | None) -> bool:
        """Whether it is the password of this digest. None: of nobody, which takes as long."""
        async with self._turn:
            right = await asyncio.to_thread(self._verify, password[:LONGEST], digest or _DUMMY)
        return right and digest is not None

    def _verify(self, password: str, digest: str) -> bool:
        try:
            return self.hasher.verify(digest, password)
        except (VerificationError, InvalidHashError):
            return False
