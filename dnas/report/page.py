# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`report.html`: what a run's folder holds, as one page; and several runs side by side.

Only what is there is shown, so that the page of a run that still goes on is the beginning of the
finished one's.
"""

import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

from dnas import config as configs
from dnas import log
from dnas.config import Config
from dnas.errors import DnasError
from dnas.fields import leaves
from dnas.files import json_of
from dnas.report import findings, html, progress, svg, trials
from dnas.report.cells import caption, draw_cell, searched_cells
from dnas.schema import get
from dnas.space import genotypes

_FIRST = ("AP", "AP50", "AP75", "accuracy", "cross_entropy", "params", "macs")


def page(folders: Sequence[pathlib.Path], refresh_s: int | None = None) -> str:
  """The page of one run, or the comparison of several, as HTML.

  Args:
    folders: of runs.
    refresh_s: the browser is to load it anew after so many seconds; None: never.

  Raises:
    DnasError: a folder holds no run, or a file in it is broken.
  """
  for folder in folders:
    if not any((folder / name).is_file() for name in ("config.json", "tuning.json")):
      raise DnasError(f"{folder} holds no run: there is neither config.json nor tuning.json")
  names = _names(folders)
  if len(folders) > 1:
    body = _comparison(dict(zip(names, folders)))
  else:
    body = _run(names[0], folders[0])
  return html.document(f"dnas: {', '.join(names)}", body, refresh_s)


def _names(folders: Sequence[pathlib.Path]) -> list[str]:
  """The shortest ends of the paths that tell them apart."""
  parts = [folder.absolute().parts for folder in folders]
  for length in range(1, max(map(len, parts)) + 1):
    names = ["/".join(part[-length:]) for part in parts]
    if len(set(names)) == len(names):
      return names
  raise DnasError(f"a run is given twice: {', '.join(map(str, folders))}")


def _run(name: str, folder: pathlib.Path) -> str:
  config, result, training = _config(folder), _result(folder), _training_of(folder)
  tuning = _json(folder / "tuning.json")
  sections = [
    html.section("Result", html.tiles({k: result[k] for k in _FIRST if k in result})),
    html.section("Cells", html.grid(*_cells(folder, "cell")), _chains(folder)),
    html.section("Search", *_search(folder)),
    html.section("Training", *_training(folder)),
    html.section("Cost and budgets", _cost(config, folder, result)),
    html.section("What it finds", *_findings(config, training, result)),
    html.section("Tuning", *trials.parts(tuning)),
    html.section("Again", *_again(config, folder)),
  ]
  shown = [part for part in sections if part]
  links = [part.split('id="', 1)[1].split('"', 1)[0] for part in shown]
  nav = "".join(f'<a href="#{link}">{link.replace("-", " ")}</a>' for link in links)
  # A tuning writes its best config when all its trials are finished.
  done = result or (tuning and (folder / "best.json").is_file())
  state = "" if done else '<p class="quiet">Not finished: this is what is there so far.</p>'
  head = f"<header><h1>{html.text(name)}</h1>{state}<nav>{nav}</nav></header>"
  return f"{head}<main>{''.join(shown)}</main>"


def _cells(folder: pathlib.Path, name: str) -> list[str]:
  if not (folder / "genotype.json").is_file():
    return []
  genotype = genotypes.load(folder / "genotype.json")
  return [
    html.figure(draw_cell(cell, kind), f"{name}{n}", caption(_named(kind), cell), colours=svg.CELL)
    for n, (kind, cell) in enumerate(searched_cells(genotype).items())
  ]


def _chains(folder: pathlib.Path) -> str:
  """The cells in words where none is worth a picture: chains of one operation after another."""
  if not (folder / "genotype.json").is_file():
    return ""
  genotype = genotypes.load(folder / "genotype.json")
  if searched_cells(genotype):
    return ""
  return html.table(("cell", "operations"), [[n, str(cell)] for n, cell in genotype.cells.items()])


def _named(cell: str) -> str:
  return cell if cell == "cell" else f"cell {cell}"


def _search(folder: pathlib.Path) -> list[str]:
  """Of every stage: alpha, losses, what was observed; of a black-box search its scores."""
  parts = []
  for n, stage in enumerate(progress.stages(folder)):
    of = f" ({stage.name})" if stage != folder else ""
    watched, records = progress.read_watch(stage), progress.read_metrics(stage)
    if (stage / "weights.npz").is_file() or (not watched and not _searched(records)):
      continue
    name = f"search{n}"  # A folder or a cell may be called anything; an id may not.
    figures = []
    for c, (cell, seen) in enumerate(progress.alpha_over_time(watched).items()):
      title = f"softmax(alpha) of the {_named(cell)}{of}"
      heat = progress.draw_alpha_heat(*seen)
      figures.append(html.figure(heat, f"{name}-heat{c}", f"{title}, all edges"))
      curves = progress.draw_alpha_curves(*seen)
      figures.append(html.figure(curves, f"{name}-curves{c}", f"{title}, edge by edge"))
    other = [n for record in watched.values() for n in record]
    metrics = progress.draw_metrics(records, ignore=other)
    title = f"Metrics of the search{_averaged(records)}{of}"
    figures.append(html.figure(metrics, f"{name}-metrics", title, wide=True))
    if watched:
      title = f"Diagnostics: entropies, skips, discretisation gap and what else was observed{of}"
      figures.append(html.figure(progress.draw_search(watched), f"{name}-watch", title, wide=True))
    parts.append(html.grid(*figures))
  if (folder / "history.jsonl").is_file():
    drawn = progress.draw_candidates(log.read(folder / "history.jsonl"))
    parts.append(html.grid(html.figure(drawn, "history", "Scores of the candidates")))
  return parts


def _searched(records: Sequence[dict[str, Any]]) -> bool:
  return any("weight_loss" in record for record in records[:1])


def _averaged(records: Sequence[dict[str, Any]]) -> str:
  """What a title says of several searches in one program, whose means are drawn."""
  of_seeds = [value for r in records[-1:] for key, value in r.items() if key.startswith("seeds/")]
  return f", means over its {len(of_seeds[0])} seeds" if of_seeds else ""


def _training(folder: pathlib.Path) -> list[str]:
  drawn = progress.draw_metrics(_of_training(folder))
  return [html.grid(html.figure(drawn, "training", "Metrics of the training", wide=True))]


def _cost(config: Config | None, folder: pathlib.Path, result: dict[str, Any]) -> str:
  """Each cost beside the most that it was allowed to be."""
  record = _json(folder / "cost.json")
  budgets = dict(record.get("budgets", {}))
  costs = {k: v for k, v in record.items() if k not in ("budgets", "genotype", "alpha")}
  costs |= {name: result[name] for name in ("params", "macs") if name in result}
  width = get(config, "train.macs") if config is not None and "train" in config else None
  rows = [
    [name, value, budgets.get(name.removesuffix("_measured"), "")] for name, value in costs.items()
  ]
  said = f"The widths were matched to {html.number(width)} MACs." if width else ""
  return html.table(("cost", "of the result", "budget"), rows) + (f"<p>{said}</p>" if said else "")


def _findings(config: Config | None, training: pathlib.Path, result: dict[str, Any]) -> list[str]:
  """The sheet of pictures, curves and the confusion matrix, and all numbers."""
  if config is None or not result:
    return []
  figures = [
    html.picture(
      training / "predictions.png",
      "Pictures of the split that is evaluated; dashed: true boxes, solid: predicted",
    )
  ]
  missing = ""
  if (training / "predictions.json").is_file():
    try:
      for title, drawn in findings.draw(config, training).items():
        figures.append(html.figure(drawn, title.replace(" ", "-"), title))
    except (DnasError, OSError) as error:  # The page can be made where the data are not.
      missing = f'<p class="missing">No curves, for the data cannot be read: {html.text(error)}</p>'
  plain = [[k, v] for k, v in result.items() if not isinstance(v, dict)]
  classes = [[k, v] for k, v in result.get("per_class", {}).items()]
  return [
    html.grid(*figures),
    missing,
    html.folded("all numbers", html.table(("metric", "value"), plain)),
    html.folded("AP of each class", html.table(("class", "AP"), classes)) if classes else "",
  ]


def _again(config: Config | None, folder: pathlib.Path) -> list[str]:
  """The config, and the command that repeats it, if one does: weights to start from are no file."""
  if config is None:
    return []
  shown = html.folded("config.json", html.code(configs.to_json(config)))
  if "train" in config and get(config, "train.start") is not None:
    return [shown]
  whole = (folder / "train").is_dir() or not (folder / "weights.npz").is_file()
  script, more = ("run", []) if whole else ("train", ["--genotype", str(folder / "genotype.json")])
  words = ["python", f"scripts/{script}.py", "--config", str(folder / "config.json"), *more]
  command = shlex.join([*words, "--workdir", f"{folder}_again"])
  return [
    "<p>The same config and seed on the same kind of device give the same numbers:</p>",
    html.code(command),
    shown,
  ]


def _comparison(runs: dict[str, pathlib.Path]) -> str:
  """Results, differences of the configs, losses and cells of several runs."""
  results = {name: _result(folder) for name, folder in runs.items()}
  metrics = [m for m in _FIRST if any(m in result for result in results.values())]
  rows = [[name, *(r.get(m, "") for m in metrics)] for name, r in results.items()]
  parts = [html.section("Results", html.table(("run", *metrics), rows))]
  parts.append(html.section("What differs in the configs", _differences(runs)))
  for heading in ("Search", "Training"):
    read = _of_search if heading == "Search" else _of_training
    records = {name: read(folder) for name, folder in runs.items()}
    figures = []
    for metric in ("weight_loss", "alpha_loss", "loss"):
      if any(metric in x for r in records.values() for x in r[-1:]):
        drawn = progress.draw_compared(records, metric)
        figures.append(html.figure(drawn, f"{heading.lower()}-{metric}", f"{heading}: {metric}"))
    parts.append(html.section(heading, html.grid(*figures)))
  cells = []
  for n, (name, folder) in enumerate(runs.items()):
    drawn = html.grid(*_cells(folder, f"run{n}-cell"))
    drawn = drawn or _chains(folder)
    cells.append(f'<div class="card"><h3>{html.text(name)}</h3>{drawn}</div>' if drawn else "")
  parts.append(html.section("Cells", html.grid(*cells)))
  return f"<header><h1>{len(runs)} runs</h1></header><main>{''.join(parts)}</main>"


def _of_search(folder: pathlib.Path) -> list[dict[str, Any]]:
  records = progress.read_stages(folder)
  return records if _searched(records) else []


def _training_of(folder: pathlib.Path) -> pathlib.Path:
  """`train/`, or the folder itself where it is a training's own."""
  return folder / "train" if (folder / "train").is_dir() else folder


