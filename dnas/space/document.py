# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""JSON documents of spaces: reading what a stranger wrote, and writing what a person can read."""

import json
from collections.abc import Iterable
from typing import Any

from dnas.space.cell import Cell, Edge
from dnas.space.checks import SpaceError, check, is_int, show


def parse(text: str) -> Any:
  """The JSON value of `text`.

  Raises:
    SpaceError: not JSON, or an object that names a field twice.
  """
  try:
    return json.loads(text, object_pairs_hook=_no_twins)
  except SpaceError:
    raise
  except (ValueError, RecursionError) as error:  # ValueError: also a number of 4,301 digits
    raise SpaceError(f"not JSON: {error}") from None


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  entries = dict(pairs)
  if len(entries) < len(pairs):
    names = [name for name, _ in pairs]
    twin = next(name for name in names if names.count(name) > 1)
    raise SpaceError(f"{show(twin)}: stands twice in one object")
  return entries


def fields_of(value: Any, valid: Iterable[str], required: Iterable[str], field: str) -> dict:
  """A JSON object as a dict; SpaceError for a field that is unknown or missing."""
  check(isinstance(value, dict), field, f"must be an object, got {show(value)}")
  unknown = sorted(set(value) - set(valid))
  check(not unknown, field, f"has unknown fields {show(unknown)}; valid: {sorted(valid)}")
  missing = sorted(set(required) - set(value))
  check(not missing, field, f"lacks {missing}")
  return dict(value)


def list_of(value: Any, field: str) -> list:
  """A JSON list; SpaceError for anything else."""
  check(isinstance(value, list), field, f"must be a list, got {show(value)}")
  return value


def write_cell(cell: Cell) -> dict[str, Any]:
  """A cell as a JSON object."""
  return {
    "inputs": cell.inputs,
    "edges": [{"src": e.src, "dst": e.dst, "ops": list(e.ops)} for e in cell.edges],
    "output": list(cell.output),
    "keep": cell.keep,
  }


def read_cell(value: Any, field: str) -> Cell:
  """The inverse of `write_cell`.

  Raises:
    SpaceError: a field below `field` is missing, unknown or malformed.
  """
  fields = fields_of(
    value, {"inputs", "edges", "output", "keep"}, {"inputs", "edges", "output"}, field
  )
  edges = []
  for i, edge in enumerate(list_of(fields["edges"], f"{field}.edges")):
    names = ("src", "dst", "ops")
    entry = fields_of(edge, names, names, f"{field}.edges[{i}]")
    ops = list_of(entry["ops"], f"{field}.edges[{i}].ops")
    for op in ops:
      check(isinstance(op, str), f"{field}.edges[{i}].ops", f"must hold names, got {show(op)}")
    edges.append(Edge(entry["src"], entry["dst"], tuple(ops)))
  output = list_of(fields["output"], f"{field}.output")
  for node in output:
    check(is_int(node), f"{field}.output", f"must hold node numbers, got {show(node)}")
  try:
    return Cell(fields["inputs"], tuple(edges), tuple(output), fields.get("keep"))
  except SpaceError as error:  # a Cell alone does not know its name
    raise SpaceError(str(error).replace("cell", field, 1)) from None


def pretty(value: Any, indent: int = 0) -> str:
  """JSON text with one line for each object that holds no further object."""
  pad = "  " * (indent + 1)
  nested = isinstance(value, dict | list) and any(
    isinstance(v, dict) for v in (value.values() if isinstance(value, dict) else value)
  )
  if not nested:
    return json.dumps(value)
  if isinstance(value, dict):
    body = [f"{pad}{json.dumps(k)}: {pretty(v, indent + 1)}" for k, v in value.items()]
    return "{\n" + ",\n".join(body) + "\n" + "  " * indent + "}"
  body = [pad + pretty(v, indent + 1) for v in value]
  return "[\n" + ",\n".join(body) + "\n" + "  " * indent + "]"
