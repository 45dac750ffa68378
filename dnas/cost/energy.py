# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Energy by an explicit model, an estimate; and measured, where the machine counts it.

    E = MACs * e_mac(precision) + weight bytes * e_byte(level) + activation bytes * e_byte(level)

| per multiply-accumulate | pJ | | per byte | pJ |
|---|---|---|---|---|
| float32 (3.7 + 0.9) | 4.6 | | sram_8kb (10 per 64 bits) | 1.25 |
| float16 (1.1 + 0.4) | 1.5 | | sram_32kb (20 per 64 bits) | 2.5 |
| int8, sums in int32 (0.2 + 0.1) | 0.3 | | sram_1mb (100 per 64 bits) | 12.5 |
| int32 (3.1 + 0.1) | 3.2 | | dram (1300 to 2600 per 64 bits; the lower) | 162.5 |

Source: Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm at
0.9 V. The 32-bit values and the 8 KB cache were checked against a paper that quotes them
(PMC8934428, table 3); the others are from memory (unverified). A chip of today takes less of each;
ratios are what the numbers are good for. Idle power, control and instructions are left out, which
on a CPU are most of it. Each weight is read once, each operation reads its input and writes its
output once.
"""

import importlib
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from dnas.errors import DnasError, choose_from, install

PJ_PER_MAC = {"float32": 4.6, "float16": 1.5, "int8": 0.3, "int32": 3.2}
BYTES = {"float32": 4, "float16": 2, "int8": 1, "int32": 4}
PJ_PER_BYTE = {"sram_8kb": 1.25, "sram_32kb": 2.5, "sram_1mb": 12.5, "dram": 162.5}
_MJ_PER_PJ, _MJ_PER_KWH = 1e-9, 3.6e9
# Where Linux shows the processor's own counter; codecarbon guesses from the load without it.
COUNTER = pathlib.Path("/sys/class/powercap/intel-rapl:0/energy_uj")


def estimate_mj(
  macs: float,
  weights: float,
  activations: float,
  precision: str = "float32",
  weights_in: str = "dram",
  activations_in: str = "sram_1mb",
) -> float:
  """The estimated energy in millijoules of one inference.

  Args:
    macs: multiply-accumulates.
    weights: number of weights that are read.
    activations: number of activations that are read or written.
    precision: a key of PJ_PER_MAC, for arithmetic and memory alike.
    weights_in, activations_in: keys of PJ_PER_BYTE: from where weights, and activations, come.

  Raises:
    DnasError: an unknown precision or level; the message lists them.
  """
  if precision not in PJ_PER_MAC:
    raise DnasError(choose_from("precision:", precision, PJ_PER_MAC))
  for level in (weights_in, activations_in):
    if level not in PJ_PER_BYTE:
      raise DnasError(choose_from("memory level:", level, PJ_PER_BYTE))
  size = BYTES[precision]
  pj = macs * PJ_PER_MAC[precision]
  pj += weights * size * PJ_PER_BYTE[weights_in] + activations * size * PJ_PER_BYTE[activations_in]
  return pj * _MJ_PER_PJ


def check_counters() -> Any:
  """The package codecarbon, if there is something that it can count; `measure_mj` begins with it.

  Raises:
    DnasError: as `measure_mj`.
  """
  platform = jax.devices()[0].platform
  if platform not in ("cpu", "gpu"):
    raise DnasError(f"energy: {platform} devices have no counter that codecarbon reads")
  if platform == "cpu" and not os.access(COUNTER, os.R_OK):
    raise DnasError(f"energy: {COUNTER} cannot be read, so nothing is counted here")
  try:
    return importlib.import_module("codecarbon")  # Optional, and needed for nothing else.
  except ModuleNotFoundError:
    raise DnasError(f"energy: counters are read by codecarbon ({install('energy')})") from None


def measure_mj(run: Callable[[], Any], seconds: float) -> float:
  """The energy in millijoules of one call, counted by the processor or GPU over many calls.

  All that the device does in that time counts, others' jobs and idle power included.

  Args:
    run: returns when it is done.
    seconds: for how long it is called; counters are read about once a second.

  Raises:
    DnasError: the package codecarbon is missing, or the device has no counter that can be read.
  """
  codecarbon, platform = check_counters(), jax.devices()[0].platform
  tracker = codecarbon.OfflineEmissionsTracker(
    country_iso_code="USA", save_to_file=False, log_level="error", measure_power_secs=1
  )
  calls, start = 0, time.monotonic()
  tracker.start()
  try:
    while time.monotonic() - start < seconds or not calls:
      run()
      calls += 1
  finally:
    tracker.stop()
  data = tracker.final_emissions_data
  return _MJ_PER_KWH * (data.cpu_energy if platform == "cpu" else data.gpu_energy) / calls
