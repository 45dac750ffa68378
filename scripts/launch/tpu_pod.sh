#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
# A Cloud TPU pod by queued resources: ask for it, set it up, run, give it back.
#
#   scripts/launch/tpu_pod.sh [--dry-run] create NAME ZONE v5litepod-16 v2-alpha-tpuv5-lite [--spot]
#   scripts/launch/tpu_pod.sh [--dry-run] setup  NAME ZONE GIT_URL
#   scripts/launch/tpu_pod.sh [--dry-run] run    NAME ZONE -- python scripts/run.py --config ... \
#     --workdir FOLDER, on a file system that all workers share (Filestore)
#   scripts/launch/tpu_pod.sh [--dry-run] delete NAME ZONE
#
# `run` starts one process on each worker; JAX finds the others by the pod's metadata
# (DNAS_DISTRIBUTED=auto). Code 75: the pod was preempted and all is saved; `create` and `run` again.
set -euo pipefail
source "$(dirname "$0")/common.sh"

[ "${1:-}" != --dry-run ] || { DRY_RUN=1; shift; }
[ $# -ge 3 ] || die "create, setup, run or delete, and NAME ZONE"
verb=$1 name=$2 zone=$3
shift 3
need NAME "$name" '[a-z][a-z0-9-]*'
need ZONE "$zone" '[a-z0-9-]+'
pod=(gcloud compute tpus)
on_all() { act "${pod[@]}" tpu-vm ssh "$name" --zone "$zone" --worker=all --command "$1"; }

case $verb in
  create)
    [ $# -ge 2 ] || die "create NAME ZONE ACCELERATOR_TYPE RUNTIME_VERSION"
    act "${pod[@]}" queued-resources create "$name" --node-id "$name" --zone "$zone" \
      --accelerator-type "$1" --runtime-version "$2" "${@:3}"
    ;;
  setup)
    [ $# = 1 ] || die "setup NAME ZONE GIT_URL"
    on_all "git clone $(quoted "$1") dnas && cd dnas && bash scripts/setup.sh && .venv/bin/pip install 'jax[tpu]'"
    ;;
  run)
    [ "${1:-}" = -- ] && [ $# -gt 1 ] || die "no command after --"
    on_all "cd dnas && . .venv/bin/activate && exec env DNAS_DISTRIBUTED=auto $(quoted "${@:2}")"
    ;;
  delete)
    act "${pod[@]}" queued-resources delete "$name" --zone "$zone" --force --quiet
    ;;
  *) die "unknown verb $verb" ;;
esac
