# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Names resolve in one module, and every mistake lists what is valid."""

import types

import pytest
from ml_collections import ConfigDict

from dnas import naming
from dnas.errors import ConfigError, DnasError


@pytest.fixture(scope="module")
def module():
  """A module with two plain functions, three factories, and things that are no choice."""
  module = types.ModuleType("my_methods")
  source = (
    "import math\n"
    "from math import sqrt\n"
    "class Helper: pass\n"
    "def _private(): pass\n"
    "def softmax(key, logits, progress): return logits\n"
    "def gumbel(key, logits, progress, *, tau_start=5.0, tau_end=0.1): return tau_start, tau_end\n"
    "def first_order(): return 'first'\n"
    "def unrolled(lr, steps=1, momentum=0.0): return (lr, steps, momentum)\n"
    "def neumann(steps, lr=0.1): return ('neumann', steps, lr)\n"
    "def implicit(solve): return ('implicit', solve)\n"
    "def anything(**arguments): return arguments\n"
  )
  exec(source, vars(module))
  return module


def test_only_public_functions_of_the_module_itself_have_names(module):
  assert sorted(naming.functions(module)) == [
    "anything",
    "first_order",
    "gumbel",
    "implicit",
    "neumann",
    "softmax",
    "unrolled",
  ]


@pytest.mark.parametrize(
  "spec",
  [
    dict(name="gumbel", tau_start=2.0),
    ConfigDict(dict(name="gumbel", tau_start=2.0)),
    ConfigDict(dict(name="gumbel", tau_start=2.0)).lock(),
  ],
)
def test_resolve_binds_the_arguments_and_leaves_the_rest(module, spec):
  relax = naming.resolve(spec, module, given=3)
  assert relax(0, [1.0], 0.5) == (2.0, 0.1)
  assert relax.keywords == {"tau_start": 2.0}


def test_a_bare_name_is_enough(module):
  assert naming.resolve("softmax", module)(0, [1.0], 0.0) == [1.0]


def test_unknown_name_lists_what_there_is(module):
  with pytest.raises(ConfigError, match=r"'gumble'; did you mean 'gumbel'\?.*softmax"):
    naming.resolve("gumble", module)


def test_unknown_argument_lists_those_it_takes(module):
  with pytest.raises(ConfigError, match=r"'tau'; did you.*tau_end.*tau_start"):
    naming.resolve(dict(name="gumbel", tau=1.0), module)


def test_arguments_of_the_caller_cannot_be_set(module):
  with pytest.raises(ConfigError, match=r"'logits'.*Valid: tau_end, tau_start"):
    naming.resolve(dict(name="gumbel", logits=1.0), module, given=3)


def test_missing_argument_is_named(module):
  with pytest.raises(ConfigError, match="neumann needs a value for: steps"):
    naming.resolve("neumann", module, given=0)
  with pytest.raises(ConfigError, match="unrolled needs a value for: lr"):
    naming.bind("unrolled", module)


def test_errors_begin_with_the_field_that_the_entry_stands_in(module):
  for spec in ("gumble", dict(name="gumbel", tau=1.0), "neumann", None):
    with pytest.raises(ConfigError, match=r"^config\.a\.b: "):
      naming.bind(spec, module, field="config.a.b")
  with pytest.raises(ConfigError, match=r"^config\.a\.b: unknown name in my_methods: 'gumble'"):
    naming.resolve("gumble", module, field="config.a.b")


def test_an_error_of_a_factory_begins_with_the_field_unless_it_names_it(module, monkeypatch):
  def odd(text):
    raise DnasError(text)

  monkeypatch.setattr(module, "odd", odd, raising=False)
  odd.__module__ = module.__name__
  told = {
    "odd: text is odd": "config.a.b: odd: text is odd",
    "config.c: is odd": "config.c: is odd",
    "unknown config.a.b.text: 3": "unknown config.a.b.text: 3",
  }
  for text, expected in told.items():
    with pytest.raises(DnasError) as raised:
      naming.bind(dict(name="odd", text=text), module, field="config.a.b")
    assert str(raised.value) == expected


@pytest.mark.parametrize("spec", [None, 3, {}, dict(tau=1.0), ["softmax"]])
def test_what_is_no_entry_has_no_name(spec):
  assert naming.name_of(spec) is None


@pytest.mark.parametrize("spec", [None, 3, {}, dict(name=3), dict(tau=1.0), ["softmax"]])
def test_what_is_no_entry_is_an_error(module, spec):
  with pytest.raises(ConfigError, match=r"names no function of my_methods.*softmax"):
    naming.resolve(spec, module)


def test_functions_with_var_keywords_take_anything(module):
  assert naming.bind(dict(name="anything", a=1), module) == {"a": 1}


def test_bind_offers_values_to_those_that_take_them(module):
  assert naming.bind("first_order", module, lr=0.1, momentum=0.9) == "first"
  assert naming.bind("unrolled", module, lr=0.1, momentum=0.9) == (0.1, 1, 0.9)
  assert naming.bind(dict(name="unrolled", lr=0.3), module, lr=0.1) == (0.3, 1, 0.0)
  assert naming.bind(dict(name="unrolled", steps=3), module, 0.2, momentum=0.5) == (0.2, 3, 0.5)


def test_nested_entries_are_called_once_nothing_is_open(module):
  spec = dict(name="implicit", solve=dict(name="neumann", steps=5))
  assert naming.bind(spec, module) == ("implicit", ("neumann", 5, 0.1))
  spec = dict(name="implicit", solve=dict(name="gumbel", tau_end=1.0))
  _, inner = naming.bind(spec, module)
  assert inner(0, 0, 0) == (5.0, 1.0)
  with pytest.raises(ConfigError, match="'neuman'; did you mean 'neumann'"):
    naming.resolve(dict(name="implicit", solve=dict(name="neuman")), module)


def test_dotted_paths_reach_a_users_own_function(module, user_folder):
  (user_folder / "my_lab").mkdir()
  (user_folder / "my_lab" / "ops.py").write_text("def my_op(x, *, k=1):\n  return x * k\n")
  (user_folder / "my_lab" / "broken.py").write_text("import not_there_at_all\n")
  assert naming.resolve(dict(name="my_lab.ops.my_op", k=3), module, given=1)(2) == 6
  with pytest.raises(ConfigError, match="'my_opp'; did you mean 'my_op'"):
    naming.resolve("my_lab.ops.my_opp", module)
  with pytest.raises(ConfigError, match=r"no module 'my_lab.opps'.*PYTHONPATH"):
    naming.resolve("my_lab.opps.my_op", module)
  with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
    naming.resolve("my_lab.broken.f", module)  # Theirs to mend, with its traceback.


@pytest.mark.parametrize("path", ["os.system", "builtins.eval", "subprocess.run", "posix.system"])
def test_the_standard_library_cannot_be_named(module, path):
  with pytest.raises(ConfigError, match="standard library"):
    naming.resolve(path, module)


@pytest.mark.parametrize("path", [".", "a.", ".b", "a..b", "a b.c", "../x.py"])
def test_what_is_no_dotted_path(module, path):
  with pytest.raises(ConfigError, match="no dotted path"):
    naming.resolve(path, module)
