# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a run that still goes on, made anew at every look, on this machine only."""

import contextlib
import http.server
import pathlib
import threading
from collections.abc import Sequence

from dnas.errors import DnasError
from dnas.report import html, page

REFRESH_S = 10
_SILENT_S = 60.0  # After that a connection on which nothing was asked is closed.
_HOSTS = ("localhost", "127.0.0.1")


def server(folders: Sequence[pathlib.Path], port: int) -> http.server.HTTPServer:
  """Serves the page at http://127.0.0.1:PORT/ and nothing else; `serve_forever` starts it.

  One page is made after another; connections that ask for nothing, as browsers open them to have
  some at hand, stop nobody. A request under another name than localhost is refused, so that no web
  page can read along by a name of its own that leads here (DNS rebinding). While there is no page,
  as before the run begins, it says why, and goes on looking.

  Args:
    folders: of runs.
    port: 0: any that is free, `server.server_address[1]`.

  Raises:
    DnasError: the port is none, or in use.
  """
  one = threading.Lock()

  class Handler(http.server.BaseHTTPRequestHandler):
    timeout = _SILENT_S

    def do_GET(self) -> None:
      host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
      if host not in _HOSTS:
        self.send_error(403, "asked for under a name that is not localhost")
      elif self.path != "/":
        self.send_error(404)
      else:
        with contextlib.suppress(ConnectionError):  # Who asked may not have waited.
          self._send_page()

    def _send_page(self) -> None:
      try:
        with one:
          code, text = 200, page.page(folders, REFRESH_S)
      except (DnasError, OSError) as error:
        words = f'<main><p class="missing">{html.text(error)}</p></main>'
        code, text = 500, html.document("dnas: no page", words, REFRESH_S)
      content = text.encode()
      self.send_response(code)
      self.send_header("Content-Type", "text/html; charset=utf-8")
      self.send_header("Content-Length", str(len(content)))
      self.send_header("Cache-Control", "no-store")
      self.end_headers()
      self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
      """Nothing: every refresh would be a line."""

  try:
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
  except (OSError, OverflowError) as error:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    raise DnasError(f"port {port} of this machine: {reason}") from error
