# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Tuning: the values of any config fields that do best on held-out training data, by Optuna.

Trial 0 is the config as it is, where the ranges hold its values. Each trial has a folder
`trials/NUMBER`, and one that was killed goes on in it where it was. Bad trials are pruned.
"""

import contextlib
import json
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dnas import config as configs
from dnas import data, files, log, train
from dnas.config import Config
from dnas.errors import ConfigError, DnasError, check_count, check_number
from dnas.fields import plain
from dnas.lock import LockError, patiently
from dnas.progress import say
from dnas.schema import check
from dnas.search import search
from dnas.space.space import SearchSpace
from dnas.trees import CheckpointError
from dnas.tune import held_out, ranges
from dnas.tune import storage as storages
from dnas.tune.trials import Trials

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
  say: Callable[[str], object] = say,
) -> Config:
  """argmax over config fields of the task's headline number on held-out training data.

  The test split is not looked at. Started again, it goes on; started several times at once, with
  the same storage and the same name of the folder, the processes share the trials, and each returns
  once all are finished. One that dies loses its trial to another, which goes on in the trial's
  folder, or anew where the folder is not shared. Suggestions depend on `seed`, the trial's number
  and the trials finished before, so that one process alone proposes the same values again.

  Args:
    config: what is tuned.
    space: what may change, see `ranges.read`.
    workdir: gets `trials/`; `tuning.json`, the finished trials, anew after each; in the end
      `best.json`, a config that every script reads; without `whole` also `search/`, whose genotype
      all trials train.
    trials: how many in all, the first included.
    storage: see `dnas.tune.storage`; None: `workdir/study.db`, for processes of one machine.
    whole: whether each trial searches too. Fields of the search can be tuned only so.
    share: of the training split that a trial sees, in (0, 1); the rest is held out. (The one search
      without `whole` sees all of the split, and so does that of a black-box strategy.)
    every_steps: how often a training is measured, for pruning; None: a fifth of its steps.
    seed: of the proposals.
    say: gets a line for each trial.

  Returns:
    The config with the best values, locked.

  Raises:
    DnasError: an argument is out of range, Optuna is missing, a range does not fit the config, the
      storage cannot be opened or holds another study, or no trial came to its end.
    CheckpointError, LogError, OSError: a trial could not be written; it goes on the next time.
  """
  if jax.process_count() > 1:
    raise ConfigError(
      f"tune: takes one JAX process, got {jax.process_count()}; start the line several times with "
      "one --storage"
    )
  check(config, "space", "search", "train", "evaluate")
  check_count("tune: trials", trials, 1)
  check_number("tune: share", share, above=0, below=1)
  every = max(config.train.steps // 5, 1) if every_steps is None else every_steps
  check_count("tune: every_steps", every, 1)
  source = data.labelled(config.data.spec, config.data.train_split)
  train.check_before_search(config, source)
  optuna = storages.optuna()
  fields = ranges.read(space, config, whole=whole)
  about = {
    "config": plain(config),
    "ranges": {name: field.about for name, field in fields.items()},
    "settings": {"whole": whole, "share": share, "every_steps": every, "seed": seed},
  }
  workdir.mkdir(parents=True, exist_ok=True)
  place = storage or storages.beside(workdir)
  study = storages.open_study(place, workdir.name or "dnas", about)
  genotype = None if whole else _genotype(study, config, workdir / "search", say)
  mine = Trials(optuna, study, workdir, trials, say)
  score = f"{held_out.headline(config)} on held-out training data"
  note = lambda: files.atomic_write(
    workdir / "tuning.json",
    json.dumps({"score": score, **_summary(optuna, study, fields)}, indent=1) + "\n",
  )
  while (claimed := mine.claim()) is not None:
    with claimed as trial:
      base = None if trial.number else ranges.base(fields, config)
      study.sampler = _sampler(optuna, base, seed + trial.number, trials)
      values = {name: field.suggest(trial) for name, field in fields.items()}
      report = _reporter(optuna, trial)
      changed = configs.changed(config, values)
      run = lambda changed=changed, trial=trial, report=report: held_out.score(
        changed, genotype, mine.folder(trial) / "run", report, share=share, every_steps=every
      )
      _finish(optuna, study, trial, run, say)
    note()
  note()  # Others may have finished some since.
  best = configs.changed(config, _best(optuna, study, fields))
  files.atomic_write(workdir / "best.json", configs.to_json(best))
  return best


def _genotype(
  study: Any, config: Config, folder: pathlib.Path, say: Callable[[str], object]
) -> SearchSpace:
  """What all trials train. In the storage: machines may round, and so search, differently."""
  if "genotype" not in study.user_attrs:
    # Another worker may be at it.
    found = patiently(
      lambda: search(config, folder), lambda error: say(f"waiting: {error}"), _WAIT_S
    )
    if "genotype" not in study.user_attrs:  # Another machine may have been quicker.
      study.set_user_attr("genotype", found.to_dict())
  return SearchSpace.from_dict(study.user_attrs["genotype"])


def _sampler(optuna: Any, base: Mapping[str, Any] | None, seed: int, trials: int) -> Any:
  """Proposes the values `base`, or what trials before suggest.

  Not `Study.enqueue_trial` for the former: of processes that start at once, each would do so.
  """
  startup = min(10, max(4, trials // 3))
  sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
  if base is None:
    return sampler
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna.samplers.PartialFixedSampler(dict(base), sampler)


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
  score, state = None, None
  finished = optuna.exceptions.UpdateFinishedTrialError
  try:
    score = run()
    outcome = f"{score:.4f}"
  except _Pruned:
    state, outcome = optuna.trial.TrialState.PRUNED, "pruned"
  except finished:
    say(f"trial {trial.number}: another process took this one for dead and finished its trial")
    return
  except (LockError, CheckpointError, log.LogError):  # A full disk says nothing about the values.
    raise
  except DnasError as error:
    state, outcome = optuna.trial.TrialState.FAIL, f"failed: {error}"
    with contextlib.suppress(finished):
      trial.set_user_attr("error", str(error))
  study.tell(trial, score, state, skip_if_finished=True)
  say(f"trial {trial.number}: {outcome}; {json.dumps(trial.params)}")


def _best(optuna: Any, study: Any, fields: Mapping[str, ranges.Range]) -> dict[str, Any]:
  complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
  if not complete:
    errors = [t.user_attrs["error"] for t in study.trials if "error" in t.user_attrs]
    raise DnasError(f"no trial came to its end: {errors[-1] if errors else 'none was run'}")
  best = max(complete, key=lambda trial: trial.value)
  return {name: field.value(best.params[name]) for name, field in fields.items()}


def _summary(optuna: Any, study: Any, fields: Mapping[str, ranges.Range]) -> dict[str, Any]:
  """What `tuning.json` holds: the trials, and fANOVA's importance where enough are complete."""
  complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
  importance = {}
  if len(complete) >= 4 and len({trial.value for trial in complete}) > 1:
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    importance = optuna.importance.get_param_importances(study, evaluator=evaluator)
  return {
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
      if trial.state.is_finished()
    ],
    "importance": {name: float(value) for name, value in importance.items()},
  }
