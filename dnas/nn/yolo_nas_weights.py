# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of YOLO-NAS under the names of the published state dicts, from and to files.

  backbone.stage1.downsample.branch_1x1.weight     PyTorch's order, [out, in, kh, kw]

A file is an .npz of such arrays, or a .pt or .pth, read through PyTorch (the extra `torch`). None
are shipped: the published ones belong to their owners, see `RANDOM`.
"""

import io
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from dnas.errors import install
from dnas.files import atomic_write, check_archive
from dnas.nn.qarepvgg import QARepVGG
from dnas.nn.yolo_nas import Upsample, YoloNas
from dnas.space import yolo_nas as spaces
from dnas.trees import CheckpointError

State = Mapping[str, np.ndarray]

RANDOM = (
  "{name} has random weights and detects nothing yet: train it, or give weights that you may use, "
  "weights='file.pth' or 'file.npz'. The published ones are for non-commercial use "
  "(LICENSE.YOLONAS.md of github.com/Deci-AI/super-gradients) and are not shipped here."
)
_PLACEHOLDER, _COUNTER = "rbr_reparam", "num_batches_tracked"
_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_HEAD = {"stem": "stem.seq", "cls_conv": "cls_convs.0.seq", "reg_conv": "reg_convs.0.seq"}
_MAX_BYTES = 1 << 32  # L has 0.3 GB; a stranger's file is not to fill the memory.
_SHOWN = 10  # names of each kind in an error message


class Entry(NamedTuple):
  """A variable of a model and how a file has it.

  Attributes:
    variable: of the model.
    to_file: the axes of the variable in the order of the file.
  """

  variable: nnx.Variable
  to_file: tuple[int, ...]

  @property
  def shape(self) -> tuple[int, ...]:
    """In the file."""
    return tuple(self.variable.shape[axis] for axis in self.to_file)


def entries(model: YoloNas) -> dict[str, Entry]:
  """The variables of a model by their names in a file.

  Raises:
    CheckpointError: the model is fused or a supernet, for which no such names exist.
  """
  blocks = [node for _, node in nnx.iter_graph(model) if isinstance(node, QARepVGG)]
  if not model.space.is_genotype or not blocks:
    raise CheckpointError("weight files hold the trained form of a genotype: load, then fuse")
  nodes = dict(nnx.iter_graph(model))
  found = {}
  for path, variable in nnx.iter_graph(model):
    if not isinstance(variable, nnx.Variable):
      continue
    order = tuple(range(variable.ndim))
    if variable.ndim == 4:
      order = (2, 3, 0, 1) if isinstance(nodes[path[:-1]], Upsample) else (3, 2, 0, 1)
    found[_name(model, path)] = Entry(variable, order)
  return found


def _name(model: YoloNas, path: Sequence[Any]) -> str:
  """The name in a file of the variable at `path`."""
  part, i, *rest = path
  if part == "backbone" and i == "stem":
    prefix, rest = "backbone.stem.conv", rest[2:]  # parts, 0
  elif part == "backbone":
    place, rest = rest[0], rest[1:]
    cell = model.backbone.names[place]
    stage = 1 + sum(name == "down" for name in model.backbone.names[:place])
    inside = {"down": f"stage{stage}.downsample", "context": "context_module"}
    prefix = f"backbone.{inside.get(cell, f'{cell}.blocks')}"
  else:
    prefix = f"neck.neck{i + 1}" if part == "neck" else f"heads.head{i + 1}"
    if rest[0] == "blocks":
      prefix, rest = f"{prefix}.blocks", rest[1:]
  if rest[0] == "edges":
    rest = rest[4:]  # edges, 0, ops, 0
  *parents, leaf = rest
  if part == "heads":
    parents[0] = _HEAD.get(parents[0], parents[0])
  return ".".join(map(str, (prefix, *parents, _LEAVES.get(leaf, leaf))))


def shapes(model: YoloNas) -> dict[str, tuple[int, ...]]:
  """Names and shapes of a published state dict: with fused placeholders and step counters."""
  found = {name: entry.shape for name, entry in entries(model).items()}
  for name in list(found):
    if name.endswith("running_var"):
      found[name.replace("running_var", _COUNTER)] = ()
    if name.endswith("branch_1x1.weight"):
      out, c_in, _, _ = found[name]
      prefix = name.removesuffix("branch_1x1.weight")
      found |= {f"{prefix}{_PLACEHOLDER}.weight": (out, c_in, 3, 3)}
      found |= {f"{prefix}{_PLACEHOLDER}.bias": (out,)}
  return found


def state_of(model: YoloNas) -> dict[str, np.ndarray]:
  """The weights and running statistics of a model as a file has them, placeholders left out."""
  return {
    name: np.ascontiguousarray(np.transpose(entry.variable[...], entry.to_file))
    for name, entry in entries(model).items()
  }


def save(path: str | os.PathLike, model: YoloNas) -> None:
  """Writes an .npz that `load` and NumPy read, atomically."""
  buffer = io.BytesIO()
  arrays: dict[str, Any] = state_of(model)
  np.savez(buffer, **arrays)
  atomic_write(path, buffer.getbuffer())


def load(model: YoloNas, path: str | os.PathLike, *, transfer: bool = False) -> tuple[str, ...]:
  """Gives a model the weights of a file: `put(model, read(path))`."""
  return put(model, read(path), transfer=transfer, source=str(path))


def put(
  model: YoloNas, state: State, *, transfer: bool = False, source: str = "the state"
) -> tuple[str, ...]:
  """Gives a model the weights of a state dict, in place; all of them or none.

  Args:
    model: of the same architecture.
    state: arrays by name; placeholders and step counters are passed over.
    transfer: whether the number of classes may differ: the class predictions then keep their
      initial weights.
    source: what messages call the state.

  Returns:
    The names that kept their initial weights.

  Raises:
    CheckpointError: entries are missing, left over, misshapen or not finite numbers; it lists them.
  """
  wanted = entries(model)
  given = {n: v for n, v in state.items() if _PLACEHOLDER not in n and not n.endswith(_COUNTER)}
  other = classes_of(state) not in (None, model.classes)
  kept = tuple(name for name in wanted if ".cls_pred." in name) if transfer and other else ()
  loaded = [name for name in wanted if name in given and name not in kept]
  shaped = [name for name in loaded if given[name].shape == wanted[name].shape]
  faults = {
    "missing": [name for name in wanted if name not in given and name not in kept],
    "not of this network": [name for name in given if name not in wanted],
    "of another shape": [
      f"{name} {list(given[name].shape)} instead of {list(wanted[name].shape)}"
      for name in loaded
      if given[name].shape != wanted[name].shape
    ],
    "not finite numbers": [n for n in shaped if not _is_finite(given[n])],
  }
  if any(faults.values()):
    lines = [f"{len(names)} {what}: {_list(names)}" for what, names in faults.items() if names]
    raise CheckpointError(f"{source} does not fit: {'; '.join(lines)}{_hint(model, state)}")
  for name in loaded:
    entry = wanted[name]
    value = np.transpose(np.asarray(given[name], np.float32), np.argsort(entry.to_file))
    entry.variable.set_value(np.ascontiguousarray(value))
  return kept


def classes_of(state: State) -> int | None:
  """The number of classes that a state dict was trained for; None if it does not tell."""
  found = state.get("heads.head1.cls_pred.weight")
  return int(found.shape[0]) if found is not None and found.ndim else None


def variant_of(state: State) -> str | None:
  """Which of YOLO-NAS S, M and L has the widths of a state dict; None if none has."""
  found = state.get("backbone.stage1.blocks.conv1.conv.weight")
  for name in spaces.NAMES:
    csp = spaces.parse(spaces.genotype(name).cells["stage1"].edges[0].ops[0])
    if found is not None and found.ndim and csp is not None and csp.hidden == found.shape[0]:
      return name
  return None


def _hint(model: YoloNas, state: State) -> str:
  variant, classes = variant_of(state), classes_of(state)
  own = [name for name in spaces.NAMES if spaces.genotype(name) == model.space]
  if variant is not None and own and variant not in own:
    return f". It has the widths of {variant}, the network is {own[0]}"
  if classes not in (None, model.classes):
    return (
      f". It was trained for {classes} classes, the network has {model.classes}: build it with as "
      "many, or say transfer=True to take all but the class predictions"
    )
  return ""


def _is_finite(value: np.ndarray) -> bool:
  return np.issubdtype(value.dtype, np.number) and bool(np.isfinite(value).all())


def _list(names: Sequence[str]) -> str:
  more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
  return ", ".join(names[:_SHOWN]) + more


# ---------------------------------------------------------------------------------------------
# Files


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of a weight file by name.

  Of a checkpoint that holds several states, `ema_net` (averaged weights) comes before `net`; the
  prefix `module.` of parallel training is dropped.

  Raises:
    CheckpointError: the file is missing, of another kind, broken, or holds pickled objects.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise CheckpointError(f"{path}: there is no such file")
  if path.suffix == ".npz":
    state = _read_npz(path)
  elif path.suffix in (".pt", ".pth"):
    state = _read_torch(path)
  else:
    raise CheckpointError(f"{path}: weights are read from .npz, .pt and .pth files")
  if not state:
    raise CheckpointError(f"{path} holds no arrays")
  return {name.removeprefix("module."): value for name, value in state.items()}


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    check_archive(path, _MAX_BYTES, CheckpointError)
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except CheckpointError:
    raise
  except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise CheckpointError(f"{path} is no .npz of arrays, or broken: {error}") from error


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    import torch  # pyright: ignore[reportMissingImports]
  except ImportError:
    raise CheckpointError(
      f"{path}: reading it needs PyTorch ({install('torch')}). Where it is there, the state "
      "dict can be written as an .npz: "
      "numpy.savez('weights.npz', **{name: t.numpy() for name, t in state.items()})"
    ) from None
  import pickle

  broken = f"{path} is no PyTorch file, or broken"
  with path.open("rb") as file:
    head = file.read(2)
  # An archive, or a pickle of protocol 2 to 5: PyTorch takes anything else for a pickle, too.
  if head != b"PK" and not (head[:1] == b"\x80" and head[1:] <= b"\x05"):
    raise CheckpointError(f"{broken}: it begins with {head!r}")
  try:
    saved = torch.load(path, map_location="cpu", weights_only=True)
  except pickle.UnpicklingError as error:
    if "GLOBAL" not in str(error):
      raise CheckpointError(f"{broken}: it cannot be unpickled") from error
    raise CheckpointError(
      f"{path} holds Python objects besides tensors (a pickled module?), which are not loaded, for "
      "they could run any code. Where it was made, export its state dict: "
      "torch.save(model.state_dict(), 'weights.pt')"
    ) from error
  except (RuntimeError, ValueError, EOFError, OSError, LookupError, zipfile.BadZipFile) as error:
    raise CheckpointError(f"{broken}: {error}") from error
  for name in ("ema_net", "net"):
    if isinstance(saved, Mapping) and isinstance(saved.get(name), Mapping):
      saved = saved[name]
      break
  if not isinstance(saved, Mapping):
    raise CheckpointError(f"{path} holds a {type(saved).__name__}; a state dict is wanted")
  tensors = {str(name): value for name, value in saved.items() if isinstance(value, torch.Tensor)}
  return {name: value.detach().to("cpu").float().numpy() for name, value in tensors.items()}
