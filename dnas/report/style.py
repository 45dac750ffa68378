# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The style sheet of `report.html`: light and dark, one column on a phone.

What is wider than its card can be moved aside; a shadow stands where there is more of it.
"""

CSS = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1b1f24;
  --quiet: #59626d; --line: #d8dde3; --input: #dde8f3; --output: #f6dfc9; --node: #eeeeee;
  --link: #0b5cad; --blue: #0072b2; --sky: #56b4e9; --bad: #a33a00;
  --shade: #0004; --clear: #fff0 }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1d2126; --text: #e7eaee;
  --quiet: #a4adb8; --line: #363d46; --input: #25415c; --output: #63431f; --node: #3a4048;
  --link: #7db8f5; --blue: #3f97d8; --sky: #bfe6ff; --bad: #ff9d66;
  --shade: #000c; --clear: #1d212600 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 78rem; padding: 1rem; background: var(--page);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: .3rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem }
h3 { font-size: 1rem; margin: 0 0 .4rem }
a { color: var(--link) }
p, li { max-width: 70ch }
nav a { margin-right: 1rem; display: inline-block; padding: .2rem 0 }
.quiet { color: var(--quiet) }
.missing { color: var(--bad) }
.tiles, .grid { display: grid; gap: .8rem }
.tiles { grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)) }
.grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); align-items: start }
.tile, figure, .card { background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .8rem; margin: 0; min-width: 0 }
.tile b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums }
.wide { grid-column: 1 / -1 }
.scroll { overflow-x: auto; background:
  linear-gradient(to right, var(--card) 40%, var(--clear)) local,
  linear-gradient(to left, var(--card) 40%, var(--clear)) right local,
  linear-gradient(to right, var(--shade), transparent),
  linear-gradient(to left, var(--shade), transparent) right, var(--card);
  background-repeat: no-repeat;
  background-size: 2rem 100%, 2rem 100%, .7rem 100%, .7rem 100%, auto }
figure svg, figure img { display: block; width: 100%; max-width: var(--width); height: auto;
  margin: 0 auto }
figure img { max-width: 100% }
figcaption { color: var(--quiet); font-size: .9rem; margin-top: .5rem }
svg { color: var(--text) }
svg text { fill: currentColor; font-family: system-ui, sans-serif !important }
svg * { stroke-linejoin: round; stroke-linecap: butt }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: right }
th:first-child, td:first-child { text-align: left }
td.text, th.text { text-align: left }
td.text { max-width: 28rem; overflow-wrap: break-word }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .8rem; font-size: .85rem }
summary { cursor: pointer; padding: .3rem 0 }
@media (max-width: 40rem) { .scroll svg { min-width: 34rem } td.text { max-width: 16rem } }
"""
