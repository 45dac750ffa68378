# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Searches a detector backbone's cell on real digits in real photographs, on the detection loss.

bash scripts/quickstart.sh          or      python scripts/run.py --config configs/quickstart.py
"""

from ml_collections import ConfigDict

AUGMENT = (
  dict(name="scale_translate", scale=(0.7, 1.3), aspect=1.18, translate=0.1),
  dict(name="colour"),
)


def get_config() -> ConfigDict:
  return ConfigDict(
    dict(
      seed=0,
      # Devices: batches are split over `data` (-1: all that are left).
      mesh=dict(seed=1, data=-1),
      data=dict(
        spec="digit_scenes",
        size=(96, 96),
        train_split="train",
        # Names of functions in dnas/data/augment.py; digits must not be flipped.
        augment=AUGMENT,
        threads=2,
      ),
      task=dict(
        name="detection",
        strides=(4, 8, 16),
        neck_channels=32,
        path="fpn",
        reg_max=8,
        assigner=dict(name="dnas.detection.assign.task_aligned", alpha=1.0, beta=4.0, top_k=9),
        iou_weight=2.0,
        dfl_weight=0.5,
        dtype="float32",  # bfloat16 halves the memory of features on GPUs and TPUs.
      ),
      space=dict(name="nasbench201"),
      search=dict(
        network=dict(name="detector", channels=(32, 64, 96), stem_channels=16),
        steps=300,
        warmup_steps=60,
        batch_size=16,
        accumulate=1,
        # The share of the training split that the weights are trained on; alpha gets the rest.
        weight_share=0.5,
        relaxation=dict(name="softmax"),
        hypergradient=dict(name="first_order"),
        weight_optimizer=dict(name="adamw", lr=4e-3, b2=0.99, weight_decay=0.02, clip=10.0),
        alpha_optimizer=dict(name="adam", lr=3e-3),
        discretize=dict(name="argmax"),
        # What the search looks like. Fields that are not here (`--help` lists them) are at their
        # defaults, which stand in dnas/schema.py.
        watch=dict(every_steps=100, hessian_steps=3, genotypes=5),
      ),
      # Budgets: see dnas/schema.py.
      cost=dict(
        latency_ms=None,
        macs=None,
        params=None,
        energy_mj=None,
        objective=None,
        priced="latency_ms",
        table=None,
        latency={},
      ),
      train=dict(
        # None keeps the network of the search.
        network=None,
        # Widens or narrows the stages to so many MACs; None leaves them.
        macs=None,
        steps=1500,
        batch_size=16,
        accumulate=1,
        optimizer=dict(
          name="adamw", lr=4e-3, warmup_steps=100, b2=0.99, weight_decay=0.02, clip=10.0
        ),
        ema=0.995,
        drop_path=0.0,
      ),
      evaluate=dict(split="test", batch_size=50),
      checkpoint=dict(
        every_steps=250,
        every_minutes=None,
        keep=2,
        # Besides, the one with the lowest mean loss since the one before it (of alpha in a search).
        keep_best=True,
        # So many steps in a row may be skipped because loss or gradient is NaN or infinite.
        max_skipped=10,
      ),
      log=dict(every_steps=1, words_every_steps=10),
    )
  )
