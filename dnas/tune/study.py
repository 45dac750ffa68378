# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tuning: the values of any config fields that do best on held-out training data, by Optuna.

Trial 0 is the config as it is, where the ranges hold its values. Each trial has a folder
`trials/NUMBER`, and one that was killed goes on in it where it was. Bad trials are pruned.
"""

import contextlib
import json
import pathlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from dnas import config as configs
from dnas import data, log
from dnas.config import Config
from dnas.errors import ConfigError, DnasError
from dnas.lock import LockError, run_lock
from dnas.search import search
from dnas.space.space import SearchSpace
from dnas.tune import held_out, ranges

_WAIT_S = 5


class _Pruned(Exception):
  """The trial is not worth going on."""


def tune(
  config: Config,
  space: Config,
  workdir: pathlib.Path,
  *,
  trials: int,
  storage: str | None = None,
  whole: bool = False,
  share: float = 0.8,
  every_steps: int | None = None,
  seed: int = 0,
  say: Callable[[str], object] = lambda text: None,
) -> Config:
  """argmax over config fields of the task's headline number on held-out training data.

  The test split is not looked at. Started again, it goes on; started several times at once, with
  the same folder and storage, the processes share the trials. Suggestions depend on `seed` and the
  trials before, so that one process alone proposes the same values again.

  Args:
    config: what is tuned.
    space: what may change, see `ranges.read`.
    workdir: gets `trials/`, `best.json` (a config that every script reads) and `tuning.json`;
      without `whole` also `search/`, whose genotype all trials train.
    trials: how many in all, the first included.
    storage: an Optuna URL (sqlite:///FILE, postgresql://USER@HOST/NAME), or a file that ends in
      .journal; None: `workdir/study.db`.
    whole: whether each trial searches too. Fields of the search can be tuned only so.
    share: of the training split that is trained on; the rest is held out. (A search without
      `whole` sees all of it.)
    every_steps: how often a training is measured, for pruning; None: a fifth of its steps.
    seed: of the proposals.
    say: gets a line for each trial.

  Returns:
    The config with the best values, locked.

  Raises:
    DnasError: Optuna is missing, a range does not fit the config, the storage holds another study,
      or no trial came to its end.
  """
  optuna = _optuna()
  if trials < 1:
    raise DnasError(f"tune: trials must be 1 or more, got {trials}")
  fields = ranges.read(space, config, whole=whole)
  every = every_steps or max(config.train.steps // 5, 1)
  about = {
    "config": json.loads(configs.to_json(config)),
    "ranges": {name: field.about for name, field in fields.items()},
    "settings": {"whole": whole, "share": share, "every_steps": every, "seed": seed},
  }
  study = _study(optuna, storage or f"sqlite:///{workdir.absolute()}/study.db", workdir, about)
  base = ranges.base(fields, config)
  if base is not None and not study.get_trials(deepcopy=False):
    study.enqueue_trial(base)
  genotype = None if whole else _patiently(lambda: search(config, workdir / "search"), say)
  while (claimed := _claim(optuna, study, workdir, trials, seed)) is not None:
    with claimed as trial:
      values = {name: field.suggest(trial) for name, field in fields.items()}
      report = _reporter(optuna, trial)
      changed = configs.changed(config, values)
      run = lambda changed=changed, trial=trial, report=report: held_out.score(
        changed, genotype, _folder(workdir, trial) / "run", report, share=share, every_steps=every
      )
      _finish(optuna, study, trial, run, say)
  best = configs.changed(config, _best(optuna, study, fields))
  log.atomic_write(workdir / "best.json", configs.to_json(best))
  log.atomic_write(
    workdir / "tuning.json", json.dumps(_summary(optuna, study, fields, config), indent=1) + "\n"
  )
  return best


def _optuna() -> Any:
  try:
    import optuna  # pyright: ignore[reportMissingImports]
  except ModuleNotFoundError as error:
    raise DnasError("tuning needs Optuna: pip install 'dnas[tune]'") from error
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


def _study(optuna: Any, url: str, workdir: pathlib.Path, about: Mapping[str, Any]) -> Any:
  """The study of this folder's name, which must have been of the same config, ranges, settings."""
  workdir.mkdir(parents=True, exist_ok=True)
  storage: Any = url
  if url.endswith(".journal"):
    journal = optuna.storages.journal
    storage = journal.JournalStorage(journal.JournalFileBackend(url))
  study = optuna.create_study(
    storage=storage,
    study_name=workdir.name or "dnas",
    direction="maximize",
    pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    load_if_exists=True,
  )
  before = study.user_attrs.get("about")
  if before is None:
    study.set_user_attr("about", about)
  elif changes := configs.diff(before, json.loads(json.dumps(about))):
    raise ConfigError(
      f"{url} holds another study named {study.study_name} ({'; '.join(changes)}): choose another "
      "--workdir"
    )
  return study


def _claim(optuna: Any, study: Any, workdir: pathlib.Path, trials: int, seed: int):
  """A context with the next trial: one that a process of this machine left, or a new one; None."""
  everything = study.get_trials(deepcopy=False)
  for frozen in everything:
    if (
      frozen.state == optuna.trial.TrialState.RUNNING
      and frozen.user_attrs.get("host") == socket.gethostname()
    ):
      held = contextlib.ExitStack()
      try:
        held.enter_context(run_lock(_folder(workdir, frozen)))
      except LockError:
        continue  # Another process is at it.
      return _holding(held, optuna.trial.Trial(study, frozen._trial_id))
  waiting = sum(t.state == optuna.trial.TrialState.WAITING for t in everything)
  if len(everything) - waiting >= trials:
    return None
  done = len(everything) - waiting
  study.sampler = optuna.samplers.TPESampler(
    seed=seed + done, n_startup_trials=min(10, max(4, trials // 3))
  )
  trial = study.ask()
  held = contextlib.ExitStack()
  held.enter_context(run_lock(_folder(workdir, trial)))
  trial.set_user_attr("host", socket.gethostname())  # Not before the lock: see above.
  return _holding(held, trial)


@contextlib.contextmanager
def _holding(held: contextlib.ExitStack, trial: Any):
  with held:
    yield trial


def _folder(workdir: pathlib.Path, trial: Any) -> pathlib.Path:
  return workdir / "trials" / f"{trial.number:04d}"


def _reporter(optuna: Any, trial: Any) -> Callable[[int, float], None]:
  """(step, score) -> None, into the storage; raises _Pruned."""
  known = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)

  def report(step: int, score: float) -> None:
    if step not in known:  # A resumed trial may pass a step again.
      trial.report(score, step)
    if trial.should_prune():
      raise _Pruned

  return report


def _finish(optuna: Any, study: Any, trial: Any, run: Callable[[], float], say: Callable) -> None:
  """Runs a trial and tells the study. A value that cannot be trained is a failure, not the end."""
  state = optuna.trial.TrialState
  values = json.dumps(trial.params)
  try:
    score = run()
  except _Pruned:
    study.tell(trial, state=state.PRUNED)
    say(f"trial {trial.number}: pruned; {values}")
  except LockError:
    raise
  except DnasError as error:
    trial.set_user_attr("error", str(error))
    study.tell(trial, state=state.FAIL)
    say(f"trial {trial.number}: failed: {error}; {values}")
  else:
    study.tell(trial, score)
    say(f"trial {trial.number}: {score:.4f}; {values}")


def _patiently(work: Callable[[], SearchSpace], say: Callable) -> SearchSpace:
  """The result of a search that another worker may be at."""
  told = False
  while True:
    try:
      return work()
    except LockError as error:
      if not told:
        say(f"waiting: {error}")
      told = True
      time.sleep(_WAIT_S)


def _best(optuna: Any, study: Any, fields: Mapping[str, ranges.Range]) -> dict[str, Any]:
  complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
  if not complete:
    errors = [t.user_attrs["error"] for t in study.trials if "error" in t.user_attrs]
    raise DnasError(f"no trial came to its end: {errors[-1] if errors else 'none was run'}")
  best = max(complete, key=lambda trial: trial.value)
  return {name: field.value(best.params[name]) for name, field in fields.items()}


def _summary(optuna: Any, study: Any, fields: Mapping[str, ranges.Range], config: Config) -> dict:
  """What `tuning.json` holds: the trials, and fANOVA's importance where enough are complete."""
  complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
  importance = {}
  if len(complete) >= 4 and len({trial.value for trial in complete}) > 1:
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    importance = optuna.importance.get_param_importances(study, evaluator=evaluator)
  source = data.labelled(config.data.spec, config.data.train_split)
  return {
    "score": f"{held_out.headline(config, source)} on held-out training data",
    "trials": [
      {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "score": trial.value,
        "course": sorted(trial.intermediate_values.items()),
        "fields": {n: fields[n].value(v) for n, v in trial.params.items()},
        "error": trial.user_attrs.get("error"),
      }
      for trial in study.get_trials(deepcopy=False)
    ],
    "importance": {name: float(value) for name, value in importance.items()},
  }
