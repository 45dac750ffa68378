# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How long one step of a search takes: to trace, to compile, to run; and in what memory.

The step is the search's own (`dnas.method.problem` and `bilevel`): alpha on one batch, then the
weights on another, over all devices (JAX_NUM_CPU_DEVICES=2 makes two of a CPU). `--against`
alternates with another command that prints a line of JSON with `step_min_s`, so that both see the
same machine.

cpu_s is the processor time of a step, of all threads: on a busy machine it says more than step_s.
"""

import argparse
import functools
import json
import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dnas import cache, data, memory, mesh, method, naming, runs, train
from dnas import config as configs
from dnas import task as tasks
from dnas.config import at_least
from dnas.data.images import Images
from dnas.data.source import ClassificationSource
from dnas.errors import DnasError
from dnas.nn import mixed
from dnas.nn.supernet import Supernet
from dnas.space import cells, macro, shapes
from dnas.space.space import SearchSpace
from dnas.strategy import bilevel, hypergradient, optimizer, relaxation
from dnas.tables import method_cost

SPACES = ("darts", "nasbench201", "quickstart")
QUICKSTART = pathlib.Path(__file__).parents[2] / "configs" / "quickstart.py"
STEPS = 1000  # length of the schedules


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags of `benchmark.py step`."""
  add_problem_arguments(parser)
  parser.add_argument("--steps", type=at_least(1), default=7, help="timed (default: %(default)s)")
  parser.add_argument("--cache", action="store_true", help="with the cache of compiled programs")
  parser.add_argument("--json", action="store_true", help="prints one line of JSON only")
  parser.add_argument(
    "--against", metavar="COMMAND", help="prints JSON with step_min_s; run in alternation"
  )
  parser.add_argument("--rounds", type=at_least(1), help="of --against (default: 3)")


def add_problem_arguments(parser: argparse.ArgumentParser) -> None:
  """The flags that say which step it is."""
  parser.add_argument("--space", choices=SPACES, default="nasbench201")
  parser.add_argument(
    "--channels", type=int, help="of the first stage (default: 16; quickstart 32)"
  )
  parser.add_argument(
    "--cells", type=int, help="in all (darts, default 5) or per stage (nasbench201, default 1)"
  )
  parser.add_argument("--batch", type=int, help="examples (default: 64; quickstart 16)")
  parser.add_argument("--ops", type=int, help="only the first so many operations (nasbench201)")
  parser.add_argument("--relaxation", help="(default: softmax)")
  parser.add_argument("--hypergradient", help="(default: first_order)")
  parser.add_argument(
    "--single_path",
    action="store_true",
    help="only the operation with the largest weight; with --relaxation straight_through: GDAS",
  )
  parser.add_argument(
    "--derived", action="store_true", help="the plain training step of a derived network instead"
  )
  parser.add_argument("--simple", action="store_true", help="edges one by one, not fused")
  parser.add_argument(
    "--malloc", choices=("tuned", "stock"), default="tuned", help="see dnas.memory.keep"
  )


class Step(NamedTuple):
  """A step, ready to be compiled.

  Attributes:
    step: jitted, (state, *batches) -> (state, metrics), the state donated.
    state: at the start.
    batches: what else it takes, over all devices, as the state.
    weights: number of weights.
    kept_mib: () -> what a supernet's forward pass keeps for its backward pass, by tracing it; 0 for
      derived networks.
  """

  step: Any
  state: Any
  batches: tuple
  weights: int
  kept_mib: Callable[[], float]


def make(args: argparse.Namespace) -> Step:
  """The step that the flags describe."""
  if args.malloc == "tuned":
    memory.keep()
  memory.collect_rarely()
  mixed.FUSE = not args.simple
  if args.ops is not None and (args.space != "nasbench201" or args.ops < 1):
    raise DnasError("--ops: 1 or more, of --space nasbench201")
  searching = ("relaxation", "hypergradient", "single_path")
  if args.derived and (given := [f"--{name}" for name in searching if getattr(args, name)]):
    raise DnasError(f"{given[0]} is of a search, and --derived has none: leave one out")
  if args.space == "quickstart":
    task, space, batches = _quickstart(args)
  else:
    task, space, batches = _classification(args)
  sgd, adam = optimizer.sgd(STEPS), optimizer.adam()
  if args.derived:
    names = {"cell": "nor_conv_3x3", "normal": "sep_conv_3x3", "reduce": "sep_conv_3x3"}
    genotype = _all(space, names)
    fields = dict(steps=STEPS, batch_size=len(batches[0]["image"]), ema=0.99, drop_path=0.0)
    settings = ConfigDict(dict(optimizer="sgd", **fields))
    init, step = train.make(settings, task, genotype)
    batches = batches[:1]
    state, kept = init(jax.random.key(0)), lambda: 0.0
  else:
    problem = method.problem(task, space, Supernet(single_path=args.single_path))
    relax = naming.bind(args.relaxation or "softmax", relaxation, field="--relaxation")
    machine = bilevel.bilevel(
      problem,
      relax,
      naming.bind(args.hypergradient or "first_order", hypergradient, field="--hypergradient"),
      sgd,
      adam,
      steps=STEPS,
    )
    step, state = machine.step, machine.init(jax.random.key(0))
    kept = functools.partial(method_cost.kept_mib, problem, relax, state, batches[0])
  weights = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  devices = mesh.make()
  state = mesh.replicate(state, devices)
  return Step(step, state, tuple(mesh.shard_batch(b, devices) for b in batches), weights, kept)


