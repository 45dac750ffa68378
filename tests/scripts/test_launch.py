# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The launchers say what they would do; the one over ssh is run, with local shells for machines."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import time

import pytest
import yaml

NASTY = """--config.space={"name": "x"} it's $HOME"""


@pytest.fixture
def launch(root):
  def launch(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
      ["bash", str(root / "scripts" / "launch" / script), *arguments],
      capture_output=True,
      text=True,
      check=False,
      timeout=60,
      env={**os.environ, **environment},
    )

  return launch


def test_ssh_gives_each_process_its_number(launch):
  done = launch("ssh.sh", "--dry-run", "--folder", "/a b", "me@one", "two", "--", "run", NASTY)
  assert done.returncode == 0, done.stderr
  for index, line in enumerate(done.stdout.splitlines()):
    *ssh, host, remote = shlex.split(line)
    assert (ssh, host) == (["ssh"], ["me@one", "two"][index])
    words = shlex.split(remote)
    assert words[:2] == ["cd", "/a b"]
    assert f"JAX_PROCESS_ID={index}" in words
    assert {"JAX_COORDINATOR_ADDRESS=one:9321", "JAX_NUM_PROCESSES=2"} <= set(words)
    at = words.index("run")
    assert words[at : at + 2] == ["run", NASTY]
  assert index == 1


@pytest.fixture
def machine(tmp_path) -> tuple[pathlib.Path, str]:
  """A folder with an empty environment, and a `ssh` that is a local shell."""
  (tmp_path / ".venv" / "bin").mkdir(parents=True)
  (tmp_path / ".venv" / "bin" / "activate").write_text("")
  shell = tmp_path / "local_ssh"
  shell.write_text('#!/bin/bash\nexec bash -c "$2"\n')
  shell.chmod(0o755)
  return tmp_path, str(shell)


def test_ssh_really_starts_them_and_ends_with_the_highest_code(launch, machine):
  folder, shell = machine
  code = 'echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES" > said$JAX_PROCESS_ID; '
  flags = "--folder", str(folder), "localhost", "localhost"
  done = launch(
    "ssh.sh", *flags, "--", "bash", "-c", f"{code} exit $((75 * JAX_PROCESS_ID))", DNAS_SSH=shell
  )
  assert done.returncode == 75, done.stderr
  assert [(folder / f"said{i}").read_text() for i in (0, 1)] == ["0 of 2\n", "1 of 2\n"]
  assert launch("ssh.sh", *flags, "--", "true", DNAS_SSH=shell).returncode == 0


