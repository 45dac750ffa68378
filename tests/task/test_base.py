# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""`config.task.dtype`: networks that compute in bfloat16 beside weights and losses in float32.

What a network costs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnas import config as configs
from dnas import data, method
from dnas import task as tasks
from dnas.data.pipeline import Pipeline
from dnas.errors import DnasError
from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import genotypes
from dnas.space.published import with_network

SPACE = dict(name="dense", ops=("skip_connect", "nor_conv_3x3", "avg_pool_3x3"), nodes=1)
SMALL = {
  "digits.py": {"search.network": dict(name="nasbench201", channels=8, cells=1)},
  "quickstart.py": {
    "search.network": dict(name="detector", channels=(8, 8, 8), stem_channels=8),
    "task.neck_channels": 8,
    "data.size": (64, 64),
  },
}


def of(root, name, dtype):
  """(loss, parameters, mixing weights, batch) of a small supernet."""
  config = configs.load(
    root / "configs" / name, {**SMALL[name], "space": SPACE, "task.dtype": dtype}
  )
  source = data.labelled(config.data.spec, "val" if name == "quickstart.py" else "train")
  task, space = method.task_of(config, source), method.space_of(config)
  static, params, stats = functional.split(task.build(space, Rngs(jax.random.key(0))))
  rng = np.random.default_rng(0)
  weights = {
    key: tuple(jnp.asarray(rng.dirichlet(np.ones(len(e.ops))), jnp.float32) for e in cell.edges)
    for key, cell in space.cells.items()
  }
  size, pipeline = tuple(config.data.size), dict(threads=0, seed=0, train=True)
  batch = next(iter(Pipeline(source=source, batch_size=8, size=size, augment=(), **pipeline)))
  batch = jax.tree.map(jnp.asarray, dict(batch))

  def loss(params, weights):
    model = static.merge(params, stats)
    value, _ = task.loss(model, weights, batch, Mode(train=True))
    return value, functional.stats_of(model)

  return loss, params, weights


@pytest.mark.parametrize(
  "name", ["digits.py", pytest.param("quickstart.py", marks=pytest.mark.slow)]
)
def test_bfloat16_is_near_float32_and_keeps_it_where_it_counts(root, name):
  found = {}
  for dtype in ("float32", "bfloat16"):
    loss, params, weights = of(root, name, dtype)
    run = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    found[dtype] = jax.jit(run)(params, weights)
    layers = list(_outputs_of_products(jax.make_jaxpr(loss)(params, weights)))
    assert layers.count(jnp.dtype(dtype)) > 5
    # What is left in float32: heads behind a mean over all pixels.
    assert dtype == "float32" or layers.count(jnp.dtype("float32")) <= 1
  (plain, _), plain_gradients = found["float32"]
  (value, stats), gradients = found["bfloat16"]
  assert value.dtype == jnp.float32
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves((stats, gradients)))
  np.testing.assert_allclose(value, plain, rtol=0.03)
  assert value != plain
  flat = lambda tree: jnp.concatenate([x.ravel() for x in jax.tree.leaves(tree)])
  a, b = flat(gradients[0]), flat(plain_gradients[0])
  assert a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b)) > 0.95


def _outputs_of_products(jaxpr):
  """The dtypes that convolutions and matrix products give, wherever they are."""
  for eqn in jaxpr.eqns:
    if eqn.primitive.name in ("conv_general_dilated", "dot_general"):
      yield eqn.outvars[0].aval.dtype
    for inner in eqn.params.values():
      if hasattr(inner, "eqns"):
        yield from _outputs_of_products(inner)


def test_other_dtypes_are_refused(root):
  with pytest.raises(DnasError, match=r"config.task.dtype: 'float16'.*bfloat16, float32"):
    of(root, "digits.py", "float16")


def test_a_cost_is_that_of_what_is_evaluated():
  """The auxiliary head is not; the published parameters of DARTS on CIFAR-10."""
  digits, size = data.load("digits", "train"), (32, 32)
  genotype = with_network(genotypes.published("DARTS_V2"), "cifar")[0]
  with_head = tasks.classification(digits, size, auxiliary=0.4)
  costs = [tasks.cost(task, genotype) for task in (with_head, tasks.classification(digits, size))]
  assert [(c.params, c.macs) for c in costs] == [(3_349_342, 528_359_040)] * 2
