"""Importing a suite that was read, pulled or made, and saying what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightjar.scripts.views.output import emit_json, plain
from nightjar.scripts.views.suites import suite_size, suite_summary

if TYPE_CHECKING:
    from nightjar.jobs.documents import SuiteVersion
    from nightjar.pipeline.suites.content import SuiteContent


@dataclass(frozen=True, kw_only=True)
class StoredSuite:
    """What an import came to. `newest`: the suite's newest version; `same_as`: the one that asks just the same."""

    version: SuiteVersion
    created: bool
    newest: int
    same_as: int | None

    def lines(self) -> list[str]:
        """For people."""
        what = f"Suite {self.version.name!r} version {self.version.version}: {suite_size(self.version)}."
        said = [f"Imported. {what}" if self.created else f"Nothing to do: this content is there already. {what}"]
        if self.same_as is not None:
            said.append(
                f"Models are asked the same as in version {self.same_as}; what replies are counted for, or how the "
                "suite is described, differs."
            )
        if self.newest != self.version.version:
            said.append(
                f"The newest version is {self.newest}; name this one {self.version.name}@{self.version.version} to use "
                "it."
            )
        return said


def store_suite(content: SuiteContent, about: dict[str, Any], *, as_json: bool) -> None:
    """Imports a suite that no file holds, and says so. `about`: further keys of `--json`."""
    stored = stored_suite(content)
    if as_json:
        emit_json({**about, "suite": {**suite_summary(stored.version), "created": stored.created}})
        return
    for line in stored.lines():
        print(plain(line))


def stored_suite(content: SuiteContent) -> StoredSuite:
    """Imports the suite."""
    from nightjar.jobs.lookup import find_suite
    from nightjar.pipeline.suites.importer import asks_the_same_as, import_suite
    from nightjar.scripts.session import open_session, run_async

    async def store() -> StoredSuite:
        async with open_session() as session:
            version, created = await import_suite(content, session.database)
            newest = await find_suite(version.name, session.database)
            same_as = await asks_the_same_as(version) if created else None
            return StoredSuite(version=version, created=created, newest=newest.version, same_as=same_as)

    return run_async(store())


def print_notes(content: SuiteContent) -> None:
    """What was passed over in reading the suite, and what was left out of it."""
    for note in content.notes:
        print(plain(f"Note: {note}"))
    for left_out in content.left_out:
        print(plain(f"Left out: {left_out}"))


def notes_of(content: SuiteContent) -> dict[str, list[str]]:
    """The same, for `--json`."""
    return {"notes": list(content.notes), "left_out": list(content.left_out)}
