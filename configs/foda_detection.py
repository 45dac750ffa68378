# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a detector for debris on airfields (FOD-A: 1,690 pictures, 13 classes) from COCO JSON.

    python scripts/run.py --config configs/foda_detection.py

The data lie beside the project (`../shared/data/foda`, see its SOURCE.txt): a part of FOD-A v2.1
(Munyer et al. 2021, arXiv:2110.03072) whose validation pictures are of clips that no training
picture is of. One object a picture, of 3 to 300 of 300 px.

Measured so far at 14fde75 on 2 CPU cores, val split, seed 0: AP 0.104 of the searched cell, 0.149
of a random and 0.165 of a hand-made one of equal MACs, 0.203 of EfficientNet's stages. With seeds 0
and 1 the search ends at the same cell, three of whose four operations get nothing from the input,
so that it is worth less than its MACs.
"""

from ml_collections import ConfigDict

from configs import cbc_detection

FOLDER = "../shared/data/foda"


def get_config() -> ConfigDict:
  config = cbc_detection.get_config()
  config.data.spec = f"coco:{FOLDER}/annotations/instances_{{split}}.json@{FOLDER}/images/{{split}}"
  config.data.size = (128, 128)
  config.train.steps = 1500
  config.evaluate.split = "val"
  return config
