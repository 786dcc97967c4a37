"""The vectors of one model in a memory-mapped file under the home, made from MongoDB whenever it is stale."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nightjar.config.errors import OutputError
from nightjar.config.files import private_folder
from nightjar.jobs.identity import digest
from nightjar.jobs.mongo import Database
from nightjar.jobs.search.vector_reading import vectors_by_id, vectors_state

BATCH = 4_096
TRIES = 5
LEFT_S = 3_600
"""A file that nobody has finished for so long was left by one that was killed."""
ID_BYTES = 49
"""Of `vector_id`: 32 hexadecimal characters, a full stop and 16 more."""


@dataclass(frozen=True)
class VectorMatrix:
    """Unit vectors and whose they are, row by row in the order of ids."""

    folder: Path
    ids: npt.NDArray[np.bytes_]
    vectors: npt.NDArray[np.float32]

    def name(self, row: int) -> str:
        """The `_id` of a row's TextVector."""
        return bytes(self.ids[row]).decode("ascii")

    def rows_of(self, names: list[str]) -> npt.NDArray[np.intp]:
        """The rows of these ids, in ascending order; ids that are not there are left out."""
        wanted = np.sort(np.array(names, f"S{ID_BYTES}"))
        at = np.searchsorted(self.ids, wanted)
        at = at[at < len(self.ids)]
        return at[np.isin(self.ids[at], wanted)]


async def open_matrix(home: Path, model: str, database: Database) -> VectorMatrix:
    """The matrix of a model's vectors as they are now. Raises OutputError, ServiceError.

    Files of former states and of other models are removed; whoever has one mapped keeps it until he closes it.
    """
    above = await asyncio.to_thread(private_folder, home / "search")
    for _ in range(TRIES):
        count, newest = await vectors_state(model, database)
        folder = above / f"{model[:12]}-{digest(count, newest)[:16]}"
        if not await asyncio.to_thread(folder.exists):
            await _write(folder, model, count, database)
        with contextlib.suppress(FileNotFoundError):  # another search has a newer state, and removed this one
            return await asyncio.to_thread(map_matrix, folder)
    raise OutputError(f"The vectors in {above} were replaced {TRIES} times while they were opened. Search again.")


async def _write(folder: Path, model: str, count: int, database: Database) -> None:
    part = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=folder.parent, prefix=f".{folder.name}."))
    try:
        names: list[str] = []
        vectors: Any = None
        async for rows in vectors_by_id(model, BATCH, database):
            block = np.stack([np.frombuffer(vector, "<f2") for _, vector in rows]).astype(np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            if vectors is None:
                vectors = _create(part / "vectors.npy", (count, block.shape[1]))
            block = block[: count - len(names)]  # more came meanwhile: the next state of the file has them
            vectors[len(names) : len(names) + len(block)] = block
            names += [name for name, _ in rows[: len(block)]]
        await asyncio.to_thread(_finish, part, folder, names, vectors)
    except OSError as error:
        raise OutputError(
            f"The vectors for a search cannot be written to {folder.parent}: {error.strerror}. Free some space, or set "
            "NIGHTJAR_HOME to another folder."
        ) from None
    finally:
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)


def _create(path: Path, shape: tuple[int, int]) -> Any:
    return np.lib.format.open_memmap(path, "w+", np.float32, shape)


def _finish(part: Path, folder: Path, names: list[str], vectors: Any) -> None:
    """Puts the finished file in its place, whole, and removes those of former states and other models."""
    if vectors is None:
        vectors = _create(part / "vectors.npy", (0, 1))
    vectors.flush()
    np.array(names, f"S{ID_BYTES}").tofile(part / "ids")
    for former in folder.parent.iterdir():
        if not former.name.startswith(".") or _left(former):
            shutil.rmtree(former, ignore_errors=True)
    with contextlib.suppress(OSError):  # another process was quicker
        part.rename(folder)


def _left(unfinished: Path) -> bool:
    try:
        return time.time() - unfinished.stat().st_mtime > LEFT_S
    except OSError:
        return False


def map_matrix(folder: Path) -> VectorMatrix:
    """A finished file, mapped: its pages are read as they are needed."""
    ids = np.fromfile(folder / "ids", f"S{ID_BYTES}")
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "r")
    return VectorMatrix(folder=folder, ids=ids, vectors=vectors[: len(ids)])