def _classification(args: argparse.Namespace):
  """Task, space and two batches of random 32 x 32 images in 10 classes."""
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (1, 32, 32, 3), np.uint8)
  images = Images(lambda i: pixels[i], str, memory_mib=0)
  names = tuple("0123456789")
  source = ClassificationSource("random", names, range(1), images, labels=np.zeros(1, np.int32))
  channels, batch = args.channels or 16, args.batch or 64
  if args.space == "darts":
    space = cells.darts(channels, args.cells or 5)
  else:
    cell = shapes.dense(cells.NASBENCH201_OPS[: args.ops], nodes=3)
    space = macro.nasbench201(SearchSpace({"cell": cell}), channels, args.cells or 1)
  batches = tuple(
    {
      "image": jnp.asarray(rng.integers(0, 256, (batch, 32, 32, 3), np.uint8)),
      "label": jnp.asarray(rng.integers(0, 10, batch, np.int32)),
    }
    for _ in range(2)
  )
  return tasks.classification(source, (32, 32)), space, batches


def _quickstart(args: argparse.Namespace):
  """Task, space and two batches of configs/quickstart.py."""
  config = configs.load(QUICKSTART)
  if args.channels:
    config.search.network.channels = tuple(args.channels * n for n in (1, 2, 3))
  if args.cells:
    config.search.network.repeats = args.cells
  source = data.load(config.data.spec, config.data.train_split)
  batch_size = args.batch or config.search.batch_size
  batches = iter(runs.pipeline(config, source, batch_size, train=True, threads=0))
  task, space = method.task_of(config, source), method.space_of(config)
  chosen = tuple({k: jnp.asarray(v) for k, v in next(batches).items()} for _ in range(2))
  return task, space, chosen


def _all(space: SearchSpace, names: dict[str, str]) -> SearchSpace:
  """The genotype with one operation on all edges, or the heaviest where `keep` drops edges."""
  choices = {}
  for name in space.searched:
    cell = space.cells[name]
    chosen: list[str | None] = [None] * len(cell.edges)
    for node in cell.nodes:
      for i in cell.incoming(node)[: cell.keep]:
        chosen[i] = names[name]
    choices[name] = chosen
  return space.decide(choices)


def measure(args: argparse.Namespace) -> dict[str, Any]:
  """The figures of this process."""
  made = make(args)
  start = time.perf_counter()
  lowered = made.step.lower(made.state, *made.batches)
  traced = time.perf_counter()
  compiled = lowered.compile()
  done = time.perf_counter()
  kept_mib = made.kept_mib()  # Not later: a step takes the state for good.
  seconds, cpu_seconds = _time(compiled, made, args.steps)
  return {
    "space": args.space + (" derived" if args.derived else ""),
    "devices": jax.device_count(),
    "trace_s": round(traced - start, 2),
    "compile_s": round(done - traced, 2),
    "step_s": round(statistics.median(seconds), 4),
    "step_min_s": round(min(seconds), 4),
    "cpu_s": round(statistics.median(cpu_seconds), 4),
    "temp_mib": compiled.memory_analysis().temp_size_in_bytes >> 20,
    "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    "weights": made.weights,
    # XLA's count before optimization; almost all of it is multiplications with their additions.
    "gmac": round(lowered.cost_analysis()["flops"] / 2e9, 3),
    "kept_mib": round(kept_mib, 1),
  }


def _time(compiled: Callable, made: Step, steps: int) -> tuple[list[float], list[float]]:
  """Wall and processor seconds of each step, after two steps of warm-up."""
  state, seconds, cpu_seconds = made.state, [], []
  for _ in range(steps + 2):
    wall, cpu = time.perf_counter(), time.process_time()
    state, metrics = compiled(state, *made.batches)
    jax.block_until_ready((state, metrics))
    seconds.append(time.perf_counter() - wall)
    cpu_seconds.append(time.process_time() - cpu)
  return seconds[2:], cpu_seconds[2:]


def run(args: argparse.Namespace) -> None:
  """Measures and prints."""
  if args.against:
    _alternate(args)
    return
  if args.rounds is not None:
    raise DnasError("--rounds belongs to --against")
  if args.cache:
    cache.keep_programs()
  figures = measure(args)
  if args.json:
    print(json.dumps(figures))
    return
  print(f"{jax.__version__=} {jax.default_backend()} cpus={len(os.sched_getaffinity(0))}")
  for name, value in figures.items():
    print(f"{name:12} {value}")


def _alternate(args: argparse.Namespace) -> None:
  """Runs this step and the other command in turn, each in a process of its own."""
  own = [sys.executable, *_without(sys.argv, "--against", "--rounds")]
  own += [] if args.json else ["--json"]
  rows: dict[str, list[dict]] = {"dnas": [], "other": []}
  for _ in range(args.rounds or 3):
    for name, command in (("dnas", own), ("other", shlex.split(args.against))):
      done = subprocess.run(command, capture_output=True, text=True, check=False)
      lines = done.stdout.strip().splitlines()
      if done.returncode or not lines:
        raise DnasError(f"{shlex.join(command)} failed:\n{done.stderr[-2000:]}")
      rows[name].append(json.loads(lines[-1]))
      print(f"{name:6} {lines[-1]}", flush=True)
  best = {name: min(row["step_min_s"] for row in each) for name, each in rows.items()}
  rss = {name: max(row["rss_mib"] for row in each) for name, each in rows.items()}
  print(
    json.dumps(
      {
        "step_ratio": round(best["dnas"] / best["other"], 3),
        "rss_ratio": round(rss["dnas"] / rss["other"], 3),
      }
    )
  )


def _without(argv: list[str], *flags: str) -> list[str]:
  """`argv` without these flags and their values."""
  kept, skip = [], False
  for word in argv:
    if skip:
      skip = False
    elif word in flags:
      skip = True
    elif not word.startswith(tuple(f"{flag}=" for flag in flags)):
      kept.append(word)
  return kept
