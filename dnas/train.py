# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Training a genotype's network, from scratch or from given weights, with averaged weights."""

import dataclasses
import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dnas import data, hardware, mesh, runs, trained
from dnas import task as tasks
from dnas.config import Config
from dnas.cost import widths
from dnas.errors import ConfigError, check_count, check_number
from dnas.fields import plain
from dnas.finite import skip_unless_finite
from dnas.method import optimizer_of, space_of, task_of
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.schema import check, complete, get
from dnas.settings import check_accumulate
from dnas.space import genotypes
from dnas.space.space import SearchSpace
from dnas.trees import named_leaves, save_tree

PARTS = ("seed", "data", "task", "train", "checkpoint", "log")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
  """Everything that a training carries from step to step.

  Attributes:
    params, stats: weights and batch statistics.
    averaged: exponential moving average of (params, stats), what is evaluated.
    opt: state of the optimiser.
    step: int32, the number of steps done.
    key: the run's key; step t draws from fold_in(key, t).
  """

  params: Any
  stats: Any
  averaged: Any
  opt: Any
  step: jax.Array
  key: jax.Array


def derived(config: Config, task: tasks.Task, genotype: SearchSpace) -> SearchSpace:
  """The genotype in the network that it is trained in.

  That is `config.train.network`, or the genotype's own network where it is None; with
  `config.train.macs` its stages are widened or narrowed until it costs that many MACs.
  """
  genotype = hardware.trained(config, genotype)
  if (wanted := get(config, "train.macs")) is not None:
    macs = lambda network: tasks.cost(task, network).macs
    genotype = widths.match(genotype, wanted, macs)
  return genotype


def check_before_search(config: Config, source: data.Source) -> None:
  """Finds what is wrong with a training before there is a genotype, on any one of the space.

  What the search finds may be too small or too large for `config.train.macs` all the same.

  Args:
    config: with `space` and `search`, too.
    source: `config.data.train_split`.

  Raises:
    DnasError: a setting is wrong, or the processes cannot share the batches.
  """
  _check_start(config)
  if (wanted := get(config, "train.macs")) is not None:
    check_number("config.train.macs", wanted, above=0, kind=ConfigError)
  genotype = space_of(config).sample(random.Random(0))
  make(config.train, task_of(config, source), hardware.trained(config, genotype))
  runs.pipeline(config, source, config.train.batch_size, train=True)


def _check_start(config: Config) -> None:
  if (named := get(config, "train.start")) is not None:
    raise ConfigError(
      f"config.train.start = {plain(named)} names weights that are not given: "
      "fine-tune with NAS(...).train, or set it to None to train from scratch"
    )


