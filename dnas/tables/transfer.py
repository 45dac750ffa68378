# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A method's config put on another search: other data, another space, another length."""

from typing import Any

from dnas import config as configs
from dnas.config import Config
from dnas.fields import plain


def transfer(method: Config, origin: Config, base: Config) -> Config:
  """`base` with what `method` changes of `origin` in its search, at the length of `base`.

  Stages share the steps of `base` in proportion to their own; a warm-up keeps its share of the
  steps. What is watched, and how often, is the base's, but for the Hessian-vector products of a
  method that has another number of them than the origin; and one that stops by what it sees looks
  as often in a search as in its own.
  """
  settings, old, new = (plain(config.search) for config in (method, origin, base))
  longer = new["steps"] / old["steps"]
  changes: dict[str, Any] = {}
  for name, value in settings.items():
    if name in ("network", "steps", "watch") or value == old[name]:
      continue
    same = isinstance(value, dict) and isinstance(old[name], dict)
    if same and value.get("name") == old[name].get("name"):
      different = {key: v for key, v in value.items() if v != old[name].get(key)}
      changes |= {f"{name}.{key}": v for key, v in different.items()}
    else:
      changes[name] = round(value * longer) if name == "warmup_steps" else value
  if stages := changes.get("stages"):
    share = new["steps"] / sum(stage["steps"] for stage in stages)
    scaled = ("steps", "warmup_steps")
    changes["stages"] = tuple(
      {key: round(v * share) if key in scaled else v for key, v in stage.items()}
      for stage in stages
    )
  if settings["projection"]:
    changes["average"] = 0.0
  products = settings["watch"]["hessian_steps"]
  if products != old["watch"]["hessian_steps"]:
    changes["watch.hessian_steps"] = products
  if settings["stop"] is not None:
    changes["watch.every_steps"] = max(1, round(settings["watch"]["every_steps"] * longer))
  return configs.changed(base, {f"search.{name}": value for name, value in changes.items()})
