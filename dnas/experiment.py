# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Read this first: a whole experiment, top to bottom.

    search -> genotype.json -> train from scratch -> evaluate on the test split -> report

Each verb is a function of a config and a folder, resumes by itself, and is a script of its own.
"""

import json
import pathlib
from typing import Any

from dnas import data, report, runs
from dnas.config import Config
from dnas.errors import ConfigError, check_count
from dnas.evaluate import evaluate
from dnas.schema import check
from dnas.search import search
from dnas.train import check_before_search, train


def run(config: Config, workdir: pathlib.Path, resume: str = "auto") -> dict[str, Any]:
  """The experiment that a config describes; run again, it goes on where it was.

  Args:
    config: fields as in `configs/digits.py`.
    workdir: gets `genotype.json`, the search's metrics and checkpoints, `train/` with the derived
      network's, `result.json` and the pictures.
    resume: as in `runs.folder`.

  Returns:
    The numbers that the derived network reaches on `config.evaluate.split`.

  Raises:
    DnasError: the config, a split of the data or the folder are wrong; before anything is computed.
  """
  check(config, "space", "search", "train", "evaluate")
  # Wrong data and settings are found now.
  test = data.labelled(config.data.spec, config.evaluate.split)
  training = data.labelled(config.data.spec, config.data.train_split)
  data.check_same_classes(training.classes, training.name, test)
  check_before_search(config, training)
  check_count("config.evaluate.batch_size", config.evaluate.batch_size, 1, ConfigError)
  genotype = search(config, workdir, resume, source=training)
  train(config, genotype, workdir / "train", resume, source=training)
  result = evaluate(config, workdir / "train", test)
  runs.write(workdir / "result.json", json.dumps(result, indent=2) + "\n")
  if runs.first():
    report.write(workdir)
  return result
