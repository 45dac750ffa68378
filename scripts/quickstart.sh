#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
#
# Set-up, then the main job on real pixels: searches a detector backbone's cell on the detection
# loss, trains the derived detector from scratch and measures it on the test split.
#   bash scripts/quickstart.sh                               runs/quickstart
#   bash scripts/quickstart.sh --workdir runs/mine --config.seed=1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
exec .venv/bin/python scripts/run.py --config configs/quickstart.py "$@"
