# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a step of each method costs, in time and memory, against first-order DARTS.

Each method is its config in configs/methods on one network of its own; a step of it and one of
first-order DARTS are timed in turn, so that both see the same machine.
"""

import pathlib
import statistics
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dnas import config as configs
from dnas import method, search
from dnas import task as tasks
from dnas.config import Config
from dnas.data.images import Images
from dnas.data.source import ClassificationSource
from dnas.tables import table

BASE = "darts_first_order"
NETWORK = dict(name="nasbench201", channels=16, cells=1)
IMAGE, BATCH, CLASSES, STEPS = (16, 16), 32, 10, 1000
MIB = 1 << 20


class Step(NamedTuple):
  """A compiled step.

  Attributes:
    run: (state, *batches) -> (state, metrics).
    state: at the start.
    batches: what else it takes.
    compile_s: seconds to trace and compile.
    temp_mib: memory that it needs besides its arguments.
  """

  run: Any
  state: Any
  batches: tuple
  compile_s: float
  temp_mib: float


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
  cases = {name: method.settings_of(given) for name, given in loaded.items()}
  cases[f"{BASE}, remat"] = method.settings_of(loaded[BASE], supernet={"remat": True})
  base = prepare(cases[BASE])
  rows = []
  for name in sorted(cases, key=lambda name: (not name.startswith(BASE), name)):
    rows.append(_row(name, base if name == BASE else prepare(cases[name]), base, rounds))
    print(rows[-1], flush=True)
  title = f"""A step of each method: time and memory
Bilevel steps after the warm-up, NAS-Bench-201 cells, {NETWORK["channels"]} channels,
{NETWORK["cells"]} cell a stage, images of {IMAGE[0]} px, batch {BATCH}. *time*: median over
{rounds} pairs of the ratio to a first-order DARTS step that was timed next to it. *memory*: what
the compiled program needs besides weights and batches, in MiB, as XLA plans it, and as a ratio.
Methods in stages: the first. `gdas` and `dsnas`: on a CPU all operations are computed (see
`single_path`), so their saving does not show here. One-level methods take one batch a step."""
  provenance = {"command": command, "seeds": [0], "rounds": rounds}
  table.write(out, title, rows, provenance)
  return rows


def prepare(settings: Config) -> Step:
  """The step of a method after its warm-up, compiled."""
  first = search.stages_of(settings)[0].settings
  changed = dict(network=NETWORK, steps=STEPS, warmup_steps=0, stages=())
  first = method.settings_of(first, **changed)
  rng = np.random.default_rng(0)
  images = Images(lambda i: np.zeros((*IMAGE, 3), np.uint8), str, memory_mib=0)
  names = tuple(map(str, range(CLASSES)))
  source = ClassificationSource("random", names, range(1), images, labels=np.zeros(1, np.int32))
  task = tasks.classification(source, IMAGE)
  space = configs.bind(first.network, search.macro, search.cells.nasbench201())
  made = method.make(first, task, space)
  batch = lambda: {
    "image": jnp.asarray(rng.integers(0, 256, (BATCH, *IMAGE, 3), np.uint8)),
    "label": jnp.asarray(rng.integers(0, CLASSES, BATCH, np.int32)),
  }
  state = made.machine.init(jax.random.key(0))
  batches = (batch(), batch() if made.levels == 2 else None)
  start = time.perf_counter()
  step: Any = made.machine.step
  compiled = step.lower(state, *batches).compile()
  seconds = time.perf_counter() - start
  temp = compiled.memory_analysis().temp_size_in_bytes / MIB
  return Step(compiled, state, batches, seconds, temp)


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
    "compile s": round(step.compile_s, 1),
  }


def _timed(step: Step, state: Any) -> tuple[float, Any]:
  start = time.perf_counter()
  state, metrics = step.run(state, *step.batches)
  jax.block_until_ready((state, metrics))
  return time.perf_counter() - start, state


def _copy(state: Any) -> Any:
  return jax.tree.map(lambda x: jnp.array(x, copy=True), state)
