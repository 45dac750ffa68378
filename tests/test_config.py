# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Names resolve in one module, overrides have to fit, and every mistake lists what is valid."""

import contextlib
import math
import subprocess
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from dnas import config as lib
from dnas import fields

CONFIG = '''"""A tiny config.

python scripts/search.py --config tiny.py
"""
from ml_collections import ConfigDict

def get_config(variant=None):
  config = ConfigDict()
  config.seed = 0
  config.variant = variant
  config.label = "digits"
  config.search = dict(steps=10, lr=0.5, warm=True, every_minutes=None)
  config.ops = ("none", "skip_connect")
  config.scales = (0.5, 1.0)
  config.sizes = [8, 16]
  config.relaxation = dict(name="gumbel_softmax", tau_start=5.0)
  config.extra = {}
  return config
'''


@pytest.fixture
def file(tmp_path):
  path = tmp_path / "tiny.py"
  path.write_text(CONFIG)
  return path


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


# Names -----------------------------------------------------------------------------------------


def test_only_public_functions_of_the_module_itself_have_names(module):
  assert sorted(lib.functions(module)) == [
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
  relax = lib.resolve(spec, module, given=3)
  assert relax(0, [1.0], 0.5) == (2.0, 0.1)
  assert relax.keywords == {"tau_start": 2.0}


def test_a_bare_name_is_enough(module):
  assert lib.resolve("softmax", module)(0, [1.0], 0.0) == [1.0]


def test_unknown_name_lists_what_there_is(module):
  with pytest.raises(lib.ConfigError, match=r"'gumble'; did you mean 'gumbel'\?.*softmax"):
    lib.resolve("gumble", module)


def test_unknown_argument_lists_those_it_takes(module):
  with pytest.raises(lib.ConfigError, match=r"'tau'; did you.*tau_end.*tau_start"):
    lib.resolve(dict(name="gumbel", tau=1.0), module)


def test_arguments_of_the_caller_cannot_be_set(module):
  with pytest.raises(lib.ConfigError, match=r"'logits'.*Valid: tau_end, tau_start"):
    lib.resolve(dict(name="gumbel", logits=1.0), module, given=3)


def test_missing_argument_is_named(module):
  with pytest.raises(lib.ConfigError, match="neumann needs a value for: steps"):
    lib.resolve("neumann", module, given=0)
  with pytest.raises(lib.ConfigError, match="unrolled needs a value for: lr"):
    lib.bind("unrolled", module)


@pytest.mark.parametrize("spec", [None, 3, {}, dict(name=3), dict(tau=1.0), ["softmax"]])
def test_what_is_no_entry_is_an_error(module, spec):
  with pytest.raises(lib.ConfigError, match=r"names no function of my_methods.*softmax"):
    lib.resolve(spec, module)


def test_functions_with_var_keywords_take_anything(module):
  assert lib.bind(dict(name="anything", a=1), module) == {"a": 1}


def test_bind_offers_values_to_those_that_take_them(module):
  assert lib.bind("first_order", module, lr=0.1, momentum=0.9) == "first"
  assert lib.bind("unrolled", module, lr=0.1, momentum=0.9) == (0.1, 1, 0.9)
  assert lib.bind(dict(name="unrolled", lr=0.3), module, lr=0.1) == (0.3, 1, 0.0)
  assert lib.bind(dict(name="unrolled", steps=3), module, 0.2, momentum=0.5) == (0.2, 3, 0.5)


def test_nested_entries_are_called_once_nothing_is_open(module):
  spec = dict(name="implicit", solve=dict(name="neumann", steps=5))
  assert lib.bind(spec, module) == ("implicit", ("neumann", 5, 0.1))
  spec = dict(name="implicit", solve=dict(name="gumbel", tau_end=1.0))
  _, inner = lib.bind(spec, module)
  assert inner(0, 0, 0) == (5.0, 1.0)
  with pytest.raises(lib.ConfigError, match="'neuman'; did you mean 'neumann'"):
    lib.resolve(dict(name="implicit", solve=dict(name="neuman")), module)


def test_dotted_paths_reach_a_users_own_function(module, user_folder):
  (user_folder / "my_lab").mkdir()
  (user_folder / "my_lab" / "ops.py").write_text("def my_op(x, *, k=1):\n  return x * k\n")
  (user_folder / "my_lab" / "broken.py").write_text("import not_there_at_all\n")
  assert lib.resolve(dict(name="my_lab.ops.my_op", k=3), module, given=1)(2) == 6
  with pytest.raises(lib.ConfigError, match="'my_opp'; did you mean 'my_op'"):
    lib.resolve("my_lab.ops.my_opp", module)
  with pytest.raises(lib.ConfigError, match=r"no module 'my_lab.opps'.*PYTHONPATH"):
    lib.resolve("my_lab.opps.my_op", module)
  with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
    lib.resolve("my_lab.broken.f", module)  # Theirs to mend, with its traceback.


@pytest.mark.parametrize("path", ["os.system", "builtins.eval", "subprocess.run", "posix.system"])
def test_the_standard_library_cannot_be_named(module, path):
  with pytest.raises(lib.ConfigError, match="standard library"):
    lib.resolve(path, module)


@pytest.mark.parametrize("path", [".", "a.", ".b", "a..b", "a b.c", "../x.py"])
def test_what_is_no_dotted_path(module, path):
  with pytest.raises(lib.ConfigError, match="no dotted path"):
    lib.resolve(path, module)


# Files and overrides ---------------------------------------------------------------------------


@pytest.mark.parametrize(
  ("override", "field", "value"),
  [
    ("--config.search.steps=20", "search.steps", 20),
    ("config.search.steps=-1", "search.steps", -1),
    ("search.lr=1", "search.lr", 1.0),
    ("search.lr=1e-3", "search.lr", 1e-3),
    ("search.lr=inf", "search.lr", math.inf),
    ("search.warm=false", "search.warm", False),
    ("search.warm=True", "search.warm", True),
    ("search.every_minutes=2.5", "search.every_minutes", 2.5),
    ("search.every_minutes=often", "search.every_minutes", "often"),
    ("label=3", "label", "3"),
    ("label=a=b", "label", "a=b"),
    ("label=", "label", ""),
    ("ops=('max_pool_3x3',)", "ops", ("max_pool_3x3",)),
    ("ops=()", "ops", ()),
    ("scales=1,2,3", "scales", (1.0, 2.0, 3.0)),
    ("sizes=(4,)", "sizes", [4]),
    ("relaxation=softmax", "relaxation", {"name": "softmax"}),
    ("relaxation={'name': 'x', 'k': 1}", "relaxation", {"name": "x", "k": 1}),
    ("relaxation=None", "relaxation", None),
    ("relaxation.tau_end=0.5", "relaxation.tau_end", 0.5),
    ("extra={'a': 1}", "extra", {"a": 1}),
  ],
)
def test_overrides_that_fit(file, override, field, value):
  at = lib.load(file, [override])
  for key in field.split("."):
    at = at[key]
  at = fields.plain(at)
  assert at == value
  assert type(at) is type(value)


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("search.steps=1.5", "config.search.steps = '1.5': expected an integer; the config has 10"),
    ("search.steps=True", "expected an integer"),
    ("search.steps=None", "expected an integer"),
    ("search.lr=fast", "expected a number"),
    ("search.lr=True", "expected a number"),
    ("search.warm=1", "expected true or false"),
    ("search.warm=yes", "expected true or false"),
    ("search=3", "config.search is a section.*every_minutes, lr, steps, warm"),
    ("scales=0.5", "expected a tuple such as"),
    ("scales=(0.5, 'a')", "expected a number"),
    ("ops=(1, 2)", "expected a string"),
    ("ops=a,b", r"expected a tuple such as .*\('a', 'b'\)"),
    ("sizes=[1.5]", "expected an integer"),
    ("relaxation=3", "expected a function"),
    ("relaxation={'tau': 3}", "expected a function"),
    ("serch.steps=3", "unknown field of config: 'serch'; did you mean 'search'.*relaxation"),
    ("search.step=3", "unknown field of config.search: 'step'; did you mean 'steps'.*lr"),
    ("seed.x=3", "config.seed is 0, which has no fields"),
    ("seed", "'seed' sets nothing"),
    ("=3", "unknown field of config: ''"),
  ],
)
def test_overrides_that_do_not_fit(file, override, message):
  with pytest.raises(lib.ConfigError, match=message):
    lib.load(file, [override])


