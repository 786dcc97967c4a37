"""How quick an exact search is, and what memory it takes: in a process of its own, on vectors that are made up.

`python -P -m nightjar.scripts.dev.search_bench [ROWS WIDTH]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROWS, WIDTH, QUERIES = 100_000, 384, 50
BLOCK = 10_000


def main() -> None:
    rows, width = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (ROWS, WIDTH)
    with tempfile.TemporaryDirectory() as folder:
        make_vectors(Path(folder), rows, width)
        child = [
            sys.executable,
            "-P",
            "-c",
            f"from nightjar.scripts.dev.search_bench import measure_search; measure_search({folder!r})",
        ]
        told = json.loads(subprocess.run(child, stdout=subprocess.PIPE, check=True, text=True).stdout)
    print(f"{rows:,} x {width}: first query, with opening the file {told['first_s'] * 1000:.1f} ms; then", end=" ")
    print(
        f"{told['median_s'] * 1000:.1f} ms (median of {QUERIES}, slowest {told['slowest_s'] * 1000:.1f} ms);", end=" "
    )
    print(f"memory {told['memory_bytes'] / 1e6:.0f} MB, the mapped file included")


def make_vectors(folder: Path, rows: int, width: int) -> None:
    """A file as `pipeline.search.matrix` makes it."""
    import numpy as np

    random = np.random.default_rng(1)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (rows, width))
    for start in range(0, rows, BLOCK):
        block = random.normal(size=(min(BLOCK, rows - start), width)).astype(np.float32)
        vectors[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    vectors.flush()
    np.save(folder / "ids.npy", np.array([f"{row:032x}.{0:016x}" for row in range(rows)], "S49"))


def measure_search(folder: str) -> None:
    """Opens the file and searches; prints seconds and the peak of its memory."""
    import resource
    from time import perf_counter

    import numpy as np

    from nightjar.pipeline.search.matrix import map_matrix
    from nightjar.pipeline.search.rank import nearest

    began = perf_counter()
    matrix = map_matrix(Path(folder))
    query = np.array(matrix.vectors[7])
    assert nearest(matrix.vectors, query, 30)[0][0] == 7
    first = perf_counter() - began
    times = []
    for _ in range(QUERIES):
        began = perf_counter()
        nearest(matrix.vectors, query, 30)
        times.append(perf_counter() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {"first_s": first, "median_s": median(times), "slowest_s": max(times), "memory_bytes": memory}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
