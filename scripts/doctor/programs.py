"""The check of `nightjar doctor` on the embedded servers' programs: versions, their age, and where to get others."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nightjar.config.errors import NightjarError
from nightjar.scripts.doctor.check import Check

if TYPE_CHECKING:
    from nightjar.config.programs import Kind, Program
    from nightjar.config.settings import Settings

_REPOSITORY = "add MongoDB's repository (https://www.mongodb.com/docs/manual/administration/install-on-linux), then "
_INSTALL = {
    "debian": {
        "redis-server": "apt-get install redis-server",
        "mongod": _REPOSITORY + "apt-get install mongodb-org-server",
    },
    "fedora": {"redis-server": "dnf install redis", "mongod": _REPOSITORY + "dnf install mongodb-org-server"},
    "suse": {"redis-server": "zypper install redis", "mongod": _REPOSITORY + "zypper install mongodb-org-server"},
    "alpine": {"redis-server": "apk add redis"},
    "darwin": {
        "redis-server": "brew install redis",
        "mongod": "brew tap mongodb/brew && brew install mongodb-community",
    },
}
"""By family of distributions and program."""
_FAMILIES = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse", "sles": "suse"}


def program_checks(settings: Settings) -> Iterator[Check]:
    """The programs of the embedded servers, for services without a URL."""
    from nightjar.config.embedded import embedded_kinds
    from nightjar.config.programs import find_program

    for kind in embedded_kinds(settings):
        try:
            program = find_program(kind)
        except NightjarError as error:
            yield Check(name=kind.program, state="problem", found="cannot be used", remedy=str(error))
        else:
            yield _version(kind, program)


def _version(kind: Kind, program: Program) -> Check:
    from nightjar.config.releases import age, series

    old = age(kind.program, program.version, datetime.now(UTC).date())
    found = ", ".join(part for part in (program.version, old, str(program.path)) if part)
    if not program.bundled:
        return Check(name=kind.program, state="fine", found=found)
    remedy = f"It came with a Python package and gets no more fixes. One on PATH is used instead: {install_line(kind)}."
    if not kind.stored:
        remedy += f" Data of {series(program.version)} are taken over by the next major version only."
    return Check(name=kind.program, state="warning", found=found, remedy=remedy)


def install_line(kind: Kind) -> str:
    """How this machine's distribution installs the program."""
    for name in _distributions():
        line = _INSTALL.get(_FAMILIES.get(name, name), {}).get(kind.program)
        if line is not None:
            return line
    return f"install {kind.program} as your system does"


def _distributions() -> list[str]:
    """This system's own name first, then those that it is like."""
    if sys.platform != "linux":
        return [sys.platform]
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return []
    return [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
