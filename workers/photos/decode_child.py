"""The process that opens photos: `python -m nightjar.workers.photos.decode_child`; see `LimitedProcess`."""

from __future__ import annotations

from typing import Any

from nightjar.config.limited_child import answer_questions
from nightjar.workers.photos.decode import read_photo


def main() -> None:
    answer_questions(_answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return read_photo(question["path"], question["wanted"])
    except OSError as error:
        return {"error": error.strerror or str(error)}
    except (ValueError, MemoryError) as error:
        return {"error": str(error) or type(error).__name__}
    except ImportError:
        return {"missing": True}
    except Exception as error:  # a decoder's own fault: this picture's alone
        return {"error": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    main()
