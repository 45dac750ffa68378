# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a benchmark's space with a black-box strategy, by look-up; resumes where it was.

python scripts/explore.py --table nasbench201_table.csv.gz --strategy evolution --budget 100
python scripts/explore.py --table nas-bench-macro_cifar10.json --split test --epochs 50 \\
  --strategy '{"name": "reinforce", "lr": 0.1}'
"""

import ast
import pathlib

from dnas.config import Parser, functions
from dnas.errors import ConfigError, one_line_errors
from dnas.estimate import tabular
from dnas.strategy import black_box, history
from dnas.strategy.ask_tell import Query


def main(argv: list[str] | None = None) -> None:
  """Reads the flags and searches."""
  parser = Parser(description="Black-box search by look-up in a benchmark table.")
  parser.add_argument("--table", type=pathlib.Path, required=True, help="a .csv, .csv.gz or .json")
  names = ", ".join(functions(black_box))
  parser.add_argument("--strategy", default="evolution", help=f"{names}, or a dict with arguments")
  parser.add_argument("--dataset", default="cifar10", help=", ".join(tabular.DATASETS))
  parser.add_argument("--split", default="valid", help="of the score: valid (default) or test")
  parser.add_argument("--epochs", type=int, default=12, help="of the score (default 12)")
  parser.add_argument("--budget", type=int, default=100, help="queries (default 100)")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--workdir", type=pathlib.Path, default=pathlib.Path("runs", "explore"))
  flags = parser.parse_args(argv)
  best = float("-inf")

  def watch(query: Query) -> None:
    nonlocal best
    if query.metrics["score"] > best:
      best = query.metrics["score"]
      print(f"query {query.number}: {best:.3f}", flush=True)

  with one_line_errors():
    read = tabular.nasbench_macro if flags.table.suffix == ".json" else tabular.nasbench201
    table = read(flags.table)
    genotype = history.search(
      table.space,
      _entry(flags.strategy),
      tabular.look_up(table, flags.dataset, flags.split, flags.epochs),
      flags.workdir,
      budget=flags.budget,
      seed=flags.seed,
      about={"table": flags.table.name, "score": [flags.dataset, flags.split, flags.epochs]},
      watch=watch,
    )
    print(genotype)
    for dataset, split, epochs in table.runs:
      value = table.query(genotype, dataset=dataset, split=split, epochs=epochs)
      print(f"{dataset} {split} {epochs} epochs: {value:.2f} %")
    print(f"genotype.json and history.jsonl are in {flags.workdir}")


def _entry(text: str) -> str | dict:
  """A name, or a dict literal."""
  try:
    return ast.literal_eval(text) if text.startswith("{") else text
  except (ValueError, SyntaxError):
    raise ConfigError(f"--strategy: {text} is neither a name nor a dict") from None


if __name__ == "__main__":
  main()
