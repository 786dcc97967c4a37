"""`nightjar run rm NAME --yes`, killed by SIGKILL just before the run's own document goes. Tests run it as a process.

python -m tests.dying_removal NAME
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from nightjar.scripts.cli import main

_delete_one = AsyncCollection.delete_one


async def dying_delete_one(self: AsyncCollection[Any], *arguments: Any, **options: Any) -> Any:
    if self.name == "runs":
        os.kill(os.getpid(), signal.SIGKILL)
    return await _delete_one(self, *arguments, **options)


if __name__ == "__main__":
    AsyncCollection.delete_one = dying_delete_one  # type: ignore[method-assign]
    main(["run", "rm", sys.argv[1], "--yes"])
