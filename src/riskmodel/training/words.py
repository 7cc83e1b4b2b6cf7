"""Tables as text, for a terminal, a log or a file."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO


def table_text(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int | None = None
) -> str:
    """A table as plain text with aligned columns. Columns from `numbers_from` on are set flush right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="")
    for place, name in enumerate(columns):
        flush = numbers_from is not None and place >= numbers_from
        table.add_column(name, justify="right" if flush else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(
        file=StringIO(), width=400, no_color=True, highlight=False, markup=False, force_jupyter=False
    )
    console.print(table)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
