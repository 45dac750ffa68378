# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Overrides have to fit, and every mistake lists what is valid."""

import contextlib
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from dnas import config as lib
from dnas import fields, schema

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
    (
      "search={'lr': 1, 'steps': 7}",
      "search",
      {"steps": 7, "lr": 1.0, "warm": True, "every_minutes": None},
    ),
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
    ("search={'lr': 'fast'}", "config.search.lr = 'fast': expected a number"),
    ("search={'step': 3}", "unknown field of config.search: 'step'; did you mean 'steps'"),
    ("extra=3", "config.extra = '3': expected a dict with its fields"),
    ("extra.a=b", "config.extra is empty: give it a dict with its fields, config.extra={'a': 'b'}"),
    ("extra.a=3", "config.extra is empty: give it a dict with its fields, config.extra={'a': 3}"),
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


# The fields that there are ----------------------------------------------------------------------


def whole(**changes):
  sections = dict(
    data=dict(spec="digits", size=(8, 8), train_split="train", augment=(), threads=0),
    checkpoint=dict(every_steps=1, every_minutes=None, keep=1, keep_best=False, max_skipped=1),
    log=dict(every_steps=1, words_every_steps=1),
  )
  return ConfigDict({"seed": 0, "task": dict(name="classification"), **sections, **changes})


def test_fields_at_their_defaults_can_be_set_and_stay_away_where_they_are_set_to_those():
  config = lib.changed(whole(), {"seeds": 2, "mesh.data": 4, "data.interpolation": "nearest"})
  assert schema.get(config, "mesh.data") == 4
  assert schema.get(config, "mesh.seed") == 1
  assert lib.diff(whole(), config) == [
    "data.interpolation: (absent) -> 'nearest'",
    "mesh.data: (absent) -> 4",
    "seeds: (absent) -> 2",
  ]
  assert lib.changed(whole(), {"seeds": "1", "mesh": {"data": -1}}) == whole().lock()
  limited = lib.changed(whole(), {"cost.macs": 1e6})
  assert lib.changed(limited, {"cost.macs": "None"}).cost.macs is None
  with pytest.raises(lib.ConfigError, match=r"config\.seeds = 'x': expected an integer"):
    lib.changed(whole(), {"seeds": "x"})
  with pytest.raises(lib.ConfigError, match=r"unknown field of config\.mesh: 'date'"):
    lib.changed(whole(), {"mesh": {"date": 4}})
  with pytest.raises(lib.ConfigError, match="which has no fields"):
    lib.changed(whole(), {"search.steps": 4})
  assert schema.get(whole(), "train.network") is None
  evaluated = lib.changed(whole(), {"evaluate": {"split": "test", "batch_size": 2}})
  with pytest.raises(lib.ConfigError, match="is a section, which no value can replace"):
    lib.changed(evaluated, {"evaluate": "None"})


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (dict(sed=1), r"unknown field of config: 'sed'; did you mean 'seed'\?"),
    (dict(log=dict(every_steps=1)), r"config\.log: words_every_steps must be set"),
    (dict(mesh=dict(date=1)), r"unknown field of config\.mesh: 'date'"),
    (
      dict(search=dict(strategy="x", steps=1)),
      r"unknown field of config\.search with a strategy: 'steps'",
    ),
    (dict(train=3), "config.train = 3: a section has fields"),
    (dict(log=None), "config.log = None: a section has fields"),
    (dict(task=None), "config.task must be set"),
  ],
)
def test_configs_with_other_fields_than_there_are(changes, message):
  schema.check(whole())
  with pytest.raises(lib.ConfigError, match=r"config\.train must be set"):
    schema.check(whole(), "train")
  with pytest.raises(lib.ConfigError, match=message):
    schema.check(whole(**changes))


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
  assert lib.diff(old, new, only=("seed", "search.lr", "sear")) == ["seed: 0 -> 1"]
  assert lib.diff(old, new, only=("search",)) == ["search.steps: 10 -> 20"]
  assert lib.diff({"a": 1}, {"a": True}) == ["a: 1 -> True"]
  assert lib.diff({"a": [1, (2,)]}, {"a": (1, [2])}) == []


