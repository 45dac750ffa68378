# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/profile.py: energy is an estimate where nothing counts it, and says so."""

import importlib.util
import random

import pytest

from dnas import config as configs
from dnas import method
from dnas.cost import energy


@pytest.fixture
def main(root):
  spec = importlib.util.spec_from_file_location("profile_script", root / "scripts" / "profile.py")
  script = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(script)
  return script.main


def test_energy_without_counters(main, root, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(energy, "COUNTER", tmp_path / "energy_uj")
  config = str(root / "configs" / "digits.py")
  space = method.space_of(configs.load(config))
  file = tmp_path / "genotype.json"
  file.write_text(space.sample(random.Random(0)).to_json())
  main(["energy", "--config", config, "--genotype", str(file)])
  first, second = capsys.readouterr().out.splitlines()
  assert float(first.split(" mJ an image, an estimate")[0]) > 0
  assert second == f"energy: {tmp_path}/energy_uj cannot be read, so nothing is counted here"
  file.write_text(space.to_json())
  with pytest.raises(SystemExit):
    main(["energy", "--config", config, "--genotype", str(file)])
  with pytest.raises(SystemExit):
    main(["latency", "--config", config])
  assert "latency needs --out" in capsys.readouterr().err


def test_energy_with_a_counter(main, root, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(energy, "check_counters", lambda: None)
  monkeypatch.setattr(energy, "measure_mj", lambda run, seconds: 3.0 * seconds)
  monkeypatch.setattr("dnas.task.timing.network_program", lambda *given: None)
  config = str(root / "configs" / "digits.py")
  genotype = method.space_of(configs.load(config)).sample(random.Random(0))
  (tmp_path / "genotype.json").write_text(genotype.to_json())
  flags = ["--genotype", str(tmp_path / "genotype.json"), "--seconds", "2"]
  main(["energy", "--config", config, *flags, '--config.cost.latency={"batch": 4}'])
  assert capsys.readouterr().out.splitlines()[1] == "1.5 mJ an image, measured"
  for given in (["--config.sed=1"], ["--config.sed", "1"]):
    with pytest.raises(SystemExit):
      main(["energy", "--config", config, *flags, *given])
    assert "unknown field of config: 'sed'" in capsys.readouterr().err
  with pytest.raises(SystemExit):
    main(["energy", "--config", config, *flags, "--nonsense"])
  assert "unrecognized arguments: --nonsense" in capsys.readouterr().err
