# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A table's run that is finished is kept, and never computed again."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from dnas import config as configs
from dnas import files
from dnas.config import Config
from dnas.errors import ConfigError

FILE = "done.json"


def once(
  folder: pathlib.Path, config: Config, make: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
  """make() the first time, as JSON gives it back; what it gave then ever after.

  Args:
    folder: of the run, gets FILE when `make` has returned.
    config: by which a finished run is known again.
    make: the run; killed within it, it is called again.

  Raises:
    ConfigError: a run is finished there with another config (the message lists the fields).
  """
  path, about = folder / FILE, json.loads(configs.to_json(config))
  if not path.exists():
    record = {"config": about, "result": dict(make())}
    files.atomic_write(path, json.dumps(record) + "\n")
  record = files.json_of(path)
  if changes := configs.diff(record["config"], about):
    raise ConfigError(
      f"{folder} holds a finished run with another config ({'; '.join(changes)}): choose another "
      "--workdir"
    )
  return record["result"]
