# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A result table as files: `table.csv`, Markdown that follows from it, and where it comes from."""

import csv
import hashlib
import importlib.metadata
import io
import json
import math
import os
import pathlib
import platform
import subprocess
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy import stats

from dnas import files
from dnas.cost.latency import processor

Row = Mapping[str, Any]

NASBENCH201 = "nasbench201_table.csv.gz"
"""In the folder of the data: what training each of NAS-Bench-201's cells gave."""


def interval(values: Sequence[float]) -> tuple[float, float, float]:
  """Mean, sample standard deviation, half width of the 95 % t-interval; NaN where one value is."""
  x = np.asarray(values, np.float64)
  if len(x) < 2:
    return float(x.mean()), math.nan, math.nan
  deviation = float(x.std(ddof=1))
  half = float(stats.t.ppf(0.975, len(x) - 1)) * deviation / math.sqrt(len(x))
  return float(x.mean()), deviation, half


def paired(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
  """Mean of a - b, half width of its 95 % t-interval, and p of the paired t-test (two-sided).

  The last is NaN of less than two pairs, and where all differences are equal.

  Args:
    a: values of one method, a seed each.
    b: of another, with the same seeds.
  """
  differences = np.subtract(a, b)
  mean, deviation, half = interval(differences.tolist())
  # Differences that are equal up to the rounding of the values make a t of any size.
  tested = deviation > 1e-12 * max(np.abs([a, b]).max(), 1e-300)
  return mean, half, float(stats.ttest_rel(a, b).pvalue) if tested else math.nan


def spearman(a: np.ndarray, b: np.ndarray) -> float:
  """Spearman's rank correlation; NaN where all values of one are equal."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", stats.ConstantInputWarning)
    found: Any = stats.spearmanr(a, b)
  return float(found[0])


def kendall(a: np.ndarray, b: np.ndarray) -> float:
  """Kendall's tau-b; NaN where all values of one are equal."""
  found: Any = stats.kendalltau(a, b)
  return float(found[0])


def bootstrapped(
  value: Callable[[np.ndarray, np.ndarray], float], a: np.ndarray, b: np.ndarray, draws: int = 200
) -> tuple[float, float]:
  """value(a, b), and its standard deviation over so many samples of the pairs, NaN left out."""
  rng, n = np.random.default_rng(0), len(a)
  drawn = [rng.integers(0, n, n) for _ in range(draws)]
  return value(a, b), float(np.nanstd([value(a[i], b[i]) for i in drawn], ddof=1))


def digests(folder: pathlib.Path, names: Iterable[str]) -> dict[str, str]:
  """The SHA-256 of each of these files in the folder, for a provenance."""
  return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def write(folder: pathlib.Path, title: str, rows: Sequence[Row], provenance: Row) -> None:
  """Writes `table.csv`, `README.md` (the table in Markdown) and `provenance.json`.

  Args:
    folder: of the table, made if need be.
    title: stands above the table; more than one line is text below it.
    rows: equal keys each; floats are kept to 6 digits in the CSV and shown with 4.
    provenance: command, seeds and whatever else a reader needs to get the table again; versions,
      commit and hardware are added.
  """
  lines = csv_text(rows)
  files.atomic_write(folder / "table.csv", lines)
  record = {**provenance, **origin()}
  files.atomic_write(folder / "provenance.json", json.dumps(record, indent=2) + "\n")
  files.atomic_write(folder / "README.md", page(title, lines, record))


def page(title: str, csv_lines: str, provenance: Row) -> str:
  """A table's page: title and text, the table of its CSV, and how it was made."""
  heading, _, text = title.partition("\n")
  body = [f"# {heading}", text.strip(), markdown(csv_lines), made_by(provenance)]
  return "\n\n".join(part for part in body if part) + "\n"


def made_by(provenance: Row) -> str:
  """The last line of a table's page, by its provenance; a test holds every page against it."""
  commit = provenance["commit"]
  changed = " The `+`: with changes that were not committed then." if commit.endswith("+") else ""
  return f"Made by `{provenance['command']}` at commit {commit}: `provenance.json`.{changed}"


def csv_text(rows: Sequence[Row]) -> str:
  """Rows of equal keys as CSV, floats with 6 digits."""
  buffer = io.StringIO()
  writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
  writer.writeheader()
  writer.writerows(
    {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows
  )
  return buffer.getvalue()


def markdown(text: str) -> str:
  """The Markdown of a CSV; a test holds every table in the repository against it."""
  header, *rows = csv.reader(io.StringIO(text))
  # NAS-Bench-201's strings are full of bars, which would end a cell of the table.
  show = lambda cell: f"{float(cell):.4g}" if _is_fraction(cell) else cell.replace("|", "\\|")
  lines = [header, ["---"] * len(header), *[[show(cell) for cell in row] for row in rows]]
  return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def origin() -> dict[str, Any]:
  """Commit, versions and hardware of this process; a `+` stands for code that is not committed.

  Tables are no code: those being written, this one among them, do not count.
  """
  names = ("jax", "jaxlib", "flax", "optax", "numpy")
  changed = _git("status", "--short", "--", ".", ":(exclude)paper_results")
  return {
    "commit": _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else ""),
    "python": platform.python_version(),
    "versions": {name: importlib.metadata.version(name) for name in names},
    "hardware": ", ".join([f"{os.cpu_count()} CPU cores", processor(), *_accelerators()]),
  }


def _accelerators() -> list[str]:
  if jax.default_backend() == "cpu":
    return []
  return [f"{jax.device_count()} x {jax.devices()[0].device_kind}"]


def _is_fraction(cell: str) -> bool:
  try:
    return not float(cell).is_integer() or "." in cell
  except ValueError:
    return False


def _git(*arguments: str) -> str:
  root = pathlib.Path(__file__).resolve().parents[2]
  run = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
  return run.stdout.strip() or "unknown" * (arguments[0] == "rev-parse")