def test_overrides_may_be_a_mapping_of_python_values(file):
  config = lib.load(file, {"search.lr": 2, "ops": ["none"], "relaxation": dict(name="softmax")})
  assert config.search.lr == 2.0
  assert config.ops == ("none",)
  assert config.relaxation.to_dict() == {"name": "softmax"}
  with pytest.raises(lib.ConfigError, match="expected a string"):
    lib.load(file, {"label": 3})


def test_the_config_is_locked(file):
  config = lib.load(file)
  with pytest.raises(AttributeError):
    config.new = 1
  with pytest.raises((AttributeError, KeyError)):
    config.search.new = 1


def test_a_config_takes_an_argument(file):
  assert lib.load(f"{file}:small").variant == "small"


def test_configs_build_on_their_neighbours(file, tmp_path):
  folder = tmp_path / "neighbours"
  folder.mkdir()
  (folder / "base.py").write_text(CONFIG)
  (folder / "derived.py").write_text(
    "from neighbours import base\n"
    "def get_config():\n  config = base.get_config()\n  config.seed = 7\n  return config\n"
  )
  before = list(sys.path)
  assert lib.load(folder / "derived.py").seed == 7
  assert sys.path == before


@pytest.mark.parametrize(
  ("source", "message"),
  [
    ("x = 1\n", r"defines no function get_config\(\)"),
    ("def get_config():\n  return 3\n", "returned int, not a ConfigDict"),
  ],
)
def test_files_that_are_no_configs(tmp_path, source, message):
  (tmp_path / "odd.py").write_text(source)
  with pytest.raises(lib.ConfigError, match=message):
    lib.load(tmp_path / "odd.py")