# Command lines ---------------------------------------------------------------------------------


def test_fields_among_the_flags():
  parser = lib.Parser()
  parser.add_argument("--data")
  words = ["--config.a=1", "--data", "x", "--config.b", "-2 3", "--config.c", "--data", "y"]
  flags, overrides = parser.parse(words)
  assert (flags.data, overrides) == ("y", ["--config.a=1", "--config.b=-2 3", "--config.c"])
  assert lib.by_field(overrides[:2]) == {"a": "1", "b": "-2 3"}
  with pytest.raises(lib.ConfigError, match=r"'--config\.c' sets nothing"):
    lib.by_field(overrides)


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
  assert lib.command_line("Searches.", ["--config", str(file)])[1].parts == ("runs", "tiny")


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--config.search.step=3"], "unknown field of config.search: 'step'; did you mean 'steps'"),
    (["--config.search.steps=x"], "expected an integer"),
    (["--config.seed"], "sets nothing"),
    (["--config.seed", "--config.label=x"], "'--config.seed' sets nothing"),
    (["--nonsense"], "unrecognized arguments: --nonsense"),
    (["--workdir"], "expected one argument"),
    (["--config", "missing.py"], "config file missing.py is missing, and"),
    (["--config", "configs/quikstart.py"], "configs/quikstart.py is missing: unknown config file"),
    (["--config", "configs/quikstart.py"], "did you mean 'configs/quickstart.py'?"),
    (["--config", "configs"], "configs is a folder, and a config is a file: name a file in it: "),
    (["--config", "tests/data"], "tests/data is a folder, and a config is a file"),
  ],
)
def test_mistakes_end_with_one_line_and_code_2(file, root, monkeypatch, capsys, arguments, message):
  monkeypatch.chdir(root)
  with pytest.raises(SystemExit) as info:
    lib.command_line("Searches.", ["--config", str(file), *arguments])
  assert info.value.code == 2
  out, err = capsys.readouterr()
  assert not out
  assert err.startswith("error: ")
  assert message in err
  assert err.count("\n") == 1


def test_a_config_is_required(capsys):
  with pytest.raises(SystemExit):
    lib.command_line("Searches.", [])
  assert "--config FILE is required" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_the_docstring_and_all_fields(file, capsys, flag):
  with pytest.raises(SystemExit) as info:
    lib.command_line("Searches.", [flag, "--config", str(file)])
  assert info.value.code == 0
  out = capsys.readouterr().out
  for part in ("Searches.", "A tiny config.", "--config.search.steps=10", "--config.ops=('none',"):
    assert part in out


@pytest.mark.parametrize(
  "parses", ["c.command_line('x', ['--config', 'tiny.py'])", "c.Parser().parse_args([])"]
)
def test_a_script_sees_modules_in_the_current_folder(file, parses):
  (file.parent / "my_lab.py").write_text("def my_op():\n  return 'mine'\n")
  code = (
    "import sys, dnas.config as c, dnas.naming as naming; del sys.path[0]\n"
    f"{parses}\n"
    "print(naming.bind('my_lab.my_op', c))"
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


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("def get_config(:\n", r"bad\.py, line 1: invalid syntax: 'def get_config\(:'"),
    ("import not_there\n", r"bad\.py, line 1: ModuleNotFoundError: No module named 'not_there'"),
    ("\ndef get_config():\n  return odd\n", r"bad\.py, line 3: NameError: name 'odd' is not"),
  ],
)
def test_a_slip_in_a_config_is_one_line_with_its_place(tmp_path, text, message):
  (tmp_path / "bad.py").write_text(text)
  with pytest.raises(lib.ConfigError, match=message):
    lib.load(tmp_path / "bad.py")


def test_an_error_of_what_a_config_calls_keeps_its_traceback(tmp_path):
  (tmp_path / "deep.py").write_text("import json\ndef get_config():\n  return json.loads('{')\n")
  with pytest.raises(ValueError, match="Expecting property name") as raised:
    lib.load(tmp_path / "deep.py")
  assert not isinstance(raised.value, lib.ConfigError)
