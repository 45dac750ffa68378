# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Mutants are broken in one place, and what nobody computes is left alone."""

import ast

import pytest

from dnas.tables import mutants


def found(source):
  return {(m.kind, m.before, m.after) for m in mutants.mutants(source)}


@pytest.mark.parametrize(
  ("source", "before", "after"),
  [
    ("x = a <= b", "a <= b", "(a < b)"),
    ("x = a is None", "a is None", "(a is not None)"),
    ("x = a not in b", "a not in b", "(a in b)"),
    ("x = (a + b) * c", "a + b", "(a - b)"),
    ("x = (a + b) * c", "(a + b) * c", "((a + b) / c)"),
    ("x = a or b", "a or b", "(a and b)"),
    ("x = -a", "-a", "a"),
    ("x = 1.5", "1.5", "2.5"),
    ("def f(a=True): pass", "True", "False"),
    ("if a: b()", "a", "not (a)"),
    ("x = 1 if a else b", "a", "not (a)"),
    ("def f(): return g(1)", "return g(1)", "return None"),
    ("for x in y: continue", "continue", "pass"),
    ("if a: raise E('x')", "raise E('x')", "pass"),
    ("f(x)", "f(x)", "pass"),
    ("x[i] = y", "x[i] = y", "pass"),
    ("x += y", "x += y", "pass"),
  ],
)
def test_what_is_broken(source, before, after):
  assert (before, after) in {
    pair for _, *pair in map(list, found(source)) for pair in [tuple(pair)]
  }


@pytest.mark.parametrize(
  "source",
  [
    '"""Docstring 1."""',
    'def f():\n  """Docstring."""',
    "x: Literal[1]",
    "def f(x: Literal[1]) -> Literal[2]: pass",
    "@cache(1)\ndef f(): pass",
    "if TYPE_CHECKING:\n  f(1)",
    "x = f'{a + 1}'",
    "x = 'a' + b",
    "T = A | B",
    "return None",
    "x = y",
  ],
)
def test_what_is_left_alone(source):
  assert found(source) == set()


def test_a_message_is_left_alone_but_not_that_it_is_raised():
  assert found("raise E(1 + 2)") == {("error not raised", "raise E(1 + 2)", "pass")}


def test_one_place_differs_and_it_is_python_still():
  source = "def f(é, n=2):\n  return 'ä' if é[0] < n else -é[0]  # ü\n"
  for mutant in mutants.mutants(source):
    broken = mutant.apply(source)
    ast.parse(broken)
    assert broken.encode().replace(mutant.after.encode(), b"", 1) != source.encode()
    start, end = mutant.span
    assert source.encode()[start:end].decode() == mutant.before
    assert broken.encode()[:start] == source.encode()[:start]
    assert broken.endswith(source.encode()[end:].decode())


def test_the_draw():
  source = "".join(f"x{i} = y + {i}\n" for i in range(30))
  drawn = mutants.choose(source, 10, seed=0)
  assert len({mutant.line for mutant in drawn}) == len(drawn) == 10
  assert [m.line for m in drawn] == sorted(m.line for m in drawn)
  assert mutants.choose(source, 10, seed=1) != drawn
  assert len(mutants.choose(source, 99, seed=0)) == 30
  # A line more elsewhere, and the same are drawn.
  keys = [mutant.key for mutant in drawn]
  assert [mutant.key for mutant in mutants.choose("import a\n" + source, 10, seed=0)] == keys


def test_equal_lines_are_told_apart():
  assert [m.nth for m in mutants.mutants("f(x)\nf(x)\n")] == [0, 1]
