# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Black-box strategies through the same config, script and pipeline as the differentiable ones."""

import functools
import itertools
import math
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import pytest

from dnas import config as configs
from dnas import explore, naming, search
from dnas import method as methods
from dnas.errors import ConfigError, DnasError
from dnas.estimate import estimates
from dnas.estimate.tabular import NASBENCH201_COLUMNS
from dnas.space import cells
from dnas.space.space import SearchSpace
from dnas.strategy import ask_tell, black_box, history
from dnas.strategy.ask_tell import StrategyError

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAMES = sorted(path.stem for path in (ROOT / "configs" / "strategies").glob("*.py"))
SMALL = {
  "space": dict(name="dense", ops=("skip_connect", "nor_conv_1x1"), nodes=2),
  "search.network": dict(name="nasbench201", channels=2, cells=1),
  "search.budget": 6,
  "train.network": dict(name="nasbench201", channels=2, cells=1),
  "data.threads": 0,
}
# An estimate of one's own, that costs nothing: the number of convolutions, and a little noise.
MY_LAB = """
import jax

def convolutions(config, space, workdir, *, worth=1.0):
  def evaluate(genotype, key):
    with open(workdir / "calls", "a") as file:
      print("called", file=file)
    ops = [edge.ops[0] for edge in genotype.cells["cell"].edges]
    noise = float(jax.random.uniform(key))
    return {"score": worth * ops.count("nor_conv_1x1") + 1e-3 * noise}
  return evaluate
"""


def small(name="regularized_evolution", **overrides):
  changes = {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}}
  return configs.load(ROOT / "configs" / "strategies" / f"{name}.py", changes)


@pytest.fixture
def lab(user_folder):
  (user_folder / "my_lab.py").write_text(MY_LAB)
  return dict(name="my_lab.convolutions")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_a_config_exists(name):
  path = ROOT / "configs" / "strategies" / f"{name}.py"
  config = configs.load(path)
  settings = explore.settings_of(config.search)
  entry = naming.resolve(settings.estimate, estimates, given=3)
  space = methods.space_of(config)
  strategy = naming.bind(settings.strategy, black_box, space)
  assert strategy.rungs == estimates.rungs_of(entry)
  proposal, _ = strategy.ask(strategy.init(), random.Random(0))
  assert space.decide(proposal["choices"]).is_genotype
  assert f"configs/strategies/{name}.py" in path.read_text()


def test_the_config_leads_to_a_genotype_and_is_resumed(lab, tmp_path):
  config = small(search__estimate=lab, search__budget=16)
  run = tmp_path / "run"
  genotype = search.search(config, run)
  assert [edge.ops[0] for edge in genotype.cells["cell"].edges] == ["nor_conv_1x1"] * 3
  assert SearchSpace.from_json((run / "genotype.json").read_text()) == genotype
  queries = history.read(run / "history.jsonl")
  assert len(queries) == 16
  assert methods.space_of(config).decide(ask_tell.best(queries).choices) == genotype
  calls = (run / "calls").read_text()
  assert len(calls.splitlines()) == 16
  assert search.search(config, run) == genotype
  assert (run / "calls").read_text() == calls  # nothing was evaluated again
  with pytest.raises(ConfigError, match=r"search\.budget: 16 -> 20.*--resume=force"):
    search.search(configs.changed(config, {"search.budget": 20}), run)
  search.search(configs.changed(config, {"search.budget": 20}), run, "force")
  assert history.read(run / "history.jsonl")[:16] == queries
  assert len((run / "calls").read_text().splitlines()) == 20
  other = configs.changed(config, {"search.budget": 24, "search.strategy.sample": 2})
  with pytest.raises(StrategyError, match="belongs to another run: about is"):
    search.search(other, run, "force")  # not even by force


