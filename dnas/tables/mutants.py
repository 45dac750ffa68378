# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Mutants of a module: its source with one thing broken, for tests that should notice.

What is said to readers and checkers of types is left alone: docstrings, messages of errors,
annotations, strings.

>>> source = "def least(a, b):\\n  return a if a < b else b\\n"
>>> for mutant in mutants(source):
...   print(mutant.line, mutant.kind, "|", mutant.before, "->", mutant.after)
2 return dropped | return a if a < b else b -> return None
2 condition negated | a < b -> not (a < b)
2 comparison changed | a < b -> (a <= b)
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_COMPARED = {
  **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
  **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
  **{ast.In: ast.NotIn, ast.NotIn: ast.In},
}
# No `|`, which joins types as well.
_COMPUTED = {
  **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
  **{ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Add},
}
_TYPES = (ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.arg)


class Mutant(NamedTuple):
  """One thing that is broken.

  Attributes:
    line: where it begins, from 1.
    text: of that line, without the space around it.
    kind: what was done.
    before, after: the source that is replaced, and by what.
    nth: which of the mutants that are alike in all that but `line`.
    span: of `before` in the UTF-8 bytes of the source.
  """

  line: int
  text: str
  kind: str
  before: str
  after: str
  nth: int
  span: tuple[int, int]

  @property
  def key(self) -> tuple[str, str, str, str, int]:
    """What it is known by while other lines of its module change."""
    return self.text, self.kind, self.before, self.after, self.nth

  def apply(self, source: str) -> str:
    """The broken source."""
    data, (start, end) = source.encode(), self.span
    return (data[:start] + self.after.encode() + data[end:]).decode()


def mutants(source: str) -> list[Mutant]:
  """All mutants of a module, in the order of their lines."""
  lines = source.encode().splitlines(keepends=True)
  starts = [0]
  for line in lines:
    starts.append(starts[-1] + len(line))
  found, seen = [], Counter()
  for node, kind, after in _broken(ast.parse(source)):
    start = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
    before = source.encode()[start:end].decode()
    text = lines[node.lineno - 1].decode().strip()
    alike = text, kind, before, after
    found.append(Mutant(node.lineno, *alike, seen[alike], (start, end)))
    seen[alike] += 1
  return sorted(found, key=lambda mutant: mutant.line)


def choose(source: str, count: int, seed: int) -> list[Mutant]:
  """`count` mutants on as many lines, drawn by the seed; all lines that have one if they are fewer.

  A mutant's place in the draw depends on itself and the seed only: where other lines of a module
  change, the same ones are drawn again.
  """
  draw = lambda mutant: hashlib.sha256(repr((seed, mutant.key)).encode()).digest()
  chosen: dict[int, Mutant] = {}
  for mutant in sorted(mutants(source), key=draw):
    if len(chosen) < count:
      chosen.setdefault(mutant.line, mutant)
  return [chosen[line] for line in sorted(chosen)]


def _broken(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
  """(node, what is done to it, the source in its place) for the node and all below it."""
  if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.If) and _for_types(node.test)):
    return
  if isinstance(node, ast.expr):
    yield from _expression(node)
  if isinstance(node, ast.stmt):
    yield from _statement(node)
  if isinstance(node, ast.Raise):  # the rest of it is its message
    return
  for name, value in ast.iter_fields(node):
    if name in ("annotation", "returns", "decorator_list", "bases") and isinstance(node, _TYPES):
      continue
    for child in value if isinstance(value, list) else [value]:
      if isinstance(child, ast.AST):
        yield from _broken(child)


def _statement(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
  match node:
    case ast.If(test=test) | ast.While(test=test):
      yield test, "condition negated", _negated(test)
    case ast.Return(value=ast.expr() as value) if not _is_none(value):
      yield node, "return dropped", "return None"
    case ast.Raise():
      yield node, "error not raised", "pass"
    case ast.Continue() | ast.Break():
      yield node, "statement deleted", "pass"
    case ast.Expr(value=ast.Call()) | ast.AugAssign():
      yield node, "statement deleted", "pass"
    # Where a name is bound, all that uses it fails: nothing is learnt from that.
    case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
      yield node, "statement deleted", "pass"


def _expression(node: ast.expr) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
  match node:
    case ast.IfExp(test=test):
      yield test, "condition negated", _negated(test)
    case ast.Compare(left=left, ops=ops, comparators=right):
      for i, op in enumerate(ops):
        other = [*ops[:i], _COMPARED[type(op)](), *ops[i + 1 :]]
        yield node, "comparison changed", _source(ast.Compare(left, other, right))
    case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTED:
      if not any(isinstance(x, ast.JoinedStr) or _is_text(x) for x in (left, right)):
        yield node, "arithmetic changed", _source(ast.BinOp(left, _COMPUTED[type(op)](), right))
    case ast.BoolOp(op=op, values=values):
      other = ast.Or() if isinstance(op, ast.And) else ast.And()
      yield node, "and, or exchanged", _source(ast.BoolOp(other, values))
    case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
      yield node, "sign or not dropped", _source(operand)
    case ast.Constant(value=bool() as value):
      yield node, "constant changed", repr(not value)
    case ast.Constant(value=int() | float() as value):
      yield node, "constant changed", repr(value + 1)


def _source(node: ast.expr) -> str:
  """In brackets where it might bind differently in its new place."""
  text = ast.unparse(node)
  return text if isinstance(node, ast.Constant | ast.Name | ast.Call) else f"({text})"


def _negated(test: ast.expr) -> str:
  return f"not ({ast.unparse(test)})"


def _for_types(test: ast.expr) -> bool:
  return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _is_none(value: ast.expr) -> bool:
  return isinstance(value, ast.Constant) and value.value is None


def _is_text(value: ast.expr) -> bool:
  return isinstance(value, ast.Constant) and isinstance(value.value, str)
