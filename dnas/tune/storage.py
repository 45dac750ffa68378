# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Where the trials of a tuning are kept: a storage of Optuna that several processes open at once.

`sqlite:///FILE` for processes of one machine; `FILE.journal` for machines that share a disk, NFS
among them; `postgresql://USER@HOST/NAME` or `mysql://...` for machines that reach a server.
"""

import json
import pathlib
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from dnas import config as configs
from dnas.errors import ConfigError, DnasError, install

JOURNAL = ".journal"
VALID = (
  "sqlite:///FILE for processes of one machine, FILE.journal for machines that share a disk, "
  "postgresql://USER@HOST/NAME or mysql://USER@HOST/NAME for machines that reach a server"
)
_SQLITE_WAIT_S = 60  # Its default of 5 s is short where another process is suspended.
_TRIES, _FIRST_PAUSE_S = 6, 0.1


def optuna() -> Any:
  """Optuna, which is not installed with dnas.

  Raises:
    DnasError: it is missing.
  """
  try:
    import optuna  # pyright: ignore[reportMissingImports]
  except ModuleNotFoundError as error:
    raise DnasError(f"tuning needs Optuna: {install('tune')}") from error
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


def beside(folder: pathlib.Path) -> str:
  """The storage `study.db` in a folder, whose name may hold what has a meaning in an address."""
  quoted = re.sub("[%?]", lambda found: urllib.parse.quote(found[0]), str(folder.absolute()))
  return f"sqlite:///{quoted}/study.db"


def open_study(storage: str, name: str, about: Mapping[str, Any]) -> Any:
  """The study of this name in the storage, made if there is none.

  Args:
    storage: as above.
    name: of the study.
    about: what it is about, as JSON values. A study that is there must have been about the same.

  Raises:
    ConfigError: the storage is not of one of these forms, or holds another study of this name.
    DnasError: Optuna is missing, or the storage cannot be opened.
  """
  opt, shown = optuna(), re.sub(r"//([^/@:]*):[^/]*@", r"//\1:***@", storage)
  study = opt.create_study(
    storage=_open(opt, storage, shown),
    study_name=name,
    direction="maximize",
    pruner=opt.pruners.MedianPruner(n_startup_trials=4),
    load_if_exists=True,
  )
  if "about" not in study.user_attrs:
    study.set_user_attr("about", about)
  if changes := configs.diff(study.user_attrs["about"], json.loads(json.dumps(about))):
    raise ConfigError(
      f"{shown} holds another study named {name} ({'; '.join(changes)}): choose another --workdir"
    )
  return study


def _open(opt: Any, storage: str, shown: str) -> Any:
  from sqlalchemy import exc, pool  # pyright: ignore[reportMissingImports]  # Comes with Optuna.

  refused = (exc.SQLAlchemyError, opt.exceptions.OptunaError, RuntimeError, ImportError)
  form = storage.partition("://")
  if storage.endswith(JOURNAL) and not form[1]:
    # Its lock is a link to this path, which has to lead there from anywhere: else the lock of a
    # process that was killed is never found stale.
    path = str(pathlib.Path(storage).absolute())
    opened = lambda: opt.storages.JournalStorage(opt.storages.journal.JournalFileBackend(path))
  elif form[0].partition("+")[0] in ("sqlite", "postgresql", "mysql") and form[2].strip("/"):
    sqlite = storage.startswith("sqlite")
    # Without a pool no connection outlives its use, and the file is free when the study is done.
    options = {"connect_args": {"timeout": _SQLITE_WAIT_S}, "poolclass": pool.NullPool}
    options = options if sqlite else {}
    opened = lambda: opt.storages.RDBStorage(storage, engine_kwargs=options)
  else:
    raise ConfigError(f"--storage {shown!r} is none; valid: {VALID}")
  for attempt in range(_TRIES):
    try:
      return opened()
    except exc.DBAPIError as error:
      # Two processes that make the tables at once disturb each other; then they are there.
      if attempt == _TRIES - 1:
        raise DnasError(f"--storage {shown}: cannot be opened: {error.orig}") from error
      time.sleep(_FIRST_PAUSE_S * 2**attempt)
    except (*refused, OSError, ValueError, KeyError) as error:
      raise DnasError(f"--storage {shown}: cannot be opened: {error}") from error
  raise AssertionError("unreachable")