def test_a_missing_file_lists_those_there_are(file):
  with pytest.raises(lib.ConfigError, match=r"did you mean '.*tiny\.py'"):
    lib.load(file.with_name("tyni.py"))
  file.with_name("text.txt").write_text("")
  with pytest.raises(lib.ConfigError, match="a config is a Python file"):
    lib.load(file.with_name("text.txt"))


def test_an_argument_for_a_config_that_takes_none(tmp_path):
  (tmp_path / "plain.py").write_text(
    "from ml_collections import ConfigDict\ndef get_config():\n  return ConfigDict()\n"
  )
  with pytest.raises(lib.ConfigError, match=r"get_config\(\) takes no argument, so 'x'"):
    lib.load(f"{tmp_path}/plain.py:x")


# JSON and comparison ---------------------------------------------------------------------------


def test_json_round_trip(file, tmp_path):
  config = lib.load(file, ["search.lr=nan"])
  text = lib.to_json(config)
  again = lib.from_json(text)
  assert lib.diff(config, again) == []
  assert lib.to_json(again) == text
  assert again.ops == ("none", "skip_connect")
  (tmp_path / "config.json").write_text(text)
  assert lib.load(tmp_path / "config.json", ["seed=3"]).seed == 3


def test_what_json_cannot_hold_is_named():
  with pytest.raises(lib.ConfigError, match=r"config.a.b = <built-in function len>"):
    lib.to_json({"a": {"b": len}})
  with pytest.raises(lib.ConfigError, match=r"config\.a = "):
    lib.to_json({"a": [{"b": {1, 2}}]})


@pytest.mark.parametrize("text", ["", "[1]", "{", "3", "[" * 10000, '{"a": 1, "a.b": }', "\0"])
def test_text_that_is_no_config(text):
  with pytest.raises(lib.ConfigError, match=r"my\.json"):
    lib.from_json(text, "my.json")