def test_costs_are_among_the_metrics(lab, tmp_path):
  config = small("nsga2", search__estimate=lab, search__costs=("params", "macs"))
  search.search(config, tmp_path)
  for query in history.read(tmp_path / "history.jsonl"):
    convolutions = query.choices["cell"].count("nor_conv_1x1")
    # Bias-free 1x1 kernels and the norms' scale and bias, at widths 2, 4 and 8.
    assert query.metrics["params"] >= convolutions * sum(c * c + 2 * c for c in (2, 4, 8))
    assert query.metrics["macs"] > convolutions


HALVING = dict(name="successive_halving", candidates=4, rungs=2)


def halving(lab, values=(1.0, 2.0), **overrides):
  """Brackets of 4 and 2 queries; at rung 1 a convolution is worth twice as much."""
  estimate = dict(name="at_lengths", estimate=lab, field="worth", values=values)
  given = {"search__strategy": HALVING, "search__estimate": estimate, **overrides}
  return small("successive_halving", **given)


def test_rungs_by_config(lab, tmp_path, capsys):
  """Two brackets; the result is the best of what was looked at longest."""
  config = halving(lab, search__budget=12, search__costs=("params",))
  genotype = search.search(config, tmp_path)
  queries = history.read(tmp_path / "history.jsonl")
  assert [query.rung for query in queries] == [0, 0, 0, 0, 1, 1] * 2
  for query in queries:
    convolutions = query.choices["cell"].count("nor_conv_1x1")
    assert query.metrics["worth"] == 1.0 + query.rung
    assert round(query.metrics["score"]) == convolutions * query.metrics["worth"]
    assert query.metrics["params"] > 0
  best = ask_tell.best(queries)
  assert best.rung == 1
  assert genotype == methods.space_of(config).decide(best.choices)
  assert f"best of 12: query {best.number}, score {best.metrics['score']:.5g} at rung 1" in (
    capsys.readouterr().out
  )


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"values": (1.0, 2.0, 4.0)}, r"asks at 2 rung\(s\), the estimate has 3 length"),
    ({"values": (2.0, 1.0)}, r"at_lengths: values: must be 2 or more rising .*got \(2\.0, 1\.0\)"),
    ({"values": 3}, "at_lengths: values: must be 2 or more rising numbers above 0, got 3"),
    ({"search__strategy": "random_search"}, r"asks at 1 rung\(s\), the estimate has 2 length"),
    (
      {"search__estimate": dict(name="one_shot", steps=9)},
      r"asks at 2 .*the estimate has 1 length",
    ),
    ({"search__strategy": {**HALVING, "etas": 2}}, "successive_halving: 'etas'"),
  ],
)
def test_rungs_that_do_not_fit_are_named_before_anything_is_made(lab, tmp_path, overrides, message):
  with pytest.raises(DnasError, match=message):
    search.search(halving(lab, **overrides), tmp_path / "run")
  assert not (tmp_path / "run").exists()  # nor a supernet trained


