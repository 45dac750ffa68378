# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed JSON: the message names the field and nothing but SpaceError comes out."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnas.space import cells, document, genotypes
from dnas.space.cell import SpaceError
from dnas.space.space import SearchSpace

GOOD = json.loads(cells.dense(("skip_connect", "none"), nodes=1, keep=None).to_json())
DELETE = object()


def changed(path, value):
  """A good document as text, with the value at `path` replaced or deleted."""
  tree = json.loads(json.dumps(GOOD))
  entry = tree
  for part in path[:-1]:
    entry = entry[part]
  if value is DELETE:
    del entry[path[-1]]
  else:
    entry[path[-1]] = value
  return json.dumps(tree)


EDGE = ("cells", "cell", "edges", 0)


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    (("schema",), DELETE, "schema: must be 'dnas.space/1', got None"),
    (("schema",), "dnas.space/2", "schema: must be 'dnas.space/1', got 'dnas.space/2'"),
    (("schema",), ["dnas.space/1"], r"schema: must be 'dnas.space/1', got \["),
    (("cells",), DELETE, r"space: lacks \['cells'\]"),
    (("cell",), {}, r"space: has unknown fields \['cell'\]; valid: \['cells', 'final_norm'"),
    (("cells",), [], r"cells: must be an object, got \[\]"),
    (("cells",), {}, "cells: must hold at least one cell"),
    (("cells", ""), GOOD["cells"]["cell"], "cells: must have names, got ''"),
    (("cells", "cell"), 3, "cells.cell: must be an object, got 3"),
    (("cells", "cell", "inputs"), DELETE, r"cells.cell: lacks \['inputs'\]"),
    (("cells", "cell", "inputs"), "1", "cells.cell.inputs: must be 1 or more, got '1'"),
    (("cells", "cell", "inputs"), True, "cells.cell.inputs: must be 1 or more, got True"),
    (("cells", "cell", "inputs"), None, "cells.cell.inputs: must be 1 or more, got None"),
    (("cells", "cell", "inputs"), 10**40, r"cells.cell.edges\[0\].dst: must be 1000"),
    (("cells", "cell", "edges"), {}, r"cells.cell.edges: must be a list, got \{\}"),
    (("cells", "cell", "edges"), [], "cells.cell.edges: must be 1 to 500, got 0"),
    (("cells", "cell", "edges"), None, "cells.cell.edges: must be a list, got None"),
    (("cells", "cell", "edges"), [[0, 1, ["a"]]], r"cells.cell.edges\[0\]: must be an object"),
    (("cells", "cell", "output"), 1, "cells.cell.output: must be a list, got 1"),
    (("cells", "cell", "output"), [True], "cells.cell.output: must hold node numbers, got True"),
    (("cells", "cell", "output"), [float("nan")], "cells.cell.output: must hold .* got nan"),
    (("cells", "cell", "output"), [[1]], r"cells.cell.output: must hold node numbers, got \[1\]"),
    (("cells", "cell", "output"), [7], "cells.cell.output: must hold nodes 1 to 1, got 7"),
    (("cells", "cell", "keep"), 1.5, "cells.cell.keep: must be 1 or more, or None, got 1.5"),
    (("cells", "cell", "keep"), False, "cells.cell.keep: must be 1 or more, or None, got False"),
    (("cells", "cell", "nodes"), 3, r"cells.cell: has unknown fields \['nodes'\]; valid: \['ed"),
    ((*EDGE, "ops"), "skip_connect", r"cells.cell.edges\[0\].ops: must be a list, got 'skip"),
    ((*EDGE, "ops"), {"a": 1}, r"cells.cell.edges\[0\].ops: must be a list, got"),
    ((*EDGE, "ops"), [], r"cells.cell.edges\[0\].ops: must name at least one operation"),
    ((*EDGE, "ops"), [["a"]], r"cells.cell.edges\[0\].ops: must hold names, got \['a'\]"),
    ((*EDGE, "ops"), [None], r"cells.cell.edges\[0\].ops: must hold names, got None"),
    ((*EDGE, "ops"), ["a", "a"], r"cells.cell.edges\[0\].ops: repeats a name"),
    ((*EDGE, "src"), DELETE, r"cells.cell.edges\[0\]: lacks \['src'\]"),
    ((*EDGE, "src"), 0.0, r"cells.cell.edges\[0\].src: must be 0 or more, got 0.0"),
    ((*EDGE, "src"), float("inf"), r"cells.cell.edges\[0\].src: must be 0 or more, got inf"),
    ((*EDGE, "dst"), False, r"cells.cell.edges\[0\].dst: must be 1 or more .* got False"),
    ((*EDGE, "dst"), {"a": []}, r"cells.cell.edges\[0\].dst: must be 1 or more"),
    ((*EDGE, "weight"), 1, r"cells.cell.edges\[0\]: has unknown fields \['weight'\]"),
    (("stages",), {}, r"stages: must be a list, got \{\}"),
    (("stages",), None, "stages: must be a list, got None"),
    (("stages", 1), "cell", r"stages\[1\]: must be an object, got 'cell'"),
    (("stages", 1, "cell"), ["cell"], r"stages\[1\].cell: \['cell'\] is none of"),
    (("stages", 1, "cell"), "normal", r"stages\[1\].cell: 'normal' is none of"),
    (("stages", 1, "repeats"), DELETE, r"stages\[1\]: lacks \['repeats'\]"),
    (("stages", 1, "repeats"), True, r"stages\[1\].repeats: must be 1 to 10000, got True"),
    (("stages", 1, "channels"), 1e300, r"stages\[1\].channels: must be 1 to 65536, got 1e\+300"),
    (("stages", 1, "stride"), 4, r"stages\[1\].stride: must be 1 or 2, got 4"),
    (("stages", 1, "width"), 4, r"stages\[1\]: has unknown fields \['width'\]; valid: \['cell'"),
    (("stem",), 3, "stem: must be a name, got 3"),
    (("stem_channels",), 2**70, "stem_channels: must be 1 to 65536, got 1180591620717411303424"),
    (("pool_norm",), 1, "pool_norm: must be true or false, got 1"),
    (("final_norm",), None, "final_norm: must be true or false, got None"),
  ],
)
def test_the_message_names_the_field(path, value, message):
  with pytest.raises(SpaceError, match=message):
    SearchSpace.from_json(changed(path, value))


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "not JSON"),
    ("{", "not JSON"),
    ("\ufeff{}", "not JSON"),
    ("[]", r"document: must be a JSON object, got \[\]"),
    ("null", "document: must be a JSON object, got None"),
    ("NaN", "document: must be a JSON object, got nan"),
    ("[" * 100_000, "not JSON"),
    ('{"a":' * 100_000, "not JSON"),
    ("1" * 5000, "not JSON: Exceeds the limit"),
    ('{"schema": "dnas.space/1", "schema": "dnas.space/1"}', "'schema': stands twice"),
  ],
)
def test_not_a_document(text, message):
  with pytest.raises(SpaceError, match=message):
    SearchSpace.from_json(text)