def _result(folder: pathlib.Path) -> dict[str, Any]:
  """What the network of a run reaches, measured by `run.py` or `evaluate.py`; {} if it was not."""
  return _json(folder / "result.json") or _json(_training_of(folder) / "evaluation.json")


def _of_training(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The records of `train/`, or of a folder that is a training's own."""
  if (training := _training_of(folder)) != folder:
    return progress.read_metrics(training)
  records = progress.read_metrics(folder)
  return [] if _searched(records) else records


def _differences(runs: dict[str, pathlib.Path]) -> str:
  """The fields in which the configs are not all equal, a column a run; with their defaults."""
  of_run = {
    name: (found, dict(leaves(found)) if found is not None else {})
    for name, found in ((name, _config(folder)) for name, folder in runs.items())
  }
  fields = dict.fromkeys(field for _, of in of_run.values() for field in of)
  rows = []
  for field in fields:
    values = [
      repr(of[field]) if field in of else _default(config, field) for config, of in of_run.values()
    ]
    if len(set(values)) > 1:
      rows.append([field, *values])
  return html.table(("field", *of_run), rows) or "<p>Nothing.</p>"


def _default(config: Config | None, field: str) -> str:
  """The value of a field that a config does not set, as in `_differences`."""
  try:
    found = dict(leaves({field: get(config, field)}))
  except (KeyError, TypeError, AttributeError):  # It has no such field.
    return "(absent)"
  return repr(found[field]) if field in found else "(absent)"  # Or it is a section there.


def _config(folder: pathlib.Path) -> Config | None:
  path = folder / "config.json"
  if not path.is_file():
    return None
  return configs.load(path)


def _json(path: pathlib.Path) -> dict[str, Any]:
  """The object in a file; {} without one."""
  value = json_of(path) if path.is_file() else {}
  if not isinstance(value, dict):
    raise DnasError(f"{path}: should hold a JSON object, holds {type(value).__name__}")
  return value
