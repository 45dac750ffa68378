#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
# A Slurm job: one run over several nodes, or one run per seed.
#
#   scripts/launch/slurm.sh [--dry-run] [--time 24:00:00] [--options '--partition=gpu --gres=gpu:8'] \
#     --nodes 4 -- python scripts/run.py --config configs/coco_darts.py --workdir runs/coco
#   scripts/launch/slurm.sh --seeds 0-4 -- python scripts/run.py --config configs/digits.py
#
# --nodes: one process per node, which JAX finds through Slurm's variables (DNAS_DISTRIBUTED=auto).
# --seeds: an array; seed S runs with --config.seed=S --workdir=runs/NAME-S, where NAME is --name.
# A minute before the time is up, or when a job is preempted, the run saves, ends with 75 and is
# put back into the queue.
set -euo pipefail
source "$(dirname "$0")/common.sh"

nodes='' seeds='' time=24:00:00 options='' name=dnas
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    --dry-run) DRY_RUN=1 ;;
    --nodes) nodes=${2:-}; shift ;;
    --seeds) seeds=${2:-}; shift ;;
    --time) time=${2:-}; shift ;;
    --options) options=${2:-}; shift ;;
    --name) name=${2:-}; shift ;;
    *) die "unknown flag $1" ;;
  esac
  shift
done
[ $# -gt 1 ] || die "no command after --"
shift
if [ -n "$nodes" ] && [ -n "$seeds" ] || [ -z "$nodes$seeds" ]; then
  die "give either --nodes or --seeds"
fi
need --name "$name" '[A-Za-z0-9._-]+'
need --time "$time" '[0-9:-]+'

if [ -n "$nodes" ]; then
  need --nodes "$nodes" '[1-9][0-9]*'
  shape="#SBATCH --nodes=$nodes --ntasks-per-node=1"
  before='export DNAS_DISTRIBUTED=auto'
  command="srun --kill-on-bad-exit=1 $(quoted "$@")"
else
  need --seeds "$seeds" '[0-9,%-]+'
  shape="#SBATCH --array=$seeds --nodes=1 --ntasks=1"
  before='seed=$SLURM_ARRAY_TASK_ID'
  command="srun $(quoted "$@") --config.seed=\$seed --workdir=runs/$name-\$seed"
fi

root=$(cd "$(dirname "$0")/../.." && pwd)
script=$(cat <<JOB
#!/usr/bin/env bash
#SBATCH --job-name=$name
#SBATCH --time=$time
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=runs/%x-%j.log
#SBATCH --signal=TERM@60
$shape
${options:+#SBATCH $options}
cd $(quoted "$root")
. .venv/bin/activate
$before
code=0
$command || code=\$?
# 75: saved at SIGTERM. Slurm itself puts back what was preempted, but not what ran out of time.
[ "\$code" != 75 ] || scontrol requeue "\$SLURM_JOB_ID"
exit "\$code"
JOB
)
if [ "$DRY_RUN" = 1 ]; then
  echo "$script"
else
  cd "$root"  # Slurm takes the path of the log from here.
  mkdir -p runs
  sbatch <<<"$script"
fi
