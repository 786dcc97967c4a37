"""What every stored document is: beanie's `Document`, of which the type checker sees which attributes it has.

Beanie's class answers any name as far as types go (it defines `__getattribute__`), so that a field that was moved or
removed would go unnoticed until somebody reads it. Methods that the type checker finds only by that are declared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from beanie import Document

if TYPE_CHECKING:

    class StoredDocument(Document):
        def __getattribute__(self, name: str) -> None:
            """Of an attribute that is declared nowhere; there is none, so that any use of it is an error."""

        def model_copy(self, *, update: Any = None, deep: bool = False) -> Self: ...

        def model_dump(self, **options: Any) -> dict[str, Any]: ...
else:
    StoredDocument = Document
