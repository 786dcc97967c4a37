"""A table that fits its window: words stay whole, empty columns go first, and what is too wide becomes a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
    from rich.table import Table

LONGEST_WORD = 24
"""Beside the first column: a longer one, such as a digest or a path, is folded where there is no room."""
GAP = 3
"""What a column takes beside its cells."""
INDENT = 2
ABSENT = "-"


@dataclass(frozen=True, kw_only=True)
class FittingTable:
    """Rows of plain cells, None for a missing one. Columns whose name ends in ">" are right-aligned.

    The first column names the row and is never folded: it is there to be copied.
    """

    title: str | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        every, filled = range(len(self.columns)), self._filled()
        for chosen, folding in ((every, False), (filled, False), (every, True), (filled, True)):
            widths = self._fitting(chosen, options.max_width, folding=folding)
            if widths is not None:
                yield self._table(chosen, widths)
                return
        yield from self._blocks(options.max_width)

    def _filled(self) -> list[int]:
        """The columns that hold anything."""
        return [at for at in range(len(self.columns)) if at == 0 or any(row[at] is not None for row in self.rows)]

    def _fitting(self, chosen: Sequence[int], room: int, *, folding: bool) -> list[int] | None:
        """A width for each of these columns, at least that of its longest word; None where there is no room.

        `folding`: of a word longer than LONGEST_WORD only so much counts.
        """
        longest = LONGEST_WORD if folding else room
        cells = [[_head(self.columns[at]), *(row[at] or ABSENT for row in self.rows)] for at in chosen]
        widths = [max(map(_cells, column)) for column in cells]
        least = [widths[0], *(min(max(map(_word, column)), longest) for column in cells[1:])]
        room -= GAP * len(chosen)
        if sum(least) > room:
            return None
        while sum(widths) > room:
            widest = max(range(len(widths)), key=lambda at: (widths[at] > least[at], widths[at]))
            widths[widest] -= 1
        return widths

    def _table(self, chosen: Sequence[int], widths: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        shown = None if self.title is None else Text(self.title)
        result = Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for at, width in zip(chosen, widths, strict=True):
            justify: JustifyMethod = "right" if self.columns[at].endswith(">") else "left"
            head = Text(_head(self.columns[at]))
            result.add_column(head, justify=justify, overflow="fold", no_wrap=at == 0, width=width)
        for row in self.rows:
            result.add_row(*(Text(row[at] or ABSENT) for at in chosen))
        return result

    def _blocks(self, room: int) -> RenderResult:
        """A few lines for each row: its name, then what each column says of it, below its head where beside it there is
        no room for a word.
        """
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        heads = [_head(column) for column in self.columns]
        if self.title is not None:
            yield Text(self.title, style="italic")
        beside = INDENT + max(map(_cells, heads[1:]), default=0) + 2 + LONGEST_WORD <= room
        for name, *cells in self.rows:
            yield Text(f"{heads[0]} {name or ABSENT}", style="bold", overflow="fold")
            block = Table.grid(padding=(0, 2))
            for head, cell in zip(heads[1:], cells, strict=True):
                if cell is None:
                    continue
                told = Text(cell, overflow="fold")
                if beside:
                    block.add_row(Text(head, no_wrap=True), told)
                else:
                    block.add_row(Text(head, overflow="fold"))
                    block.add_row(Padding(told, (0, 0, 0, INDENT)))
            yield Padding(block, (0, 0, 0, INDENT))


def _head(column: str) -> str:
    return column.removesuffix(">")


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for line in text.splitlines()), default=0)


def _word(text: str) -> int:
    return max((_cells(word) for word in text.split()), default=0)
