# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a step of each method costs, in time and memory, against first-order DARTS.

Each method is its config in configs/methods on one network of its own; a step of it and one of
first-order DARTS are timed in turn, so that both see the same machine.
"""

import pathlib
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dnas import config as configs
from dnas import data, method, naming
from dnas import task as tasks
from dnas.config import Config
from dnas.data.images import Images
from dnas.data.source import ClassificationSource
from dnas.progress import say
from dnas.settings import settings_of, stages_of
from dnas.space import cells, macro
from dnas.strategy.alpha import relax
from dnas.strategy.problem import Problem, SearchState
from dnas.strategy.relaxation import Relaxation
from dnas.tables import table

BASE = "darts_first_order"
SAME = (BASE, "darts_es", "darts_pt")  # They differ in when they stop and how they decide.
NETWORK = dict(name="nasbench201", channels=16, cells=1)
IMAGE, BATCH, CLASSES, STEPS = (16, 16), 32, 10, 1000
MIB = 1 << 20


class Step(NamedTuple):
  """A compiled step.

  Attributes:
    run: (state, *batches) -> (state, metrics).
    state: at the start.
    batches: what else it takes.
    temp_mib: memory that it needs besides its arguments.
    kept_mib: what the forward pass of its loss keeps for the backward pass, on any platform.
  """

  run: Any
  state: Any
  batches: tuple
  temp_mib: float
  kept_mib: float


def make(
  folder: pathlib.Path, out: pathlib.Path, *, command: str, rounds: int = 7
) -> list[table.Row]:
  """Makes the table.

  Args:
    folder: of the methods' configs.
    out: folder of the table.
    command: goes into the provenance.
    rounds: pairs of steps that are timed.
  """
  loaded = {path.stem: configs.load(path).search for path in sorted(folder.glob("*.py"))}
  cases = {name: settings_of(given) for name, given in loaded.items()}
  cases[f"{BASE}, remat"] = settings_of(loaded[BASE], supernet={"remat": True})
  base = prepare(cases[BASE])
  rows = []
  for name in sorted(cases, key=lambda name: (not name.startswith(BASE), name)):
    rows.append(_row(name, base if name == BASE else prepare(cases[name]), base, rounds))
    say(rows[-1])
  provenance = {"command": command, "seeds": [0], "rounds": rounds}
  table.write(out, _title(rows, rounds), rows, provenance)
  return rows


def _title(rows: Sequence[table.Row], rounds: int) -> str:
  # What these change of first-order DARTS is no part of a step.
  same = [row["time"] for row in rows if row["method"] in SAME]
  return f"""A step of each method: time and memory
Bilevel steps after the warm-up, NAS-Bench-201 cells, {NETWORK["channels"]} channels,
{NETWORK["cells"]} cell a stage, images of {IMAGE[0]} px, batch {BATCH}. *time*: median over
{rounds} pairs of the ratio to a first-order DARTS step that was timed next to it. *memory*: what
the compiled program needs besides weights and batches, in MiB, as XLA plans it, and as a ratio.
*kept*: what one forward pass keeps for its backward pass, as a ratio, which does not depend on the
platform. (XLA's compiler for CPUs undoes rematerialisation, jax 0.10.2: what is kept falls, what it
needs does not.)
Methods in stages: the first. `gdas` and `dsnas` compute the sampled operations alone. One-level
methods take one batch a step.

