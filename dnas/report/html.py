# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of HTML; every text in them is escaped."""

import base64
import html
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from dnas.report import style, svg

# Nothing is fetched and no script runs, whatever a run's folder holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, body: str, refresh_s: int | None = None) -> str:
  """A whole page; with `refresh_s` the browser loads it anew after so many seconds."""
  refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n{refresh}'
    '<link rel="icon" href="data:,">\n'
    f"<title>{text(title)}</title>\n<style>{style.CSS}</style>\n</head>\n<body>\n"
    f"{body}\n</body>\n</html>\n"
  )


def text(value: Any) -> str:
  """The text, escaped."""
  return html.escape(str(value), quote=True)


def number(value: Any) -> str:
  """A number as people read it: 0.7705, 579,198, 3.2e-05; COCO's -1 for "nothing of that" is –."""
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    return text(value if isinstance(value, str) else json.dumps(value))
  if value == -1:
    return "–"
  return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def section(heading: str, *parts: str) -> str:
  """A heading with what stands below it; "" if that is nothing."""
  inner = "\n".join(part for part in parts if part)
  name = heading.lower().replace(" ", "-")
  return f'<section id="{text(name)}"><h2>{text(heading)}</h2>\n{inner}</section>' if inner else ""


def grid(*parts: str) -> str:
  """Parts side by side where there is room; "" for none."""
  inner = "\n".join(part for part in parts if part)
  return f'<div class="grid">{inner}</div>' if inner else ""


def figure(
  drawn: Figure | None,
  name: str,
  title: str,
  *,
  wide: bool = False,
  colours: Mapping[str, str] | None = None,
) -> str:
  """A figure with its title; `name` is unique in the page. "" for None."""
  if drawn is None:
    return ""
  picture = svg.inline(drawn, name, title, colours)
  kind = ' class="wide"' if wide else ""
  return (
    f'<figure{kind}><div class="scroll" tabindex="0">{picture}</div>'
    f"<figcaption>{text(title)}</figcaption></figure>"
  )


def picture(path: pathlib.Path, title: str) -> str:
  """An image file inside the page, as WebP; "" if there is no such file."""
  if not path.is_file():
    return ""
  buffer = io.BytesIO()
  with Image.open(path) as image:
    image.convert("RGB").save(buffer, format="webp", quality=88)
  data = base64.b64encode(buffer.getvalue()).decode()
  return (
    f'<figure class="wide"><img alt="{text(title)}" src="data:image/webp;base64,{data}">'
    f"<figcaption>{text(title)}</figcaption></figure>"
  )


def tiles(values: Mapping[str, Any]) -> str:
  """The numbers that count most, large."""
  each = [f'<div class="tile">{text(k)}<b>{number(v)}</b></div>' for k, v in values.items()]
  return f'<div class="tiles">{"".join(each)}</div>' if each else ""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
  """A table; "" without rows. Numbers stand to the right, and so do the names of their columns."""
  if not rows:
    return ""
  words = [all(isinstance(row[n], str) for row in rows) for n in range(len(header))]
  kinds = [' class="text"' if of_words else "" for of_words in words]
  head = "".join(f'<th scope="col"{k}>{text(h)}</th>' for h, k in zip(header, kinds, strict=True))
  cell = lambda v: (
    f'<td class="text">{text(v)}</td>' if isinstance(v, str) else (f"<td>{number(v)}</td>")
  )
  body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
  return (
    f'<div class="scroll card" tabindex="0"><table><thead><tr>{head}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>"
  )


def code(words: str) -> str:
  """Words as they are to be typed."""
  return f'<pre tabindex="0">{text(words)}</pre>'


def folded(summary: str, inner: str) -> str:
  """What is shown on a click."""
  return f"<details><summary>{text(summary)}</summary>{inner}</details>"
