# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/search.py: what does not go together is refused."""

import importlib.util
import sys

import pytest


def test_a_worker_resumes_nothing(root, tmp_path, monkeypatch, capsys):
  file = root / "scripts" / "search.py"
  spec = importlib.util.spec_from_file_location("search_script", file)
  script = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(script)
  config = str(root / "configs" / "strategies" / "random_search.py")
  words = ["--config", config, "--workdir", str(tmp_path), "--worker", "--resume=force"]
  monkeypatch.setattr(sys, "argv", [str(file), *words])
  with pytest.raises(SystemExit) as ended:
    script.main()
  assert ended.value.code == 2
  assert "--worker takes no --resume, got 'force'" in capsys.readouterr().err