def test_look_up_by_config(tmp_path):
  rows = [",".join(["arch_index", "arch_str", *NASBENCH201_COLUMNS.values()])]
  for index, ops in enumerate(itertools.product(cells.NASBENCH201_OPS, repeat=6)):
    a, b, c, d, e, f = ops
    score = [str(ops.count("nor_conv_3x3"))] * len(NASBENCH201_COLUMNS)
    rows.append(",".join([str(index), f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|", *score]))
  (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
  estimate = dict(name="tabular", table=str(tmp_path / "table.csv"))
  space = dict(name="nasbench201")
  config = small("local_search", search__estimate=estimate, space=space, search__budget=60)
  found = search.search(config, tmp_path / "run")
  assert [edge.ops[0] for edge in found.cells["cell"].edges] == ["nor_conv_3x3"] * 6
  with pytest.raises(DnasError, match="cells of NAS-Bench-201, not of"):
    search.search(small(search__estimate=estimate), tmp_path / "other")
  absent = small(search__estimate=dict(name="tabular", table="absent.csv"))
  with pytest.raises(DnasError, match=r"absent\.csv is missing"):
    search.search(absent, tmp_path / "absent")


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"search.budget": 0}, r"config\.search\.budget must be a whole number, 1 or more, got 0"),
    ({"search.workers": -1}, r"config\.search\.workers must be a whole number, 0 or more, got -1"),
    ({"search.costs": ("flops",)}, r"name in config\.search\.costs: 'flops'.*macs, params"),
    ({"seeds": 2}, r"takes one seed and one JAX process, got config\.seeds = 2"),
    ({"search.strategy": dict(name="evolutoin")}, "did you mean 'evolution'"),
    (
      {"search.strategy": dict(name="nsga2", costs=("macs", "seconds"))},
      r"config.search.strategy: needs macs of each candidate, but config.search.costs = \(\)",
    ),
    ({"search.estimate": dict(name="one_shot", steps=0)}, "one_shot: steps must be a whole number"),
    (
      {"search.estimate": dict(name="one_shot", steps=1, calibration=0)},
      "one_shot: calibration must be a whole number, 1 or more, got 0",
    ),
    ({"search.estimate": dict(name="short_train")}, "did you mean 'short_training'"),
    ({"search.estimate": dict(name="short_training")}, "needs a value for: steps"),
    ({"search.estimate": dict(name="one_shot", step=3)}, r"argument of .*one_shot: 'step'"),
    ({"space": dict(name="dense", ops=("skip", "nor_conv_1x1"), nodes=1)}, "'skip'"),
  ],
)
def test_bad_settings_are_named(tmp_path, overrides, message):
  config = small(**{key.replace(".", "__"): value for key, value in overrides.items()})
  with pytest.raises(DnasError, match=message):
    search.search(config, tmp_path / "run")
  assert not (tmp_path / "run" / "history.jsonl").exists()


def test_one_process_is_wanted_also_by_a_config_without_seeds(tmp_path, monkeypatch):
  config = small()
  with config.unlocked():
    del config["seeds"]
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  with pytest.raises(ConfigError, match=r"got config\.seeds = 1 and 2 processes"):
    search.search(config, tmp_path / "run")


def test_fields_of_the_other_methods_are_refused():
  config = small()
  with config.unlocked():
    config.search.relaxation = dict(name="softmax")
  with pytest.raises(ConfigError, match=r"with a strategy: 'relaxation'.*Valid: budget, costs, "):
    explore.settings_of(config.search)
  with config.unlocked():
    del config.search["relaxation"], config.search["budget"]
  with pytest.raises(ConfigError, match=r"with a strategy: budget must be set"):
    explore.settings_of(config.search)


# -------------------------------------------------------------------------------------------------
# Estimates by name, and real processes


ESTIMATES = {
  "short_training": dict(name="short_training", steps=2, channels=2, size=(4, 4), images=100),
  "one_shot": dict(name="one_shot", steps=3, calibration=1, images=64),
  "zero_cost": dict(name="zero_cost", proxies=("naswot", "synflow"), batch_size=4),
  "at_lengths": dict(
    name="at_lengths",
    estimate=dict(name="short_training", channels=2, size=(4, 4), images=100),
    field="steps",
    values=(2, 4),
  ),
}


@pytest.mark.slow  # compiles networks
@pytest.mark.parametrize("name", ESTIMATES)
def test_each_estimate_by_its_name(tmp_path, name):
  rungs = {"search__strategy": dict(name="successive_halving", candidates=1, rungs=2)}
  given = rungs if name == "at_lengths" else {}
  config = small("random_search", search__estimate=ESTIMATES[name], search__budget=2, **given)
  search.search(config, tmp_path)
  queries = history.read(tmp_path / "history.jsonl")
  assert all(math.isfinite(query.metrics["score"]) for query in queries)
  if name == "one_shot":  # a second process would find the trained supernet
    explore._evaluator.cache_clear()
    again = explore.Evaluate(configs.to_json(config), str(tmp_path))
    space = methods.space_of(config)
    found = again(space.decide(queries[0].choices), jax.random.key(0))
    assert found == queries[0].metrics


