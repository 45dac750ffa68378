#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
#
# Makes .venv and installs dnas into it (editable, exact pins). Nothing changed: returns at once.
#   PYTHON=python3.13 bash scripts/setup.sh      another interpreter (3.11 to 3.13)
#   EXTRAS=test,torch bash scripts/setup.sh      other extras of setup.cfg (default: test)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python="${PYTHON:-python3}"
extras="${EXTRAS:-test}"
version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" || {
  echo "setup: cannot run '$python'; set PYTHON to a Python 3.11, 3.12 or 3.13" >&2
  exit 2
}
constraints="scripts/constraints/$version.txt"
if [[ ! -f "$constraints" ]]; then
  echo "setup: '$python' is Python $version, but dnas needs Python 3.11, 3.12 or 3.13;" \
    "choose one with, for example, PYTHON=python3.11" >&2
  exit 2
fi

stamp="$(cat setup.cfg pyproject.toml "$constraints" scripts/setup.sh | cksum) $version $extras"
stamp="$stamp $PWD"
if [[ -f .venv/dnas-setup && "$(< .venv/dnas-setup)" == "$stamp" ]]; then
  exit 0
fi

echo "setup: Python $version, extras [$extras], pins of $constraints (about a minute the first time)"
# Packages stay where the interpreter does; pip brings them to the pins.
have="$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true)"
if [[ "$have" != "$version" ]]; then "$python" -m venv --clear .venv; fi
.venv/bin/python -m pip install -qq --disable-pip-version-check \
  --constraint "$constraints" --editable ".[$extras]"
echo "$stamp" > .venv/dnas-setup
echo "setup: done; 'source .venv/bin/activate' or call .venv/bin/python"
