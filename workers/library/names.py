"""What models are called that no registry names: after their files, and never two files alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from nightjar.jobs.identity import digest
from nightjar.jobs.names import made_name
from nightjar.workers.library.gguf.split import stem

LONGEST_NAME = 128


def name_of_file(path: Path) -> str:
    """A model's name made of its file's alone."""
    return _name(stem(path.name))


def distinct_names(files: Iterable[Path], taken: Collection[str] = ()) -> dict[Path, str]:
    """A name for each file: that of its file, and of its folder too where another file or `taken` has the same."""
    groups: dict[str, list[Path]] = {}
    for path in dict.fromkeys(files):
        groups.setdefault(name_of_file(path), []).append(path)
    names: dict[Path, str] = {}
    for name, twins in groups.items():
        for path in twins:
            alone = len(twins) == 1 and name not in taken
            names[path] = name if alone else _with_folder(path, twins, {*taken, *names.values(), *groups})
    return names


def _with_folder(path: Path, twins: Collection[Path], taken: Collection[str]) -> str:
    """The name with as many of the file's folders as tell it from its twins, nearest first."""
    for depth in range(1, len(path.parts) - 1):
        folders = {twin: twin.parts[-depth - 1 : -1] for twin in twins}
        name = _name("-".join((stem(path.name), *folders[path])))
        if list(folders.values()).count(folders[path]) == 1 and name not in taken:
            return name
    return _name(f"{stem(path.name)}-{digest(str(path))[:8]}")


def _name(text: str) -> str:
    return made_name(text, marks="._:+-", longest=LONGEST_NAME, otherwise="model")
