"""A faulty TCP proxy in front of a server: it drops every packet, or cuts connections at a chosen word."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

PIECE = 65_536


@dataclass
class Proxy:
    """Listens at `port` and forwards everything to `target` until a fault is requested."""

    target: int
    port: int = 0
    cuts: int = 0
    """Connections cut so far."""
    _word: bytes | None = None
    _cuts_wanted: int = 0
    _delivered: bool = False
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: socket.socket | None = None
    _fillers: list[socket.socket] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[Proxy]:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)  # so that silence can fill it up
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._open.set()
        accepting = asyncio.create_task(self._accept(self._listener))
        try:
            yield self
        finally:
            accepting.cancel()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(accepting, *self._tasks, return_exceptions=True)
            self._listener.close()
            self._close_fillers()

    def swallow(self) -> None:
        """From now on nothing gets through, as behind a firewall that drops packets: connections that are open get no
        byte further, the first packet of a new one gets no answer."""
        self._open.clear()
        for _ in range(8):  # a full backlog drops what comes
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def repair(self) -> None:
        self._close_fillers()
        self._open.set()

    def cut(self, word: bytes, times: int, *, delivered: bool) -> None:
        """Cuts the next connections that send `word`: before it is delivered, or else before its answer is."""
        self._word, self._cuts_wanted, self._delivered = word, self.cuts + times, delivered

    def _close_fillers(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._open.wait()
            client, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            down_reader, down = await asyncio.open_connection(sock=client)
            try:
                up_reader, up = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                down.close()
                return
            ways = [
                asyncio.create_task(self._pump(down_reader, up, asked=True)),
                asyncio.create_task(self._pump(up_reader, down, asked=False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                down.transport.abort()
                up.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asked: bool) -> None:
        """Carries bytes one way until the end or a cut."""
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await self._open.wait()
                at = self._cut_at(data) if asked else None
                if at is None:
                    writer.write(data)
                    await writer.drain()
                    continue
                self.cuts += 1
                writer.write(data if self._delivered else data[:at])
                await writer.drain()
                if self._delivered:
                    await asyncio.sleep(0.05)  # the server does it; nobody will hear of it
                return

    def _cut_at(self, data: bytes) -> int | None:
        if self._word is None or self.cuts >= self._cuts_wanted:
            return None
        at = data.find(self._word)
        return None if at < 0 else at
