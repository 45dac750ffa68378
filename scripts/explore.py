# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a benchmark's space with a black-box strategy, by look-up; resumes where it was.

python scripts/explore.py --table nasbench201_table.csv.gz --strategy evolution --budget 100
python scripts/explore.py --table nas-bench-macro_cifar10.json --split test --epochs 50 \\
  --strategy '{"name": "reinforce", "lr": 0.1}'
python scripts/explore.py --table nasbench201_table.csv.gz --strategy nsga2 --cost pixel3 \\
  --devices nasbench201_latency_ms.csv.gz
python scripts/explore.py --table nasbench201_table.csv.gz --split test --epochs 12 200 \\
  --strategy '{"name": "successive_halving", "rungs": 2}'
"""

import argparse
import ast
import pathlib

from dnas.config import Parser, at_least, folder
from dnas.cost import objective
from dnas.errors import ConfigError, one_line_errors
from dnas.estimate import devices, tabular
from dnas.estimate.learning_curve import AtLengths
from dnas.lock import run_lock
from dnas.naming import bind, functions
from dnas.progress import say
from dnas.strategy import ask_tell, black_box, history
from dnas.strategy.ask_tell import Evaluator, Query, Rewarded
from dnas.tables import front


def parse(argv: list[str] | None) -> argparse.Namespace:
  """The command line."""
  parser = Parser(description=__doc__)
  parser.add_argument(
    "--table", type=pathlib.Path, required=True, metavar="FILE", help="a .csv, .csv.gz or .json"
  )
  names = ", ".join(functions(black_box))
  parser.add_argument("--strategy", default="evolution", help=f"{names}, or a dict with arguments")
  parser.add_argument("--dataset", default="cifar10", help=", ".join(tabular.DATASETS))
  parser.add_argument("--split", default="valid", help="of the score: valid or test")
  parser.add_argument(
    "--epochs", type=int, nargs="+", default=[12], help="of the score; one for each rung"
  )
  parser.add_argument("--budget", type=at_least(1), default=100, help="queries")
  parser.add_argument("--seed", type=int, default=0, help="of the strategy")
  parser.add_argument(
    "--workdir",
    type=folder,
    default=pathlib.Path("runs", "explore"),
    metavar="DIR",
    help="where it goes on",
  )
  parser.add_argument(
    "--devices", type=pathlib.Path, metavar="FILE", help="what cells cost: .csv.gz or .pickle"
  )
  parser.add_argument("--allow_pickle", action="store_true", help="HW-NAS-Bench's file is trusted")
  parser.add_argument("--cost", help="a column; writes front.csv and front.svg of score and it")
  rewards = ", ".join(objective.REWARDS)
  parser.add_argument("--reward", help=f"of score and --cost, a dict: {rewards}")
  flags = parser.parse_args(argv)
  if flags.cost is None:
    parser.refuse(flags, ("reward",), "is of the score and a cost: give --cost too")
    parser.refuse(flags, ("devices",), "holds costs, of which --cost names one: give it too")
  if flags.devices is None or flags.devices.suffix != ".pickle":
    parser.refuse(flags, ("allow_pickle",), "is for a .pickle of --devices")
  return flags


def main(argv: list[str] | None = None) -> None:
  """Reads the flags and searches."""
  flags = parse(argv)
  best: list[Query] = []

  def watch(query: Query) -> None:
    if ask_tell.best([*best, query]) is query:
      best[:] = [query]
      say(f"query {query.number}: {query.metrics['score']:.3f}")

  with one_line_errors():
    table = _table(flags)
    evaluator, about = _evaluator(flags, table)
    entry = _strategy(flags)
    strategy = bind(entry, black_box, table.space, field="--strategy")
    _refuse_other_runs(flags.workdir)
    with run_lock(flags.workdir):
      genotype, _ = history.search(
        table.space,
        strategy,
        evaluator,
        flags.workdir,
        budget=flags.budget,
        seed=flags.seed,
        about={"strategy": entry, **about},
        watch=watch,
      )
    if flags.cost:
      queries = history.read(flags.workdir / "history.jsonl")
      for query in front.write(flags.workdir, table.space, queries, (flags.cost,)):
        values = query.metrics["score"], query.metrics[flags.cost]
        print(f"front: score {values[0]:.4g}, {flags.cost} {values[1]:.4g}, query {query.number}")
    print(genotype)
    for dataset, split, epochs in table.runs:
      value = table.query(genotype, dataset=dataset, split=split, epochs=epochs)
      print(f"{dataset} {split} {epochs} epochs: {value:.2f} %")
    print(f"genotype.json and history.jsonl are in {flags.workdir}")


def _refuse_other_runs(workdir: pathlib.Path) -> None:
  """ConfigError where a search, a training or a tuning by a config has its folder."""
  for name in ("config.json", "tuning.json"):
    if (workdir / name).exists():
      raise ConfigError(
        f"{workdir} holds a run of another kind ({name}), not a search of a benchmark's table: "
        "choose another --workdir"
      )


def _table(flags: argparse.Namespace) -> tabular.Table:
  """The benchmark, with the columns of a device table if one is given."""
  read = tabular.nasbench_macro if flags.table.suffix == ".json" else tabular.nasbench201
  table = read(flags.table)
  if flags.devices is None:
    return table
  if flags.devices.suffix == ".pickle":
    return devices.hw_nas_bench(table, flags.devices, allow_pickle=flags.allow_pickle)
  return devices.with_devices(table, flags.devices)


def _evaluator(flags: argparse.Namespace, table: tabular.Table) -> tuple[Evaluator, dict]:
  """The score of a cell, and what a history has to agree with."""
  costs = (flags.cost,) if flags.cost else ()
  at = {e: tabular.look_up(table, flags.dataset, flags.split, e, costs) for e in flags.epochs}
  evaluator = AtLengths("epochs", at) if len(flags.epochs) > 1 else at[flags.epochs[0]]
  about = {"table": flags.table.name, "score": [flags.dataset, flags.split, *flags.epochs]}
  if flags.cost:
    about["cost"] = flags.cost
  if flags.reward:
    about["reward"] = _entry("--reward", flags.reward)
    reward = bind(about["reward"], objective, field="--reward")
    evaluator = Rewarded(evaluator, reward, flags.cost)
  return evaluator, about


def _strategy(flags: argparse.Namespace) -> str | dict:
  """The strategy's entry; NSGA-II minimises --cost unless its entry names costs."""
  entry = _entry("--strategy", flags.strategy)
  named = {"name": entry} if isinstance(entry, str) else entry
  if named.get("name") == "nsga2" and flags.cost:
    return {"costs": [flags.cost], **named}
  return entry


def _entry(flag: str, text: str) -> str | dict:
  """A name, or a dict literal."""
  try:
    return ast.literal_eval(text) if text.startswith("{") else text
  except (ValueError, SyntaxError):
    raise ConfigError(f"{flag}: {text} is neither a name nor a dict") from None


if __name__ == "__main__":
  main()
