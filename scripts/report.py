# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Makes report.html of a run, or a page that compares several; shows a run while it goes on.

python scripts/report.py runs/quickstart
python scripts/report.py runs/seed0 runs/seed1 --out comparison.html
python scripts/report.py runs/quickstart --serve
"""

import os
import pathlib

from dnas import report
from dnas.config import Parser
from dnas.errors import one_line_errors
from dnas.progress import say
from dnas.report import serve


def main(argv: list[str] | None = None) -> None:
  """Reads the command line and writes or serves the page."""
  parser = Parser(description=__doc__)
  parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN", help="a run's folder")
  parser.add_argument(
    "--out",
    type=pathlib.Path,
    metavar="FILE",
    help="default: report.html in the run's folder; of several: comparison.html in the one above",
  )
  parser.add_argument("--serve", action="store_true", help="show it live on this machine instead")
  parser.add_argument("--port", type=int, help="for --serve (default: 8311)")
  flags = parser.parse_args(argv)
  if flags.serve:
    parser.refuse(flags, ("out",), "is of a file, and --serve writes none: leave one out")
  else:
    parser.refuse(flags, ("port",), "belongs to --serve")
  if flags.port is not None and not 0 <= flags.port < 65536:
    parser.error(f"--port must be 0 (any that is free) to 65535, got {flags.port}")
  with one_line_errors():
    if flags.serve:
      with serve.server(flags.runs, 8311 if flags.port is None else flags.port) as server:
        say(f"http://127.0.0.1:{server.server_address[1]}/ until Ctrl-C")
        try:
          server.serve_forever()
        except KeyboardInterrupt:
          return
    above = pathlib.Path(os.path.commonpath([run.absolute().parent for run in flags.runs]))
    default = above / "comparison.html" if len(flags.runs) > 1 else flags.runs[0] / "report.html"
    print(report.write_page(flags.runs, flags.out or default))


if __name__ == "__main__":
  main()
