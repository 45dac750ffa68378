# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pages for the terminal: tables of words and numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
  """A table without lines; numbers stand to the right, a row called `total` in bold.

  Args:
    columns: their names.
    rows: of words, whole numbers (1,234) and others (0.123).
  """
  made = Table(*columns, box=None, pad_edge=False, header_style="bold")
  for n, column in enumerate(made.columns):
    if any(not isinstance(row[n], str) for row in rows):
      column.justify = "right"
  for row in rows:
    made.add_row(*map(_text, row), style="bold" if row[0] == "total" else None)
  return made


def _text(value: Any) -> Text:
  if isinstance(value, str):
    return Text(value)
  return Text(f"{value:.3f}" if isinstance(value, float) else f"{value:,}")


def results(values: Mapping[str, Any]) -> None:
  """Prints each value after its name, a line each; fractions with four digits."""
  for name, value in values.items():
    print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")


def show(page: Group) -> None:
  """Prints a page; lines are not broken where the output is no terminal."""
  console = Console(highlight=False)
  if not console.is_terminal:
    console = Console(highlight=False, width=10_000)
  console.print(page)
