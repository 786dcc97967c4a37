"""The rows of a Parquet file, as data that JSON could hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nightjar.config.errors import SuiteError, UsageError
from nightjar.config.installation import extra_line
from nightjar.pipeline.suites.located import storable, suite_error


def read_parquet(path: Path, limit_bytes: int) -> list[dict[str, Any]]:
    """All rows of a file. Raises UsageError where pyarrow is not installed, SuiteError for a file that is none."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            f"A Parquet file needs pyarrow, which is not installed. Install it with: {extra_line('parquet')}"
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        size = sum(file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups))
        if size > limit_bytes:
            raise suite_error(path.name, None, f"larger than {limit_bytes // 2**20} MiB once it is unpacked.")
        rows: list[dict[str, Any]] = file.read().to_pylist()
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from None
    except pyarrow.ArrowException as error:
        raise suite_error(path.name, None, f"not Parquet: {str(error).splitlines()[0]}.") from None
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or (isinstance(value, bool | int | float | str) and storable(value) is None):
        return value
    return str(value)