@pytest.mark.parametrize(
  "entry",
  [
    dict(name="early_stopping", values=(1, 2, 4), threshold=0.9),
    dict(name="at_lengths", values=(1, 2)),
  ],
)
def test_early_stopping_and_at_lengths_refuse_the_same(tmp_path, monkeypatch, entry):
  """Both make another estimate at several lengths; what does not fit is found before it is made."""
  monkeypatch.setattr(estimates.data, "labelled", lambda *call: pytest.fail("data are read"))

  def made(field, estimate, **changes):
    spec = {**entry, "field": field, "estimate": estimate, **changes}
    return naming.bind(spec, estimates, None, None, tmp_path)

  inner = dict(name="at_lengths", estimate=dict(name="tabular", table="t"), field="epochs")
  for field, estimate, message in (
    ("steps", dict(name="short_training", steps=3), r"estimate\.steps must not be set"),
    ("step", dict(name="short_training"), "its field 'step': missing a required .*'steps'"),
    ("values", inner, "estimate has lengths itself"),
    ("steps", dict(name="one_shot"), "field of one_shot 'steps'. Valid: calibration, images"),
  ):
    with pytest.raises(DnasError, match=f"^{entry['name']}: .*{message}"):
      made(field, estimate)
  with pytest.raises(DnasError, match=f"^{entry['name']}: values: must be . or more rising"):
    made("images", dict(name="one_shot", steps=3), values=(1, 4, 2))


def test_early_stopping_gives_up_what_another_estimate_says_is_hopeless(tmp_path, user_folder):
  """A curve that stays at .5 is given up after three of four lengths, one that rises is not."""
  (user_folder / "my_curves.py").write_text(
    "def rising(config, space, workdir, *, steps, slope):\n"
    '  return lambda genotype, key: {"score": 0.5 + slope * steps}\n'
  )
  entry = dict(name="early_stopping", values=(1, 2, 4, 8), threshold=0.9)

  def made(field="steps", **given):
    spec = {**entry, "field": field, "estimate": dict(name="my_curves.rising", **given)}
    return naming.bind(spec, estimates, None, None, tmp_path)

  assert made(slope=0.0)(None, None) == {"score": 0.5, "steps": 4, "stopped": 1.0}
  found = made(slope=0.1)(None, None)
  assert found == {"score": pytest.approx(1.3), "steps": 8, "stopped": 0.0}
  with pytest.raises(DnasError, match=r"field 'steps': missing a required .*argument: 'slope'"):
    made()
  with pytest.raises(DnasError, match=r"field 'epochs': missing a required .*argument: 'steps'"):
    made(field="epochs", slope=0.0)
  with pytest.raises(DnasError, match=r"estimate\.steps must not be set"):
    made(slope=0.0, steps=3)


def test_zero_cost_is_for_classifiers(tmp_path):
  config = small("zero_cost", task=dict(name="detection"))
  with pytest.raises(DnasError, match=r"zero_cost: scores classifiers; config.task is detection"):
    estimates.zero_cost(config, methods.space_of(config), tmp_path)


