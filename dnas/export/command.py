# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The export of a run's network, as scripts/export.py calls it."""

import pathlib
from collections.abc import Mapping
from typing import Any

from dnas import data
from dnas.export import check_arguments, export, from_run
from dnas.export.measure import images_of, measure


def run(workdir: pathlib.Path, out: pathlib.Path, flags: Mapping[str, Any]) -> dict[str, Any]:
  """Exports what was trained in `workdir` to `out`.

  Args:
    workdir: of a run, or of a training.
    out: the file.
    flags: `outputs`, `batch`, `keep_norms`, `int8`, `images`, `calibration` and `measure` of
      scripts/export.py.

  Returns:
    What `export` returns, and with `measure` the task's numbers.

  Raises:
    DnasError: see `from_run` and `export`.
  """
  check_arguments(out, flags["batch"], flags["int8"])
  model, config, source = from_run(workdir, flags["outputs"])
  calibration = None
  if flags["int8"] == "activations":
    training = data.labelled(config.data.spec, config.data.train_split)
    calibration = images_of(config, training, flags["calibration"])
  report = export(
    model,
    out,
    images=images_of(config, source, flags["images"]),
    batch=flags["batch"],
    fold=not flags["keep_norms"],
    int8=flags["int8"],
    calibration=calibration,
  )
  if flags["measure"]:
    report |= measure(out.read_bytes(), config, source, flags["batch"])
  return report