def test_deep_and_long_values_make_short_messages():
  deep = "[" * 400 + "]" * 400
  text = json.dumps(GOOD).replace('"inputs": 1', f'"inputs": {deep}')
  with pytest.raises(SpaceError, match=r"cells\.cell\.inputs") as error:
    SearchSpace.from_json(text)
  assert len(str(error.value)) < 200
  with pytest.raises(SpaceError, match="stem_channels") as error:
    SearchSpace.from_json(changed(("stem_channels",), "x" * 100_000))
  assert len(str(error.value)) < 300


values = st.recursive(
  st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
  lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
  max_leaves=6,
)


def paths(tree, path=()):
  items = tree.items() if isinstance(tree, dict) else enumerate(tree)
  for key, value in items:
    yield (*path, key)
    if isinstance(value, dict | list):
      yield from paths(value, (*path, key))


@given(st.sampled_from(sorted(paths(GOOD), key=str)), values | st.just(DELETE))
@settings(max_examples=300, deadline=None)
def test_any_value_anywhere_is_a_space_or_a_space_error(path, value):
  text = changed(path, value)
  try:
    space = SearchSpace.from_json(text)
  except SpaceError:
    return
  assert SearchSpace.from_json(space.to_json()) == space
  assert space.size >= 1


@given(st.text(max_size=40) | values.map(json.dumps))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_space_or_a_space_error(text):
  for read in (SearchSpace.from_json, genotypes.loads):
    try:
      read(text)
    except SpaceError:
      continue
    pytest.fail(f"{text!r} is no space")


@given(st.lists(values, max_size=4), values, values)
@settings(max_examples=150, deadline=None)
def test_any_darts_genotype_is_a_genotype_or_a_space_error(pairs, concat, extra):
  text = json.dumps({"normal": pairs, "normal_concat": concat, "reduce": extra, "reduce_concat": 1})
  with pytest.raises(SpaceError):
    genotypes.loads(text)


def test_pretty_puts_innermost_objects_on_one_line():
  value = {"a": {"b": [1, 2]}, "c": [{"d": 1}, {"d": 2}], "e": []}
  text = document.pretty(value)
  assert json.loads(text) == value
  assert text.splitlines() == [
    "{",
    '  "a": {"b": [1, 2]},',
    '  "c": [',
    '    {"d": 1},',
    '    {"d": 2}',
    "  ],",
    '  "e": []',
    "}",
  ]