@given(st.text() | st.from_regex(r'[{}\[\]":,0-9a-z.\-\\]{1,40}'))
def test_any_text_is_a_config_or_a_clean_error(text):
  with contextlib.suppress(lib.ConfigError):
    lib.to_json(lib.from_json(text))


def test_diff_names_fields_with_both_values(file):
  old = lib.load(file)
  new = lib.load(file, ["search.steps=20", "relaxation=softmax", "seed=1"])
  assert lib.diff(old, new) == [
    "relaxation.name: 'gumbel_softmax' -> 'softmax'",
    "relaxation.tau_start: 5.0 -> (absent)",
    "search.steps: 10 -> 20",
    "seed: 0 -> 1",
  ]
  assert lib.diff(old, new, ignore=("relaxation", "search.steps", "see")) == ["seed: 0 -> 1"]
  assert lib.diff({"a": 1}, {"a": True}) == ["a: 1 -> True"]
  assert lib.diff({"a": [1, (2,)]}, {"a": (1, [2])}) == []


# Command lines ---------------------------------------------------------------------------------


def test_command_line(file, tmp_path):
  config, workdir, flags = lib.command_line(
    "Searches.",
    ["--config", str(file), "--config.relaxation={'name': 'my soft'}", "--config.seed", "-3"]
    + ["--json", f"--workdir={tmp_path}/out"],
    extra=lambda parser: parser.add_argument("--json", action="store_true"),
  )
  assert config.relaxation.name == "my soft"
  assert config.seed == -3
  assert workdir == tmp_path / "out"
  assert flags.json
  assert lib.command_line("Searches.", [], default=str(file))[1].parts == ("runs", "tiny")


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--config.search.step=3"], "unknown field of config.search: 'step'; did you mean 'steps'"),
    (["--config.search.steps=x"], "expected an integer"),
    (["--config.seed"], "sets nothing"),
    (["--config.seed", "--config.label=x"], "'--config.seed' sets nothing"),
    (["--nonsense"], "unrecognized arguments: --nonsense"),
    (["--workdir"], "expected one argument"),
    (["--config", "missing.py"], "unknown config file: 'missing.py'"),
  ],
)
def test_mistakes_end_with_one_line_and_code_2(file, capsys, arguments, message):
  with pytest.raises(SystemExit) as info:
    lib.command_line("Searches.", arguments, default=str(file))
  assert info.value.code == 2
  out, err = capsys.readouterr()
  assert not out
  assert err.startswith("error: ")
  assert message in err
  assert err.count("\n") == 1


def test_a_config_is_required_where_there_is_no_default(capsys):
  with pytest.raises(SystemExit):
    lib.command_line("Searches.", [])
  assert "--config FILE is required" in capsys.readouterr().err


def test_help_shows_the_docstring_and_all_fields(file, capsys):
  with pytest.raises(SystemExit) as info:
    lib.command_line("Searches.", ["--help", "--config", str(file)])
  assert info.value.code == 0
  out = capsys.readouterr().out
  for part in ("Searches.", "A tiny config.", "--config.search.steps=10", "--config.ops=('none',"):
    assert part in out


def test_a_script_sees_modules_in_the_current_folder(file):
  (file.parent / "my_lab.py").write_text("def my_op():\n  return 'mine'\n")
  code = (
    "import sys, dnas.config as c; del sys.path[0]\n"
    "c.command_line('x', ['--config', 'tiny.py'])\n"
    "print(c.bind('my_lab.my_op', c))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=file.parent, capture_output=True, text=True, check=False
  )
  assert (done.stdout, done.stderr) == ("mine\n", "")


def test_a_changed_config_is_another_one(root):
  config = lib.load(root / "configs" / "digits.py")
  before = lib.to_json(config)
  changed = lib.changed(config, {"search.steps": 7, "search.supernet.partial": 2})
  assert (changed.search.steps, changed.search.supernet.partial) == (7, 2)
  assert lib.to_json(config) == before
  assert changed.is_locked
