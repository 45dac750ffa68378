# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The other side of `environment.run`: `python -m dnas.export CALL RESULT`."""

import pathlib
import pickle
import sys


def main() -> None:
  """Calls the function that lies in CALL and writes what it gives to RESULT."""
  call, result = map(pathlib.Path, sys.argv[1:])
  function, arguments = pickle.loads(call.read_bytes())  # Written by the process that started us.
  result.write_bytes(function(*arguments))


if __name__ == "__main__":
  main()
