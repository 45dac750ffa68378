#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
#
# Set-up, lint, format check, types, tests and their time by file. Arguments go to pytest, except
# --all: the slow tests too.
#   bash scripts/test.sh                    under 6 minutes on 2 cores
#   bash scripts/test.sh --all              slow tests included, under 45 minutes
#   bash scripts/test.sh tests/space -x     a part
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

arguments=()
for argument in "$@"; do
  if [[ "$argument" == --all ]]; then arguments+=(-m ""); else arguments+=("$argument"); fi
done

bash scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyright --pythonpath .venv/bin/python dnas
# One process a core.
exec .venv/bin/python -m pytest -n auto --times "${arguments[@]}"
