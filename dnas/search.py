# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searching: a config -> a genotype, by the differentiable bilevel loop, in one or more stages.

Where `config.search` names a black-box strategy, `dnas.explore` does it.
"""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from dnas import apart, budgeted, data, explore, hardware, mesh, method, naming, projected, runs
from dnas.config import Config
from dnas.errors import ConfigError
from dnas.fields import plain
from dnas.files import json_of
from dnas.method import space_of, task_of
from dnas.nn import functional, network, stacked
from dnas.nn.init import Rngs
from dnas.schema import check, get
from dnas.settings import Stage, check_seeds, settings_of, stages_of
from dnas.space import genotypes, macro
from dnas.space.space import SearchSpace, SpaceError
from dnas.strategy import stages
from dnas.strategy.alpha import init_alpha
from dnas.strategy.problem import SearchState
from dnas.watch import Stopped, Watch

PARTS = ("seed", "seeds", "data", "task", "space", "search", "cost", "checkpoint", "log")


def search(
  config: Config,
  workdir: pathlib.Path,
  resume: str = "auto",
  source: data.Source | None = None,
) -> SearchSpace:
  """Searches, writes `genotype.json` and returns the genotype.

  The weights are trained on one part of the training split and alpha on the rest
  (`config.search.weight_share`), or both on all of it where `hypergradient` is None. Killed and
  started again, the search goes on where it was. A space without choices (`cells.genotype`,
  `cells.sampled`) is its own result.

  With `config.cost` the search knows what networks cost, and the genotype keeps the budgets: see
  `dnas.hardware`.

  With `config.search.stages` each stage runs in a folder `stage0`, `stage1` ... of its own, with
  what it overrides; after it every edge keeps its `keep` strongest operations. With `config.seeds`
  above 1, so many searches (seed, seed + 1 ...) run in one program: their genotypes are in
  `seeds/SEED/genotype.json`, and the first is the result.

  Args:
    config: fields as in `configs/digits.py`.
    workdir: the run's folder.
    resume: as in `runs.folder`.
    source: `config.data.train_split`, or a part of it; None: it is loaded. Black-box strategies
      load it in any case, in each process.

  Raises:
    DnasError: the config, the data or the folder are wrong; before anything is computed.
  """
  check(config, "space", "search")
  costs = hardware.settings_of(config)
  if config.search.get("strategy") is not None:
    return explore.explore(config, workdir, resume)
  settings = settings_of(config.search)
  space = space_of(config)
  if source is None:
    source = data.labelled(config.data.spec, config.data.train_split)
  task = task_of(config, source)
  if space.is_genotype:
    if costs is not None:
      raise ConfigError("config.cost: the space leaves no choice, so nothing can keep a budget")
    task.build(space, Rngs(None))  # An unknown operation is found now, not when it is trained.
    with runs.folder(workdir, config, PARTS, resume):
      runs.write(workdir / "genotype.json", space.to_json())
    return space
  several = stages_of(settings)
  _check(config, several, task, space, source)
  seeds = get(config, "seeds")
  check_seeds(seeds, settings)
  runs.devices_of(config)
  price = hardware.pricer(config, task, workdir, functools.partial(apart.fill, config))
  if costs is not None and "latency_ms" not in hardware.watched(costs):
    price(space)  # What can be counted is checked now.
  parts = PARTS if costs is None else (*PARTS, "train.network")  # Which has to keep the budgets.
  with runs.folder(workdir, config, parts, resume):
    if seeds > 1:
      made = method.make(settings, task, space, price(space, settings.accumulate))
      genotype = _several_seeds(config, settings, made, source, workdir, seeds)
    else:
      genotype = _in_stages(config, several, task, space, source, workdir, price)
    runs.write(workdir / "genotype.json", genotype.to_json())
    runs.say_idle(genotype)
  return genotype


def _check(config: Config, several: list[Stage], task, space: SearchSpace, source) -> None:
  """Each stage composed, fed and decided once, by noise: what is wrong raises before a step."""
  whole, before = space, nnx.Module()
  for n, stage in enumerate(several):
    settings, space, whole = stage.settings, _in_network(stage, space), _in_network(stage, whole)
    made = method.make(settings, task, space)
    if any(one.inherit for one in several[n : n + 2]):
      built = task.build(space, Rngs(None), supernet=method.supernet_of(settings))
      if stage.inherit:
        _check_inherits(n, before, built)
      before = built
    _pipeline(config, settings, source, "weights", config.seed)
    noise = functools.partial(init_alpha, key=jax.random.key(0), edge_weights=settings.edge_weights)
    alpha = jax.device_get(noise(space))  # There must be a choice left.
    if stage.keep is not None:
      space, _ = stages.prune(space, alpha, stage.keep)
    elif settings.projection:
      projected.projector(settings, made)
    else:  # On all operations: which of them noise keeps says nothing.
      made.decide(whole, jax.device_get(noise(whole)))


def _check_inherits(n: int, before: nnx.Module, now: nnx.Module) -> None:
  """ConfigError unless the supernet of stage n fits on that of the stage before; changes it."""
  try:
    network.inherit(before, now, widen=True)
  except SpaceError as error:
    raise ConfigError(
      f"config.search.stages[{n}].inherit: its supernet cannot take the weights of the stage "
      f"before it: {error}"
    ) from error


def _in_network(stage: Stage, space: SearchSpace) -> SearchSpace:
  return naming.bind(stage.settings.network, macro, space, field="config.search.network")


def _pipeline(config: Config, settings: Config, source: data.Source, part: str, seed: int):
  options: dict[str, Any] = {"seed": seed}
  if settings.hypergradient is not None:  # With one level all data serve both.
    options |= {"part": part, "fraction": settings.weight_share}
  return runs.pipeline(config, source, settings.batch_size, train=True, **options)


def _parts(made: method.Method) -> tuple[str, ...]:
  return ("weights", "alpha")[: made.levels]


def _in_stages(config, several, task, space, source, workdir, price) -> SearchSpace:
  """All stages, one after another, and the decision."""
  before = None
  for n, stage in enumerate(several):
    space = _in_network(stage, space)
    priced = price(space, stage.settings.accumulate)
    made = method.make(stage.settings, task, space, priced)
    folder = workdir / f"stage{n}" if len(several) > 1 else workdir
    state = made.machine.init(jax.random.key(config.seed))
    if stage.inherit:
      state = _inherit(task, stage, space, state, before)
    stopped, by = folder / "stopped.json", plain(stage.settings.stop)
    if stopped.exists() and json_of(stopped).get("by") == by:
      return genotypes.load(workdir / "genotype.json")
    try:
      state = mesh.local(_loop(config, stage, made, state, source, folder))
    except Stopped as stop:
      runs.write(workdir / "genotype.json", stop.genotype.to_json())
      about = {"at": stop.at, "taken_from": stop.taken_from, "by": by}
      runs.write(stopped, json.dumps(about) + "\n")
      return stop.genotype
    alpha = jax.device_get(state.decided_by)
    if stage.keep is None:
      if priced is not None and priced.budgets:
        measure = functools.partial(_measured_ms, config)
        return budgeted.keep(config, priced, made.decide, space, alpha, workdir, measure)
      if not stage.settings.projection:
        return made.genotype(state)
      again = config.seed + 1
      fed = {p: _pipeline(config, stage.settings, source, p, again) for p in _parts(made)}
      return projected.decide(config, stage.settings, made, state, fed, workdir / "projection")
    wide = space
    space, alpha = stages.prune(space, alpha, stage.keep)
    before = (wide, method.supernet_of(stage.settings), state, alpha)
  raise AssertionError("the last stage decides")


def _measured_ms(config: Config, network: SearchSpace) -> float:
  return apart.measured_ms(config, {"": network}, hardware.protocol(config))[""]


def _inherit(task, stage: Stage, space: SearchSpace, state: SearchState, before):
  """The state with weights, batch statistics and alpha of the stage before."""
  wide, supernet, old, alpha = before
  source = task.build(wide, Rngs(None), supernet=supernet)
  layout = stacked.layout(source)
  source = functional.split(source)[0].merge(layout.unpack(old.params), layout.unpack(old.stats))
  target = task.build(space, Rngs(jax.random.key(0)), supernet=method.supernet_of(stage.settings))
  network.inherit(source, target, widen=True)
  layout, (_, *parts) = stacked.layout(target), functional.split(target)
  params, stats = map(layout.pack, parts)
  own = functools.partial(jax.tree.map, lambda x: jnp.array(x, copy=True))
  alpha = {name: tuple(map(jnp.asarray, alpha[name])) for name in state.alpha}
  return dataclasses.replace(state, params=own(params), stats=own(stats), alpha=own(alpha))


def _loop(config: Config, stage: Stage, made: method.Method, state, source, folder: pathlib.Path):
  """One stage, from its newest checkpoint to its last step."""
  settings = stage.settings
  watch = Watch(settings, made, folder)

  def step(i: int, state: SearchState, weight_batch: Any, alpha_batch: Any = None):
    """While alpha is frozen its batch is not even looked at."""
    counted = alpha_batch if i > settings.warmup_steps else None
    state, metrics = made.machine.step(state, weight_batch, counted)
    batch = weight_batch if alpha_batch is None else alpha_batch
    return state, {**metrics, **watch(i, state, batch)}

  def words(state: SearchState) -> str:
    """The cells as they would be decided now."""
    now = made.genotype(state)
    return "  ".join(f"{name} {now.cells[name]}" for name in made.problem.space.searched)

  return runs.loop(
    folder,
    "search",
    state,
    step,
    {part: _pipeline(config, settings, source, part, config.seed) for part in _parts(made)},
    config,
    steps=settings.steps,
    lowers="alpha_loss",
    words=words,
  )


def _several_seeds(config, settings, made: method.Method, source, workdir, seeds: int):
  """The searches of several seeds in one program, vmapped over their states and batches."""
  numbers = range(config.seed, config.seed + seeds)
  devices = runs.devices_of(config)
  of_seeds, whole = mesh.over_seeds(devices), mesh.replicated(devices)
  both = jax.sharding.NamedSharding(devices, jax.sharding.PartitionSpec("seed", "data"))

  def move(state: SearchState, *batches: Any):
    batches = jax.lax.with_sharding_constraint(batches, both)
    axes = (0, *(None if batch is None else 0 for batch in batches))
    return jax.vmap(made.machine.step, in_axes=axes)(state, *batches)

  together = jax.jit(move, donate_argnums=0, out_shardings=(of_seeds, whole))
  pipelines = {
    f"{part}{seed}": _pipeline(config, settings, source, part, seed)
    for part in _parts(made)
    for seed in numbers
  }
  stack = lambda batches: jax.tree.map(lambda *rows: jnp.stack(rows), *batches)

  def step(i: int, state: SearchState, *batches: Any):
    moves = made.levels == 2 and i > settings.warmup_steps
    alpha_batch = stack(batches[seeds:]) if moves else None
    state, each = together(state, stack(batches[:seeds]), alpha_batch)
    metrics = {f"seeds/{name}": value for name, value in each.items()}
    mean = {name: value.mean() for name, value in each.items() if name != "skipped"}
    return state, {**mean, **metrics, "skipped": each["skipped"].max()}

  state = runs.loop(
    workdir,
    f"search, {seeds} seeds",
    stack([made.machine.init(jax.random.key(seed)) for seed in numbers]),
    step,
    pipelines,
    config,
    steps=settings.steps,
    lowers="alpha_loss",
    stacked=True,
  )
  logits = jax.device_get(jax.jit(lambda alpha: alpha, out_shardings=whole)(state.decided_by))
  found = []
  for n, seed in enumerate(numbers):
    alpha = jax.tree.map(lambda leaf, n=n: leaf[n], logits)
    found.append(made.decide(made.problem.space, alpha))
    runs.write(workdir / "seeds" / str(seed) / "genotype.json", found[-1].to_json())
  return found[0]
