# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""A NAS-Bench-201 cell that classifies real handwritten digits (scikit-learn's 1,797).

python scripts/run.py --config configs/digits.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    dict(
      seed=0,
      # So many searches (seed, seed + 1, ...) at once, in one program.
      seeds=1,
      # Devices: batches are split over `data` (-1: all that are left), seeds over `seed`.
      mesh=dict(seed=1, data=-1),
      data=dict(
        spec="digits",
        size=(8, 8),
        train_split="train",
        # As the names of functions in dnas/data/augment.py; digits must not be flipped.
        augment=(dict(name="crop", area=(0.7, 1.0)),),
        threads=2,
      ),
      # dtype: bfloat16 halves the memory of features on GPUs and TPUs.
      task=dict(name="classification", label_smoothing=0.0, auxiliary=0.0, dtype="float32"),
      space=dict(name="nasbench201"),
      search=dict(
        network=dict(name="nasbench201", channels=8, cells=1),
        steps=300,
        warmup_steps=50,
        batch_size=64,
        # So many batches make one update: what is too large for the memory is seen in parts.
        accumulate=1,
        # The share of the training split that the weights are trained on; alpha gets the rest.
        weight_share=0.5,
        relaxation=dict(name="softmax"),
        hypergradient=dict(name="first_order"),
        weight_optimizer=dict(name="sgd", lr=0.05),
        alpha_optimizer=dict(name="adam", lr=3e-3),
        discretize=dict(name="argmax"),
        # What other methods add; see dnas/schema.py and configs/methods/.
        edge_weights=False,
        penalties=(),
        perturbation=None,
        weight_penalty=None,
        freezing=None,
        supernet=dict(partial=1, auxiliary_skip=False, single_path=False, remat=False),
        drop_path=0.0,
        skip_dropout=0.0,
        average=0.0,
        stages=(),
        projection=None,
        # Each of the Hessian-vector products costs about a step, and all one compilation.
        watch=dict(every_steps=50, hessian_steps=3, genotypes=5),
        stop=None,
      ),
      # What the network may cost, and how that enters the search: see dnas/schema.py.
      cost=dict(
        latency_ms=None,
        macs=None,
        params=None,
        energy_mj=None,
        objective=None,
        priced="latency_ms",
        rate=0.05,
        table=None,
        latency={},
        energy={},
      ),
      train=dict(
        # None keeps the network of the search.
        network=dict(name="nasbench201", channels=16, cells=1),
        # Widens or narrows the stages to so many MACs; None leaves them.
        macs=None,
        steps=400,
        batch_size=64,
        accumulate=1,
        optimizer=dict(name="sgd", lr=0.1, lr_end=0.0, weight_decay=5e-4),
        ema=0.99,
        drop_path=0.0,
      ),
      evaluate=dict(split="test", batch_size=128),
      checkpoint=dict(
        every_steps=100,
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