TOY = """
import pathlib, sys, time
import jax
from dnas.space import cells
from dnas.strategy import black_box, history
from dnas import naming

SPACE = cells.nasbench201()

def evaluate(genotype, key, rung=0):
  time.sleep(0.004)
  ops = [edge.ops[0] for edge in genotype.cells["cell"].edges]
  return {"score": ops.count("nor_conv_3x3") + 0.1 * float(jax.random.uniform(key)), "params": 1.0}

def main(folder, budget):
  for name in sorted(naming.functions(black_box)):
    strategy = naming.bind(name, black_box, SPACE)
    evaluate.rungs = strategy.rungs
    history.run(SPACE, strategy, evaluate, folder / name, budget=budget, seed=3)

if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.mark.slow  # starts processes that import jax
def test_every_strategy_survives_kill_9_at_a_random_query(tmp_path, user_folder):
  """Killed many times, each in another query; all histories equal those of a run left in peace."""
  script, rng, budget = user_folder / "my_lab.py", random.Random(7), 60
  script.write_text(TOY)
  total = budget * len(naming.functions(black_box))
  lines = lambda folder: sum(
    max(path.read_bytes().count(b"\n") - 1, 0) for path in folder.glob("[a-z]*") if path.is_file()
  )
  start = functools.partial(
    subprocess.Popen, [sys.executable, script, tmp_path / "killed", str(budget)]
  )
  environment = {**os.environ, "PYTHONPATH": str(ROOT)}
  # 120 queries take half a second or more: the watcher may be late, the run must not be over.
  for stop in sorted(rng.sample(range(5, total - 120), 4)):
    process = start(env=environment)
    while lines(tmp_path / "killed") < stop and process.poll() is None:
      time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert stop <= lines(tmp_path / "killed") < total
  assert start(env=environment).wait() == 0
  import my_lab

  my_lab.main(tmp_path / "whole", budget)
  names = sorted(path.name for path in (tmp_path / "whole").iterdir())
  assert names == sorted(naming.functions(black_box))
  for name in names:
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow  # starts processes that import jax
@pytest.mark.parametrize("name", ["local_search", "successive_halving"])
def test_several_processes_from_the_command_line_killed_and_resumed(tmp_path, user_folder, name):
  """Their histories are those of one process that has as many open; none outlives its parent."""
  (user_folder / "my_lab.py").write_text(
    MY_LAB.replace("  def evaluate(genotype, key):", "  def evaluate(genotype, key):\n" + SLOW)
  )
  fields = [f"--config.{key}={value!r}" for key, value in SMALL.items() if key != "search.budget"]
  estimate = "my_lab.convolutions"
  if name == "successive_halving":
    lengths = halving(dict(name=estimate)).search
    estimate = lengths.estimate.to_dict()
    fields.append(f"--config.search.strategy={lengths.strategy.to_dict()!r}")
  fields += [f"--config.search.estimate={estimate}", "--config.search.budget=12"]
  environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{user_folder}"}
  script, config = ROOT / "scripts" / "search.py", ROOT / "configs" / "strategies" / f"{name}.py"

  def start(folder):
    command = [sys.executable, script, "--config", config, "--workdir", tmp_path / folder, *fields]
    return subprocess.Popen([*command, "--config.search.workers=2"], env=environment)

  killed = tmp_path / "killed"
  with start("killed") as process:
    try:
      while len(history.read(killed / "history.jsonl")) < 4:
        assert process.poll() is None
        time.sleep(0.01)
      pids = {int(line) for line in (killed / "pids").read_text().split()}
      assert len(pids) == 2
      assert process.pid not in pids
    finally:
      process.kill()
  for _ in range(500):
    if not any(_runs(pid) for pid in pids):
      break
    time.sleep(0.02)
  assert not any(_runs(pid) for pid in pids)
  assert len(history.read(killed / "history.jsonl")) < 12
  assert start("killed").wait() == 0
  assert start("whole").wait() == 0
  for file in ("history.jsonl", "genotype.json"):
    assert (killed / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


# It also waits for the second process: the first is not to have done all before that one is there.
SLOW = """
    import os, time
    with open(workdir / "pids", "a") as file:
      print(os.getpid(), file=file)
    while len(set((workdir / "pids").read_text().split())) < 2:
      time.sleep(0.01)
    time.sleep(0.3)
"""


def _runs(pid: int) -> bool:
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
  except (FileNotFoundError, ProcessLookupError):
    return False
  return state != "Z"