@pytest.mark.parametrize(("told", "code"), [(signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_ssh_has_all_save_when_it_is_ended(root, machine, told, code):
  """By SIGTERM, whatever `ssh` does with signals; and it waits for them, if it can."""
  folder, shell = machine
  run = "trap 'sleep 0.3; touch saved$JAX_PROCESS_ID; exit 75' TERM; touch up$JAX_PROCESS_ID; "
  process = subprocess.Popen(
    ["bash", str(root / "scripts/launch/ssh.sh"), "--folder", str(folder), "a", "b"]
    + ["--", "bash", "-c", f"{run} for i in {{1..1200}}; do sleep 0.05; done"],
    env={**os.environ, "DNAS_SSH": shell},
  )
  try:
    _wait_for(*(folder / f"up{i}" for i in (0, 1)))
    process.send_signal(told)
    assert process.wait(timeout=30) == code
  finally:
    process.kill()
  saved = [folder / f"saved{i}" for i in (0, 1)]
  assert code < 0 or all(path.exists() for path in saved)
  _wait_for(*saved)


def _wait_for(*files: pathlib.Path) -> None:
  limit = time.monotonic() + 30
  while not all(path.exists() for path in files):
    assert time.monotonic() < limit
    time.sleep(0.02)


def test_slurm(launch):
  nodes = launch("slurm.sh", "--dry-run", "--nodes", "4", "--options", "-p gpu", "--", "run", NASTY)
  assert nodes.returncode == 0, nodes.stderr
  lines = nodes.stdout.splitlines()
  assert "#SBATCH --nodes=4 --ntasks-per-node=1" in lines
  assert "#SBATCH -p gpu" in lines
  assert "export DNAS_DISTRIBUTED=auto" in lines
  (srun,) = [line for line in lines if line.startswith("srun")]
  assert shlex.split(srun.removesuffix(" || code=$?"))[-2:] == ["run", NASTY]
  seeds = launch("slurm.sh", "--dry-run", "--seeds", "0-4", "--name", "d", "--", "run")
  assert "#SBATCH --array=0-4 --nodes=1 --ntasks=1" in seeds.stdout
  assert "srun run --config.seed=$seed --workdir=runs/d-$seed" in seeds.stdout
  for script in (nodes.stdout, seeds.stdout):
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_slurm_is_asked_from_the_folder_of_the_runs(root, tmp_path):
  """Else the job's log would lie below where the command was given, if there is such a folder."""
  shutil.copytree(root / "scripts" / "launch", tmp_path / "tree" / "scripts" / "launch")
  fake = tmp_path / "bin" / "sbatch"
  fake.parent.mkdir()
  fake.write_text("#!/bin/bash\npwd\nls -d runs\n")
  fake.chmod(0o755)
  done = subprocess.run(
    ["bash", "../tree/scripts/launch/slurm.sh", "--seeds", "1", "--", "run"],
    cwd=fake.parent,
    env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"},
    capture_output=True,
    text=True,
    check=False,
  )
  assert (done.returncode, done.stdout) == (0, f"{tmp_path}/tree\nruns\n"), done.stderr


def test_slurm_puts_back_what_ended_with_75_and_nothing_else(launch, tmp_path):
  text = launch("slurm.sh", "--dry-run", "--seeds", "1", "--", "run").stdout
  fake = 'cd() { :; }; .() { :; }; srun() { return $CODE; }; scontrol() { echo "$@"; }\n'
  for code, said in ((75, "requeue 7\n"), (0, ""), (1, "")):
    body = fake + text.replace(". .venv/bin/activate", "")
    environment = {**os.environ, "CODE": str(code), "SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(
      ["bash", "-c", body], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (code, said), done.stderr


def test_kubernetes(launch):
  flags = ["--name", "coco", "--pods", "4", "--image", "r/dnas:1", "--claim", "runs"]
  more = ["--resources", "nvidia.com/gpu: 8", "--", "run", NASTY]
  done = launch("kubernetes.sh", "--dry-run", *flags, *more)
  assert done.returncode == 0, done.stderr
  service, job = yaml.safe_load_all(done.stdout)
  spec = job["spec"]
  assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
  assert spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [75]
  pod = spec["template"]["spec"]
  assert pod["subdomain"] == service["metadata"]["name"] == "coco"
  (container,) = pod["containers"]
  assert container["command"] == ["run", NASTY.replace("$", "$$")]  # A dollar is escaped by one.
  assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
  environment = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}
  assert environment["JAX_COORDINATOR_ADDRESS"] == "coco-0.coco:9321"
  assert environment["JAX_NUM_PROCESSES"] == "4"
  assert "job-completion-index" in environment["JAX_PROCESS_ID"]["fieldRef"]["fieldPath"]
  plain = launch("kubernetes.sh", "--dry-run", *flags, "--", "run").stdout
  assert "resources" not in list(yaml.safe_load_all(plain))[1]["spec"]["template"]["spec"]


def test_words_of_kubernetes_stay_what_they_are(launch):
  """None becomes a number, a truth value or another word on its way through YAML."""
  flags = ["--name", "on", "--pods", "1", "--image", "r/dnas:1", "--claim", "12"]
  words = ["a\nb", 'c "d" \\n', "true", "7", ""]
  done = launch("kubernetes.sh", "--dry-run", *flags, "--", "run", *words)
  service, job = yaml.safe_load_all(done.stdout)
  pod = job["spec"]["template"]["spec"]
  assert pod["containers"][0]["command"] == ["run", *words]
  assert service["metadata"]["name"] == job["metadata"]["name"] == pod["subdomain"] == "on"
  assert service["spec"]["selector"] == {"job-name": "on"}
  assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "12"}


def test_tpu_pod(launch):
  pod = ["pod1", "us-central1-a"]
  created = launch("tpu_pod.sh", "--dry-run", "create", *pod, "v5litepod-16", "v2", "--spot")
  assert "queued-resources create pod1 --node-id pod1 --zone us-central1-a" in created.stdout
  assert "--accelerator-type v5litepod-16 --runtime-version v2 --spot" in created.stdout
  ran = launch("tpu_pod.sh", "--dry-run", "run", *pod, "--", "run", NASTY)
  words = shlex.split(ran.stdout)
  assert "--worker=all" in words
  inner = shlex.split(words[-1])
  assert "DNAS_DISTRIBUTED=auto" in inner
  assert inner[-2:] == ["run", NASTY]
  assert "clone" in shlex.split(launch("tpu_pod.sh", "--dry-run", "setup", *pod, "URL").stdout)[-1]
  deleted = launch("tpu_pod.sh", "--dry-run", "delete", *pod).stdout
  assert "queued-resources delete pod1 --zone us-central1-a --force" in deleted


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["ssh.sh", "--", "run"], "no hosts"),
    (["ssh.sh", "a"], "no command after --"),
    (["ssh.sh", "--port", "x", "a", "--", "run"], "--port is 'x'"),
    (["slurm.sh", "--", "run"], "give either --nodes or --seeds"),
    (["slurm.sh", "--nodes", "2", "--seeds", "1", "--", "run"], "give either --nodes or --seeds"),
    (["slurm.sh", "--nodes", "0", "--", "run"], "--nodes is '0'"),
    (["kubernetes.sh", "--name", "Not Good", "--", "run"], "--name is 'Not Good'"),
    (["tpu_pod.sh", "fly", "a", "b"], "unknown verb fly"),
    (["tpu_pod.sh", "run", "a", "b"], "no command after --"),
  ],
)
def test_mistakes_are_one_line(launch, arguments, message):
  done = launch(arguments[0], "--dry-run", *arguments[1:])
  assert done.returncode == 2
  assert message in done.stderr
  assert len(done.stderr.splitlines()) == 1
