# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What 8 bits cost: the AP of trained detectors in JAX, as ONNX files, and as quantized ones."""

import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from dnas import data, files, trained
from dnas.errors import DnasError
from dnas.export import export, from_run
from dnas.export import int8 as quantization
from dnas.export.measure import images_of, measure, measured_by
from dnas.tables import table

FILES = {"ONNX, float32": None, **{f"ONNX, int8 {part}": part for part in quantization.PARTS}}
NUMBERS = ("AP", "AP50", "AP75")


def make(
  out: pathlib.Path, workdir: pathlib.Path, *, command: str, calibration: int = 64, checked: int = 8
) -> list[table.Row]:
  """Makes the table; and `runs.json` with the numbers of each run.

  Args:
    out: folder of the table.
    workdir: a run's folder, or a folder of several: `seed0`, `seed1` ...
    command: goes into the provenance.
    calibration: training images from which the ranges of activations are taken.
    checked: test images by which the float32 file is compared with JAX.

  Raises:
    DnasError: nothing is trained there, a run is none of a detector, or a file differs from JAX.
  """
  found = {folder.name: _of(folder, calibration, checked) for folder in runs_in(workdir)}
  rows = []
  for name in ("JAX, float32", *FILES):
    each = [run[name] for run in found.values()]
    row: dict[str, Any] = {"network": name, "kB": each[0]["bytes"] // 1000}
    for key in NUMBERS:
      mean, _, half = table.interval([run[key] for run in each])
      row |= {key: mean, f"{key} ±": half}
    lost = [run[name]["AP"] - run["JAX, float32"]["AP"] for run in found.values()]
    row |= {"AP - AP of JAX": table.interval(lost)[0], "± of it": table.interval(lost)[2]}
    rows.append(row)
  files.atomic_write(out / "runs.json", json.dumps(found, indent=1) + "\n")
  errors = [run["ONNX, float32"]["error"] for run in found.values()]
  about = {"runs": list(found), "calibration_images": calibration, "checked_images": checked}
  title = f"""What 8 bits cost a detector
AP on the runs' test splits, mean over {len(found)} trained runs ± half of the 95 % t-interval.
`kB` of the first run's file (for JAX: its weights). Batch norms are folded; boxes and their
suppression are inside the files and stay in float32. *int8 weights*: stored in 8 bits, computed in
float32; *int8 activations*: weights and activations of convolutions in 8 bits, ranges from
{calibration} training images. The float32 files differ from JAX by {max(errors):.1g} of
max(1, |value|) at most, on {checked} test images. The single runs are in `runs.json`."""
  table.write(out, title, rows, {"command": command, **about})
  return rows


def runs_in(workdir: pathlib.Path) -> list[pathlib.Path]:
  """The folder itself if something is trained in it, else those in it of which that holds."""
  inside = sorted(folder for folder in workdir.glob("*") if trained.folder_in(folder))
  folders = [workdir] if trained.folder_in(workdir) else inside
  if not folders:
    raise DnasError(f"{workdir}: no trained run is there, nor in its folders; --workdir names one")
  return folders


def _of(folder: pathlib.Path, calibration: int, checked: int) -> dict[str, dict[str, Any]]:
  """The numbers of a run: network -> bytes, AP ..."""
  model, config, source = from_run(folder)
  if config.task.name == "classification":
    raise DnasError(f"{folder}: a run of a classifier; this table is of detectors")
  own = measured_by(model.reference(), config, source)
  size = (trained.folder_of(folder) / "weights.npz").stat().st_size
  found: dict[str, dict[str, Any]] = {"JAX, float32": {"bytes": size, **_numbers(own)}}
  training = data.labelled(config.data.spec, config.data.train_split)
  with tempfile.TemporaryDirectory(prefix="dnas-") as scratch:
    file = pathlib.Path(scratch, "model.onnx")
    report = export(model, file, images=images_of(config, source, checked))
    plain = file.read_bytes()
  for name, part in FILES.items():
    content = plain
    if part == "weights":
      content = quantization.weights(plain)
    elif part == "activations":
      content = quantization.activations(plain, images_of(config, training, calibration))
    result = measure(content, config, source)
    found[name] = {"bytes": len(content), **_numbers(result)}
  found["ONNX, float32"] |= {"error": report["error"]}
  return found


def _numbers(result: Mapping[str, Any]) -> dict[str, Any]:
  return {key: result[key] for key in NUMBERS}
