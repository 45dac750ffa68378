# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Environments for converters whose pins clash with ours (jax2onnx and TensorFlow).

Such an environment sees all packages of the present one behind its own, so that a function can be
handed over with its code, and only what clashes is installed again.
"""

import contextlib
import hashlib
import importlib.util
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dnas
from dnas import cache
from dnas.errors import DnasError, install
from dnas.files import atomic_write
from dnas.lock import patiently, run_lock

WAIT_S = 1.0  # between two looks at an environment that another process makes


def say(text: str) -> None:
  """Tells the user what takes time, on stderr."""
  print(text, file=sys.stderr, flush=True)


def need(module: str, extra: str) -> Any:
  """The module, imported.

  Raises:
    DnasError: it is not installed; the message says which extra brings it.
  """
  if importlib.util.find_spec(module) is None:
    raise DnasError(f"{module} is not installed: it is with {install(extra)}")
  return importlib.import_module(module)


def python_with(module: str, requirements: Sequence[str]) -> pathlib.Path:
  """An interpreter that can import `module`: this one, or that of an environment made for it.

  The environment lies in the cache (`$DNAS_CACHE`, else ~/.cache/dnas) and is made once.

  Args:
    module: what is needed.
    requirements: what pip is to install for it.

  Raises:
    DnasError: pip failed; its exit status and last words are in the message.
  """
  if importlib.util.find_spec(module) is not None:
    return pathlib.Path(sys.executable)
  packages = _packages()
  state = repr((sys.version, packages, sorted(requirements)))
  digest = hashlib.sha256(state.encode()).hexdigest()[:12]
  folder = cache.folder().absolute() / "environments" / f"{module}-{digest}"
  python, ready = folder / "bin" / "python", folder / "ready"
  if ready.is_file():
    return python
  with _turn(folder):
    if ready.is_file():
      return python
    say(f"{module} clashes with pins of this environment: making one for it in {folder}")
    venv.create(folder, clear=True, with_pip=True)
    paths = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    # Behind the environment's own packages; sorted last, it leaves them the first word.
    pathlib.Path(paths, "zz_dnas.pth").write_text("\n".join(packages) + "\n", encoding="utf-8")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
      shutil.rmtree(folder, ignore_errors=True)
      raise DnasError(f"pip install {' '.join(requirements)}: {_failure(done)}")
    atomic_write(ready, state)
  return python


def run(python: pathlib.Path, function: Callable[..., bytes], *arguments: Any) -> bytes:
  """function(*arguments) in another interpreter; what it needs travels by cloudpickle.

  Args:
    python: the interpreter, see `python_with`.
    function: importable there; gives bytes.
    arguments: functions among them may be closures.

  Raises:
    DnasError: the process failed; its exit status and last words are in the message.
  """
  cloudpickle = need("cloudpickle", "export")
  roots = [str(pathlib.Path(dnas.__file__).parents[1]), *filter(None, sys.path)]
  outside = [path for path in dict.fromkeys(roots) if path not in _packages()]
  environment = os.environ | {"PYTHONPATH": os.pathsep.join(outside), "JAX_PLATFORMS": "cpu"}
  with tempfile.TemporaryDirectory(prefix="dnas-") as folder:
    call, result = pathlib.Path(folder, "call"), pathlib.Path(folder, "result")
    try:
      call.write_bytes(cloudpickle.dumps((function, arguments)))
    except (TypeError, pickle.PicklingError) as error:
      raise DnasError(
        f"the model's function cannot be handed to a converter ({error}): it may hold arrays and "
        "settings, but no open files, data sets or locks"
      ) from error
    command = [python, "-m", "dnas.export", call, result]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
      raise DnasError(f"{function.__module__} failed: {_failure(done)}")
    return result.read_bytes()


@contextlib.contextmanager
def _turn(folder: pathlib.Path) -> Iterator[None]:
  """The right to make an environment; waits for another process that has it, and says so once."""
  making = folder.with_name(f"{folder.name}.making")
  waiting = f"another process makes the environment in {folder}: waiting for it"
  with contextlib.ExitStack() as stack:
    patiently(lambda: stack.enter_context(run_lock(making)), lambda _: say(waiting), WAIT_S)
    yield


def _packages() -> list[str]:
  """The folders of installed packages that this interpreter sees."""
  return [
    path for path in sys.path if pathlib.Path(path).name in ("site-packages", "dist-packages")
  ]


def _failure(done: subprocess.CompletedProcess[str]) -> str:
  """What is known of a process that failed: its exit status and its last words."""
  killed = ", killed, often for lack of memory" if done.returncode == -signal.SIGKILL else ""
  return f"exit status {done.returncode}{killed}: {_last_words(done.stderr)}"


def _last_words(text: str, lines: int = 2, chars: int = 300) -> str:
  """The last lines of an error that say something, cut where they are dumps of a program."""
  kept = [line.strip()[:chars] for line in text.splitlines() if line.strip("-^~ \t")]
  errors = [line for line in kept if re.match(r"[\w.]*(Error|Exception|Operation)\b|error:", line)]
  return " | ".join((errors or kept)[-lines:]) or "no message"