def make(
  settings: Config,
  task: tasks.Task,
  genotype: SearchSpace,
  start: tuple[Any, Any] | None = None,
) -> tuple[Callable[[jax.Array], TrainState], Callable]:
  """A training as (init, step): key -> state, and (state, batch) -> (state, metrics), jitted.

  averaged <- d averaged + (1 - d) (params, stats), d = min(ema, (1 + t) / (10 + t)): early steps
  count little once better ones follow. Where k batches make one update, t counts updates, and each
  batch takes d^(1/k): k of them at the same weights come to d. A step whose loss or gradient is NaN
  or infinite moves nothing but the count of steps, and its metric `skipped` is 1 (else 0).

  Args:
    settings: `config.train`: `steps`, the length in batches; `optimizer`; `accumulate`, k; `ema`,
      the average's decay in [0, 1), with 0 the last weights count; `drop_path`, the probability at
      the last step, which rises linearly from 0 (1603.09382, 1806.09055).
    task: gives network and loss.
    genotype: what to train, see `derived`.
    start: (params, stats) to go on from; entries that are missing or of another shape (the
      predictions of other classes) are initialised. None: everything is.

  Raises:
    DnasError: a setting is wrong.
  """
  settings = complete("train", settings)
  steps, accumulate = settings.steps, settings.accumulate
  check_accumulate("config.train", accumulate, steps)
  check_count("config.train.batch_size", settings.batch_size, 1, ConfigError)
  for name in ("ema", "drop_path"):
    if not 0 <= settings[name] < 1:
      raise ConfigError(f"config.train.{name} must be in [0, 1), got {settings[name]!r}")
  opt = optimizer_of(settings.optimizer, steps, accumulate, "config.train.optimizer")
  static, _, _ = functional.split(task.build(genotype, Rngs(None)))

  def init(key: jax.Array) -> TrainState:
    build_key, run_key = jax.random.split(key)
    _, params, stats = functional.split(task.build(genotype, Rngs(build_key)))
    if start is not None:
      params, stats = (transferred(*pair) for pair in zip(start, (params, stats), strict=True))
    params, stats = jax.tree.map(jnp.array, (params, stats))
    averaged = jax.tree.map(jnp.array, (params, stats))
    state = opt.init(params)
    return TrainState(params, stats, averaged, state, jnp.zeros((), jnp.int32), run_key)

  def step(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
    key = jax.random.fold_in(state.key, state.step)
    progress = state.step.astype(jnp.float32) / steps
    mode = Mode(True, key, settings.drop_path * progress if settings.drop_path else None)

    def loss(params):
      network = static.merge(params, state.stats)
      value, metrics = task.loss(network, {}, batch, mode)
      return value, (functional.stats_of(network), metrics)

    (value, (stats, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = opt.update(gradient, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    t = (state.step // accumulate).astype(jnp.float32)
    decay = jnp.minimum(settings.ema, (1 + t) / (10 + t))
    decay = decay if accumulate == 1 else decay ** (1 / accumulate)
    averaged = jax.tree.map(
      lambda old, new: decay * old + (1 - decay) * new, state.averaged, (params, stats)
    )
    report = {"loss": value, **metrics, "grad_norm": optax.tree.norm(gradient)}
    new = TrainState(params, stats, averaged, opt_state, state.step + 1, state.key)
    return skip_unless_finite(state, new, report, "loss", "grad_norm")

  return init, jax.jit(step, donate_argnums=0)


def transferred(old: Any, new: Any) -> Any:
  """The tree `new` with those leaves of `old` that have their path and shape in it."""
  have = named_leaves(old)
  leaves = [
    have[name] if name in have and have[name].shape == leaf.shape else leaf
    for name, leaf in named_leaves(new).items()
  ]
  return jax.tree.unflatten(jax.tree.structure(new), leaves)


def train(
  config: Config,
  genotype: SearchSpace,
  workdir: pathlib.Path,
  resume: str = "auto",
  start: tuple[Any, Any] | None = None,
  source: data.Source | None = None,
) -> pathlib.Path:
  """Trains a genotype and writes `genotype.json`, `classes.json` and `weights.npz`.

  Killed and started again, the training goes on where it was.

  Args:
    config: fields as in `configs/digits.py`.
    genotype: what to train; `config.train.network` may put its cells in another network.
    workdir: the run's folder.
    resume: as in `runs.folder`.
    start: as in `make`; None: from scratch. A run is told apart from others by its config, so what
      it starts from is named there (`config.train.start`), and must be given.
    source: `config.data.train_split`; None: it is loaded.

  Returns:
    The file of the averaged weights.

  Raises:
    DnasError: the config, the genotype, the data or the folder are wrong.
  """
  check(config, "train")
  if not genotype.is_genotype:
    raise ConfigError(f"genotype: still holds choices in the cells {genotype.searched}")
  if start is None:
    _check_start(config)
  if source is None:
    source = data.labelled(config.data.spec, config.data.train_split)
  task = task_of(config, source)
  genotype = derived(config, task, genotype)
  init, step = make(config.train, task, genotype, start)
  pipeline = runs.pipeline(config, source, config.train.batch_size, train=True)
  runs.devices_of(config)  # Wrong sizes are found now.
  with runs.folder(workdir, config, PARTS, resume):
    path = workdir / "genotype.json"
    if path.exists() and genotypes.load(path) != genotype:
      raise ConfigError(f"{path} is another genotype: choose another --workdir")
    runs.write(path, genotype.to_json())
    runs.write(workdir / trained.CLASSES, json.dumps(source.classes) + "\n")
    state = runs.loop(
      workdir,
      "train",
      init(jax.random.key(config.seed)),
      lambda i, state, batch: step(state, batch),
      {"train": pipeline},
      config,
      steps=config.train.steps,
      lowers="loss",
    )
    params, stats = jax.device_get(state.averaged)
    if runs.first():
      save_tree(workdir / "weights.npz", {"params": params, "stats": stats})
    mesh.meet("wrote weights.npz")
  return workdir / "weights.npz"
