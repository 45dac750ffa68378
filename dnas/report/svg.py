# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A figure as a part of a page: inline SVG in the page's colours, named for screen readers."""

import html
import re
from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.legend import Legend

from dnas import figures

# What is black in a figure gets the colour of the page's text, light or dark; blue, which is hard
# to see on dark ground, a lighter one there, and sky blue again a lighter one than that.
TEXT = {"#000000": "currentColor", "#0072b2": "var(--blue)", "#56b4e9": "var(--sky)"}
# The quiet colours of `cells.draw_cell`, as variables of the page's style sheet.
CELL = {
  "#ffffff": "var(--card)",
  "#444444": "var(--quiet)",
  "#dde8f3": "var(--input)",
  "#f6dfc9": "var(--output)",
  "#eeeeee": "var(--node)",
}


def inline(figure: Figure, name: str, title: str, colours: Mapping[str, str] | None = None) -> str:
  """The figure as an `<svg role="img">` without a size of its own.

  Args:
    figure: its texts stay texts.
    name: unique in the page; begins every id in it.
    title: what a screen reader says.
    colours: further colours of the figure (hexadecimal, lower case) and what CSS is to take.
  """
  for legend in figure.findobj(Legend):
    legend.set_frame_on(False)
  text = figures.drawn(figure, "svg", transparent=True).decode()
  width = round(figure.get_figwidth() * 96)
  box = re.search(r'viewBox="[^"]*"', text)
  body = text[text.index("<svg") :].partition(">")[2]
  # A style element in an SVG is one of the whole page; the page has these rules itself.
  for part in ("metadata", "style"):
    body = re.sub(rf"<{part}.*?</{part}>", "", body, flags=re.DOTALL)
  body = re.sub(r'\bid="', f'id="{name}-', body)
  body = re.sub(r'href="#', f'href="#{name}-', body).replace("url(#", f"url(#{name}-")
  for colour, new in {**TEXT, **(colours or {})}.items():
    body = re.sub(rf"(?<=[ :])({colour})\b", new, body, flags=re.IGNORECASE)
  label = html.escape(title, quote=True)
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    f'role="img" aria-label="{label}" {box[0] if box else ""} style="--width:{width}px">'
    f"<title>{label}</title>{body}"
  )
