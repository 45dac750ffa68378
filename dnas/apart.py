# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Latency as the device gives it to a program that does nothing else, measured beside a search.

On a CPU that is a process of its own: in the search's, memory is kept between steps and lies in
pieces, and threads read data and write checkpoints, so that a small network takes 1.4 to 3 times as
long there. An accelerator belongs to one process, and is measured from it.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dnas import config as configs
from dnas import data, method, process
from dnas import task as tasks
from dnas.config import Config
from dnas.cost.latency import LatencyTable, Protocol, measure
from dnas.space.space import SearchSpace
from dnas.task import timing


def fill(config: Config, network: SearchSpace, table: LatencyTable) -> None:
  """Adds to the file of a table what `timing.latency_model` needs for a space.

  Args:
    config: names task and data.
    network: the space, in the network that is trained.
    table: says where the file is, and how it is measured.

  Raises:
    DnasError: see `timing.latency_model`.
  """
  _alone(_fill, configs.to_json(config), network.to_json(), table.path, table.protocol)


def measured_ms(
  config: Config, networks: Mapping[str, SearchSpace], given: Protocol
) -> dict[str, float]:
  """The latency of each of several genotypes' networks now, measured in turn."""
  texts = {name: network.to_json() for name, network in networks.items()}
  return _alone(_measured_ms, configs.to_json(config), texts, given)


def _alone(call: Callable[..., Any], *arguments: Any) -> Any:
  if jax.default_backend() != "cpu":
    return call(*arguments)
  with process.workers(1, keep=False) as worker:
    return worker.submit(call, *arguments).result()


def _fill(config: str, network: str, path: pathlib.Path, given: Protocol) -> None:
  timing.latency_model(_task(config), SearchSpace.from_json(network), LatencyTable(path, given))


def _measured_ms(config: str, networks: Mapping[str, str], given: Protocol) -> dict[str, float]:
  task = _task(config)
  programs = {
    name: timing.network_program(task, SearchSpace.from_json(text), given.batch)
    for name, text in networks.items()
  }
  return {name: found.ms for name, found in measure(programs, given).items()}


@functools.lru_cache(maxsize=1)
def _task(text: str) -> tasks.Task:
  config: Config = configs.from_json(text, source="the config").lock()
  return method.task_of(config, data.labelled(config.data.spec, config.data.train_split))