The step of {", ".join(f"`{name}`" for name in SAME)} is the same program: their times, from
{min(same):.3f} to {max(same):.3f}, tell how far a ratio was off by chance."""


def seeds_at_once(
  config_file: pathlib.Path, out: pathlib.Path, *, command: str, rounds: int = 7
) -> list[table.Row]:
  """Makes the table of `config.seeds`: one step of S searches in one program, against S steps.

  Args:
    config_file: of the search.
    out: folder of the table.
    command: goes into the provenance.
    rounds: pairs that are timed.
  """
  config = configs.load(config_file)
  source = data.load(config.data.spec, config.data.train_split)
  size = tuple(config.data.size)
  task = method.task_of(config, source)
  made = method.make(settings_of(config.search), task, method.space_of(config))
  rng = np.random.default_rng(0)
  count = config.search.batch_size
  image = jnp.asarray(rng.integers(0, 256, (count, *size, 3), np.uint8))
  batch = {"image": image, "label": jnp.asarray(rng.integers(0, 10, count, np.int32))}
  state = made.machine.init(jax.random.key(0))
  one: Any = made.machine.step
  single = Step(one.lower(state, batch, batch).compile(), state, (batch, batch), 0.0, 0.0)
  rows = []
  for seeds in (2, 4):
    spread = lambda tree, n=seeds: jax.tree.map(lambda x: jnp.stack([x] * n), tree)
    together = jax.jit(jax.vmap(made.machine.step), donate_argnums=0)
    states, batches = spread(state), (spread(batch), spread(batch))
    compiled = together.lower(states, *batches).compile()
    several = Step(compiled, states, batches, 0.0, 0.0)
    own_state, base_state, ratios = _copy(states), _copy(state), []
    for i in range(rounds + 1):
      own_s, own_state = _timed(several, own_state)
      alone_s = 0.0
      for _ in range(seeds):
        seconds, base_state = _timed(single, base_state)
        alone_s += seconds
      ratios += [own_s / alone_s] if i else []
    rows.append({"seeds": seeds, "time": statistics.median(ratios)})
    say(rows[-1])
  title = f"""Several seeds in one program
`config.seeds` on {config_file.name}: the time of one step of all seeds together, as a ratio to that
of as many steps one after another; median over {rounds} pairs, timed in turn. Below 1 is a gain."""
  table.write(out, title, rows, {"command": command, "rounds": rounds})
  return rows


def prepare(settings: Config) -> Step:
  """The step of a method after its warm-up, compiled."""
  first = stages_of(settings)[0].settings
  changed = dict(network=NETWORK, steps=STEPS, warmup_steps=0, stages=())
  first = settings_of(first, **changed)
  rng = np.random.default_rng(0)
  images = Images(lambda i: np.zeros((*IMAGE, 3), np.uint8), str, memory_mib=0)
  names = tuple(map(str, range(CLASSES)))
  source = ClassificationSource("random", names, range(1), images, labels=np.zeros(1, np.int32))
  task = tasks.classification(source, IMAGE)
  space = naming.bind(first.network, macro, cells.nasbench201())
  made = method.make(first, task, space)
  batch = lambda: {
    "image": jnp.asarray(rng.integers(0, 256, (BATCH, *IMAGE, 3), np.uint8)),
    "label": jnp.asarray(rng.integers(0, CLASSES, BATCH, np.int32)),
  }
  state = made.machine.init(jax.random.key(0))
  batches = (batch(), batch() if made.levels == 2 else None)
  step: Any = made.machine.step
  compiled = step.lower(state, *batches).compile()
  temp = compiled.memory_analysis().temp_size_in_bytes / MIB
  return Step(
    compiled, state, batches, temp, kept_mib(made.problem, made.relaxation, state, batches[0])
  )


def kept_mib(problem: Problem, relaxation: Relaxation, state: SearchState, batch: Any) -> float:
  """MiB of residuals between forward and backward pass of the weight step's loss."""
  weights = relax(relaxation, state.key, state.alpha, jnp.float32(0), problem.space)

  def residuals(params, weights):
    loss = lambda p, w: problem.loss(p, state.stats, w, batch, state.key, True, jnp.float32(0))
    return jax.vjp(loss, params, weights, has_aux=True)[1]

  leaves = jax.tree.leaves(jax.eval_shape(residuals, state.params, weights))
  return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) / MIB


def _row(name: str, step: Step, base: Step, rounds: int) -> dict[str, Any]:
  own_state, base_state = _copy(step.state), _copy(base.state)
  ratios = []
  for i in range(rounds + 1):
    own_s, own_state = _timed(step, own_state)
    base_s, base_state = _timed(base, base_state)
    ratios += [own_s / base_s] if i else []  # The first finds cold caches.
  return {
    "method": name,
    "time": statistics.median(ratios),
    "memory MiB": step.temp_mib,
    "memory": step.temp_mib / base.temp_mib,
    "kept": step.kept_mib / base.kept_mib,
  }


def _timed(step: Step, state: Any) -> tuple[float, Any]:
  start = time.perf_counter()
  state, metrics = step.run(state, *step.batches)
  jax.block_until_ready((state, metrics))
  return time.perf_counter() - start, state


def _copy(state: Any) -> Any:
  return jax.tree.map(lambda x: jnp.array(x, copy=True), state)
