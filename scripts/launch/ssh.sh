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
if [ "$DRY_RUN" = 0 ]; then
  # The input of all processes, in which nothing is ever written. Whatever ends this script ends it,
  # kill -9 too, and then each machine sends its process SIGTERM, so that it saves. (A killed ssh
  # would hand on nothing, or with a terminal SIGHUP.)
  aside=$(mktemp -d)
  mkfifo "$aside/input"
  exec 9<>"$aside/input" 8<"$aside/input"
  rm -r "$aside"
  trap 'exec 9>&-' TERM INT
fi
for index in "${!hosts[@]}"; do
  remote="cd $(quoted "$folder") && . .venv/bin/activate || exit; exec 3<&0; env"
  remote+=" JAX_COORDINATOR_ADDRESS=${hosts[0]#*@}:$port JAX_NUM_PROCESSES=${#hosts[@]}"
  remote+=" JAX_PROCESS_ID=$index $(quoted "$@") 3<&- </dev/null & run=\$!;"
  remote+=' { cat <&3; kill -TERM $run; } >/dev/null 2>&1 & watch=$!;'
  remote+=' exec 3<&-; wait $run; code=$?; kill $watch 2>/dev/null; exit $code'
  if [ "$DRY_RUN" = 1 ]; then
    act ${DNAS_SSH:-ssh} "${hosts[index]}" "$remote"
  else
    ${DNAS_SSH:-ssh} "${hosts[index]}" "$remote" <&8 8<&- 9>&- &
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
