# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a run that still goes on, made anew at every look, on this machine only."""

import http.server
import pathlib
from collections.abc import Sequence

from dnas.errors import DnasError
from dnas.report import page

REFRESH_S = 10
_HOSTS = ("localhost", "127.0.0.1")


def server(folders: Sequence[pathlib.Path], port: int) -> http.server.HTTPServer:
  """Serves the page at http://127.0.0.1:PORT/ and nothing else; `serve_forever` starts it.

  One request is answered after another. A request under another name than localhost is refused,
  so that no web page can read along by a name of its own that leads here (DNS rebinding).

  Args:
    folders: of runs.
    port: 0: any that is free, `server.server_address[1]`.

  Raises:
    OSError: the port is in use.
  """

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
      host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
      if host not in _HOSTS:
        self.send_error(403, "asked for under a name that is not localhost")
      elif self.path != "/":
        self.send_error(404)
      else:
        self._send_page()

    def _send_page(self) -> None:
      try:
        content = page.page(folders, REFRESH_S).encode()
      except DnasError as error:
        self.send_error(500, " ".join(str(error).split())[:200])
        return
      self.send_response(200)
      self.send_header("Content-Type", "text/html; charset=utf-8")
      self.send_header("Content-Length", str(len(content)))
      self.send_header("Cache-Control", "no-store")
      self.end_headers()
      self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
      """Nothing: every refresh would be a line."""

  return http.server.HTTPServer(("127.0.0.1", port), Handler)
