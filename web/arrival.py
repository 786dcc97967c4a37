"""How somebody arrives: the address that is printed, the one-time key in it, and the token file for programs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nightjar.config.files import private_folder, write_private
from nightjar.jobs.accounts.access import add_key, add_token, find_token, first_admin, has_users
from nightjar.jobs.accounts.documents import TokenScope
from nightjar.jobs.mongo import Database

LOCAL = "local"
"""The token of this machine's own programs."""
if TYPE_CHECKING:
    from nightjar.web.gate import GateRules  # needs the extra `serve`, and `nightjar token show` does not

FOLDER = "web"


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What a home's page is called, and where its token lies."""

    port: int
    own_name: str
    """A name that browsers resolve to this machine, and that no other server here has: cookies ignore ports."""
    token_file: Path

    @classmethod
    async def prepare(cls, home: Path, port: int) -> Self:
        """The same name at every start, so that bookmarks and sessions last."""
        folder = private_folder(home / FOLDER)
        file = folder / "name"
        if not file.exists():
            write_private(file, f"nightjar-{secrets.token_hex(4)}.localhost")
        return cls(port=port, own_name=file.read_text("utf-8").strip(), token_file=token_file(home))

    async def link(self, rules: GateRules, database: Database) -> str:
        """Where a browser goes: with a one-time key in the fragment, which no server sees, while there are no users."""
        await self._provide_token(database)
        own = f"{self.own_name}:{self.port}"
        host = own if own in rules.hosts else min(rules.hosts, key=lambda name: (":" in name, name))
        return f"{rules.scheme}://{host}{rules.root}/" + ("" if await has_users() else f"login#key={await add_key()}")

    def words(self, link: str) -> str:
        """What is said when the server takes requests."""
        lines = [f"Nightjar is at {link}"]
        if "#key=" in link:
            lines.append("  The link logs in once, within ten minutes; the next start prints another.")
            if self.own_name in link:
                plain = link.replace(self.own_name, "127.0.0.1")
                lines.append(f"  A browser that does not know such names: {plain}")
        lines.append(f"  For programs of this machine: `nightjar token show {LOCAL}`")
        return "\n".join(lines)

    async def _provide_token(self, database: Database) -> None:
        """A token for programs of this machine's user, in a file that only they can read."""
        if self.token_file.exists() and await find_token(self.token_file.read_text("utf-8").strip()):
            return
        scopes = [TokenScope.READ, TokenScope.V1]
        secret = await add_token(LOCAL, await first_admin(), scopes, database=database, replace=True)
        write_private(self.token_file, secret)


def token_file(home: Path) -> Path:
    """Where the token of this machine's own programs lies."""
    return home / FOLDER / "token"
