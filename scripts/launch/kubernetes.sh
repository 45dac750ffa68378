#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
# An Indexed Job on Kubernetes: one run, one pod per process, with a service for their names.
#
#   scripts/launch/kubernetes.sh [--dry-run] --name coco --pods 4 --image REGISTRY/dnas:1 \
#     --claim VOLUME [--resources 'nvidia.com/gpu: 8'] -- python scripts/run.py \
#     --config configs/coco_darts.py --workdir /runs/coco
#
# The image holds this repository as its working folder, with dnas installed; the persistent volume
# claim (ReadWriteMany) is mounted at /runs. A pod that ends with 75 (saved at SIGTERM) or is
# evicted is started again at no cost; other failures count, and 6 of them end the job.
set -euo pipefail
source "$(dirname "$0")/common.sh"

name='' pods='' image='' claim='' resources=''
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    --dry-run) DRY_RUN=1 ;;
    --name) name=${2:-}; shift ;;
    --pods) pods=${2:-}; shift ;;
    --image) image=${2:-}; shift ;;
    --claim) claim=${2:-}; shift ;;
    --resources) resources=${2:-}; shift ;;
    *) die "unknown flag $1" ;;
  esac
  shift
done
[ $# -gt 1 ] || die "no command after --"
shift
need --name "$name" '[a-z]([a-z0-9-]{0,50}[a-z0-9])?'
need --pods "$pods" '[1-9][0-9]*'
need --image "$image" '[A-Za-z0-9./:@_-]+'
need --claim "$claim" '[a-z0-9.-]+'
[ -z "$resources" ] || need --resources "$resources" '[a-z0-9./-]+: [0-9]+'

# A YAML string in double quotes.
yaml() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  printf '"%s"' "$text"
}
arguments=''
# Kubernetes fills in $(VARIABLE) in a command by itself, and takes $$ for a dollar.
for word in "$@"; do arguments+="${arguments:+, }$(yaml "${word//\$/\$\$}")"; done

manifest=$(cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: '$name'}
spec:
  clusterIP: None  # Gives each pod a name of its own.
  publishNotReadyAddresses: true
  selector: {job-name: '$name'}
---
apiVersion: batch/v1
kind: Job
metadata: {name: '$name'}
spec:
  completionMode: Indexed
  completions: $pods
  parallelism: $pods
  backoffLimit: 6
  podFailurePolicy:
    rules:
    - action: Ignore
      onExitCodes: {containerName: dnas, operator: In, values: [75]}
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget}]
  template:
    spec:
      subdomain: '$name'
      restartPolicy: Never
      terminationGracePeriodSeconds: 60
      containers:
      - name: dnas
        image: '$image'
        command: [$arguments]
        env:
        - {name: JAX_COORDINATOR_ADDRESS, value: '$name-0.$name:9321'}
        - {name: JAX_NUM_PROCESSES, value: '$pods'}
        - name: JAX_PROCESS_ID
          valueFrom:
            fieldRef: {fieldPath: 'metadata.annotations[''batch.kubernetes.io/job-completion-index'']'}
        ${resources:+resources: {limits: {$resources\}\}}
        volumeMounts:
        - {name: runs, mountPath: /runs}
      volumes:
      - name: runs
        persistentVolumeClaim: {claimName: '$claim'}
YAML
)
if [ "$DRY_RUN" = 1 ]; then
  echo "$manifest"
else
  kubectl apply -f - <<<"$manifest"
fi
