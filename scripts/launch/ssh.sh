#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
# One run on several machines that ssh reaches; the first is the coordinator.
#
#   scripts/launch/ssh.sh [--dry-run] [--port 9321] [--folder DIR] HOST HOST ... -- COMMAND ...
#   scripts/launch/ssh.sh node1 node2 -- python scripts/run.py --config configs/coco_darts.py
#
# DIR (default: this repository's path) must be the same folder on all of them, shared for the
# run's files. Ends with the highest code of all processes; 75 means: start it again, it goes on.
# DNAS_SSH replaces `ssh` (tests put a local shell there).
set -euo pipefail
source "$(dirname "$0")/common.sh"

port=9321
folder=$(cd "$(dirname "$0")/../.." && pwd)
hosts=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    --dry-run) DRY_RUN=1 ;;
    --port) port=${2:-}; shift ;;
    --folder) folder=${2:-}; shift ;;
    -*) die "unknown flag $1" ;;
    *) hosts+=("$1") ;;
  esac
  shift
done
[ "${#hosts[@]}" -gt 0 ] || die "no hosts"
[ $# -gt 1 ] || die "no command after --"
shift
need --port "$port" '[0-9]+'

children=()
# Whatever ends this script ends the processes: with SIGTERM, so that they save.
trap '[ "${#children[@]}" = 0 ] || kill -TERM "${children[@]}" 2>/dev/null || true' TERM INT
for index in "${!hosts[@]}"; do
  # `exec` so that a signal reaches the run itself; -tt so that ssh hands it on.
  remote="cd $(quoted "$folder") && . .venv/bin/activate && exec env"
  remote+=" JAX_COORDINATOR_ADDRESS=${hosts[0]#*@}:$port JAX_NUM_PROCESSES=${#hosts[@]}"
  remote+=" JAX_PROCESS_ID=$index $(quoted "$@")"
  if [ "$DRY_RUN" = 1 ]; then
    act ${DNAS_SSH:-ssh -tt} "${hosts[index]}" "$remote"
  else
    ${DNAS_SSH:-ssh -tt} "${hosts[index]}" "$remote" </dev/null &
    children+=($!)
  fi
done

code=0
for child in ${children[@]+"${children[@]}"}; do
  until wait "$child"; do
    status=$?
    kill -0 "$child" 2>/dev/null && continue # The wait was interrupted; the process saves.
    [ "$status" -le "$code" ] || code=$status
    break
  done
done
exit "$code"
