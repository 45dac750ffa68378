# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What is counted equals what is published, and a difference would be seen."""

import pytest

from dnas.tables import architectures as table


def test_a_cell_beside_its_published_counts():
  row = table.cell_row("DARTS_V1", "CIFAR-10", table.CIFAR10["DARTS_V1"]._replace(params=3_169_000))
  assert (row["params"], row["params off"], row["MACs off"]) == (3_169_414, 414, 0)
  assert row["paper M MACs"] == ""


def test_yolo_nas_as_trained_and_fused(monkeypatch):
  trained, fused = table.yolo_nas_rows("yolo_nas_s")
  assert fused["network"] == "yolo_nas_s, fused"
  assert not any(row[f"{what} off"] for row in (trained, fused) for what in ("params", "MACs"))
  monkeypatch.setitem(table.PLACEHOLDERS, "yolo_nas_s", 1)
  with pytest.raises(RuntimeError, match="6175584 parameters are placeholders; published: 1"):
    table.yolo_nas_rows("yolo_nas_s")


def test_the_table(tmp_path, monkeypatch):
  few = {"DARTS_V2": table.IMAGENET["DARTS_V2"]}
  for name, known in (("CIFAR10", {}), ("IMAGENET", few), ("YOLO_NAS", {})):
    monkeypatch.setattr(table, name, known)
  (row,) = table.make(tmp_path, command="test")
  assert (row["params off"], row["MACs off"], row["paper M MACs"]) == (0, 0, 574)
  assert "| DARTS_V2 | ImageNet |" in (tmp_path / "README.md").read_text()
  assert "DARTS_V2" in (tmp_path / "costs.svg").read_text()
