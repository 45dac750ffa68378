# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of paper_results/ by name: what each shows, takes and needs, and who makes it."""

import functools
import pathlib
import subprocess
import sys

from dnas.tables import (
  architectures,
  detection,
  detection_latency,
  efficientnet,
  estimates,
  hardware,
  int8,
  latency,
  method_cost,
  nasbench201_blackbox,
  nasbench201_oneshot,
  nasbench201_zero_cost,
  planted,
  robustness,
  scaling,
  tuning,
)
from dnas.tables.every import Table


def tables(root: pathlib.Path) -> dict[str, Table]:
  """Each table by its name; `root` is the repository's, with `configs`.

  A table's function names what it takes: `seeds` or `cells`, `data`, `workdir`, `overrides`.
  """
  return {
    "architectures": Table(
      "parameters and MACs of published cells and of YOLO-NAS S, M and L, counted",
      "half a minute",
      "none",
      architectures.make,
      minutes=1,
    ),
    "detection_digit_scenes": Table(
      "searched, random, hand-made and EfficientNet's cells at equal MACs, paired over the seeds",
      "13 minutes a seed on one core, and 20 more for EfficientNet's cells",
      "embedded",
      functools.partial(detection.compare, root / "configs" / "quickstart.py", seeds=5),
    ),
    "detection_cbc": Table(
      "the same on real blood cells",
      "not timed alone yet",
      "../shared/data/cbc, or --config.data.spec=coco:...",
      functools.partial(detection.compare, root / "configs" / "cbc_detection.py", seeds=3),
    ),
    "detection_foda": Table(
      "the same on debris on airfields",
      "not timed alone yet",
      "../shared/data/foda, or --config.data.spec=coco:...",
      functools.partial(detection.compare, root / "configs" / "foda_detection.py", seeds=3),
    ),
    "detection_spread": Table(
      "AP of random cells: does the cell matter?",
      "27 minutes with --config.train.steps=500, a third of the quickstart's",
      "embedded",
      functools.partial(detection.spread, root / "configs" / "quickstart.py", cells=10),
    ),
    "nasbench201_blackbox": Table(
      "random search, evolution, REINFORCE and local search by look-up, beside published numbers",
      "two to six minutes, by what else runs",
      "--data FOLDER with nasbench201_table.csv.gz",
      nasbench201_blackbox.make,
      minutes=6,
    ),
    "nasbench201_zero_cost": Table(
      "zero-cost proxies: rank correlation with accuracy, and with the published scores",
      "26 minutes, shared",
      "--data FOLDER with nasbench201_table.csv.gz; TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
      nasbench201_zero_cost.make,
      minutes=30,
      lacks=_no_cifar10,
    ),
    "nasbench201_oneshot": Table(
      "each differentiable method on CIFAR-10 at CPU scale, beside print and cheap rules",
      "some 20 hours of a core, shared; 3 to 29 minutes a search, by the median of each method",
      "--data FOLDER with nasbench201_table.csv.gz; TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
      functools.partial(nasbench201_oneshot.make, root),
      full="GPU days, configs/nasbench201_cifar10.py:paper; not timed",
      lacks=_no_cifar10,
    ),
    "efficientnet": Table(
      "parameters, MACs and anchors of EfficientNet B0 to B7 and EfficientDet D0 to D6, counted",
      "half a minute, shared",
      "none",
      efficientnet.make,
      minutes=1,
    ),
    "estimates": Table(
      "how well one-shot, short training and zero-cost estimates rank, against seconds",
      "some four hours, as they were measured beside other runs",
      "--data FOLDER with nasbench201_table.csv.gz; TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
      functools.partial(estimates.make, root),
      full="GPU days; not timed",
      lacks=_no_cifar10,
    ),
    "hardware": Table(
      "accuracy against latency on four devices: random, NSGA-II, gradient; the true front",
      "11 minutes",
      "--data FOLDER with nasbench201_table.csv.gz and nasbench201_latency_ms.csv.gz",
      hardware.make,
      minutes=12,
    ),
    "hardware_detection": Table(
      "the quickstart's search without and with three budgets of latency; best on one core",
      "hours; 43 minutes cut short as its README has it",
      "embedded",
      functools.partial(detection_latency.make, root / "configs" / "quickstart.py"),
    ),
    "export": Table(
      "AP of trained detectors as ONNX files in float32 and in 8 bits",
      "a minute a run",
      "--workdir FOLDER of a trained run, or of several",
      int8.make,
      lacks=_no_runs,
    ),
    "latency": Table(
      "predicted against measured latency of 80 NAS-Bench-201 cells; best with `taskset -c 0`",
      "two minutes, shared",
      "embedded",
      latency.make,
      minutes=2,
    ),
    "latency_mbconv": Table(
      "the same for 80 chains of MBConv blocks",
      "three minutes, shared",
      "embedded",
      functools.partial(latency.make, space="mbconv", rounds=9, calls=8, copies=4),
      minutes=3,
    ),
    "method_cost": Table(
      "time and memory of a step of each differentiable method, against first-order DARTS",
      "8 minutes",
      "none",
      functools.partial(method_cost.make, root / "configs" / "methods"),
      minutes=8,
    ),
    "seeds_at_once": Table(
      "config.seeds: several searches in one program, against one after another",
      "two minutes",
      "embedded",
      functools.partial(method_cost.seeds_at_once, root / "configs" / "digits.py"),
      minutes=2,
    ),
    "scaling": Table(
      "what a search step communicates, counted",
      "four minutes",
      "embedded; several devices, of a CPU by JAX_NUM_CPU_DEVICES=8",
      functools.partial(scaling.make, root / "configs" / "digits.py"),
      full="a pod; not timed",
      minutes=4,
      lacks=_one_device,
    ),
    "robustness": Table(
      "RobustDARTS' spaces S1 to S4: who collapses, what prevents it; share, eigenvalue, accuracy",
      "some 25 CPU minutes a seed, judged by S1",
      "TFDS cifar10:3.0.2 in TFDS_DATA_DIR",
      functools.partial(robustness.make, root),
      full="GPU days; not timed",
      lacks=_no_cifar10,
    ),
    "tuning": Table(
      "the quickstart's training tuned by 12 trials: the gain on the test split, paired over seeds",
      "hours: 22 trainings of the quickstart, some of them pruned",
      "embedded",
      functools.partial(
        tuning.make,
        root / "configs" / "quickstart.py",
        root / "configs" / "tuning" / "training.py",
      ),
    ),
    "planted": Table(
      "does each differentiable method find what was planted; which withstand a skip collapse",
      "not timed alone yet",
      "none",
      functools.partial(planted.success_rates, root / "configs" / "methods", seeds=100),
    ),
  }


def _no_cifar10(workdir: pathlib.Path) -> str | None:
  del workdir
  from dnas.data import tfds_source  # Here, because TFDS takes a second to import.

  folder = tfds_source.folder() / "cifar10" / "3.0.2"
  return None if folder.is_dir() else f"TFDS cifar10:3.0.2: {folder} is missing"


def _no_runs(workdir: pathlib.Path) -> str | None:
  return None if workdir.is_dir() else f"a trained run in {workdir}"


def _one_device(workdir: pathlib.Path) -> str | None:
  """Asked in a process of its own: this one would keep an accelerator from those that need it."""
  del workdir
  words = [sys.executable, "-c", "import jax; print(jax.device_count())"]
  count = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
  return "several devices, of a CPU by JAX_NUM_CPU_DEVICES=8" if count == "1" else None
