# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""QARepVGG and its fused form, against a published block and by themselves."""

import importlib.util

import jax
import numpy as np
import pytest
from flax import nnx

from dnas.nn import qarepvgg
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.nn.qarepvgg import ConvNorm, QARepVGG

X = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype(np.float32)


def randomised(module):
  """The same module with running statistics, scales and biases that are not 0 and 1."""
  rng = np.random.default_rng(1)
  for _, variable in nnx.iter_graph(module):
    if isinstance(variable, nnx.Variable) and variable.ndim == 1:
      variable.set_value(rng.uniform(0.5, 1.5, variable.shape).astype(np.float32))
  return module


@pytest.mark.parametrize(
  "make",
  [
    lambda: QARepVGG(4, 4, identity=True, rngs=Rngs(0)),
    lambda: QARepVGG(4, 6, 2, affine=False, rngs=Rngs(0)),
    lambda: ConvNorm(4, 6, 3, 2, rngs=Rngs(0)),
    lambda: ConvNorm(4, 6, 1, relu=False, affine=False, rngs=Rngs(0)),
  ],
)
def test_fused_equals_evaluation(make):
  block = randomised(make())
  before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(block)))
  fused = qarepvgg.fuse(block)
  np.testing.assert_allclose(fused(X, Mode()), block(X, Mode()), atol=1e-5)
  assert len(jax.tree.leaves(nnx.state(fused))) == 2, "one kernel and one bias"
  after = nnx.to_pure_dict(nnx.state(block))
  jax.tree.map(np.testing.assert_array_equal, before, after)  # fuse makes a copy


def test_formula():
  """relu(post_bn(bn(conv3x3(x)) + conv1x1(x) + b + x)), written out for one pixel in the middle."""
  block = randomised(QARepVGG(4, 4, identity=True, rngs=Rngs(0)))
  wide = lambda variable: np.asarray(variable[...], np.float64)

  def bn(norm, y):
    y = (y - wide(norm.mean)) / np.sqrt(wide(norm.var) + 1e-3)
    return y * wide(norm.scale) + wide(norm.bias)

  three = np.einsum("hwi,hwio->o", X[0, 1:4, 2:5], wide(block.branch_3x3.conv.kernel))
  one = X[0, 2, 3] @ wide(block.branch_1x1.kernel)[0, 0] + wide(block.branch_1x1.bias)
  want = np.maximum(bn(block.post_bn, bn(block.branch_3x3.bn, three) + one + X[0, 2, 3]), 0)
  np.testing.assert_allclose(block(X, Mode())[0, 2, 3], want, rtol=1e-5)


def test_training_moves_the_statistics_by_3_percent():
  block = QARepVGG(4, 4, identity=True, rngs=Rngs(0))
  block(X, Mode(train=True))
  y = np.asarray(block.branch_3x3.conv(X)).reshape(-1, 4)
  bn = block.branch_3x3.bn
  np.testing.assert_allclose(bn.mean[...], 0.03 * y.mean(0), atol=1e-6)
  np.testing.assert_allclose(bn.var[...], 0.97 + 0.03 * y.var(0, ddof=1), rtol=1e-5)


def test_an_identity_needs_equal_shapes():
  with pytest.raises(ValueError, match="identity needs stride 1 and equal channels: 4->6"):
    QARepVGG(4, 6, identity=True, rngs=Rngs(0))


def test_against_the_published_block(shared):
  """Training, running statistics, evaluation and fusion of a block in PyTorch."""
  with np.load(shared / "parity" / "qarepvgg_block.npz") as file:
    case = {name: file[name] for name in file.files}
  spec = importlib.util.spec_from_file_location("w", shared / "tools" / "synthetic_weights.py")
  synthetic = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(synthetic)
  nhwc = lambda y: y.transpose(0, 2, 3, 1)
  before = lambda name: synthetic.weight(name, case[f"after/{name}"].shape)
  block = QARepVGG(8, 8, identity=True, rngs=Rngs(0))
  block.branch_3x3.conv.kernel.set_value(before("branch_3x3.conv.weight").transpose(2, 3, 1, 0))
  block.branch_1x1.kernel.set_value(before("branch_1x1.weight").transpose(2, 3, 1, 0))
  block.branch_1x1.bias.set_value(before("branch_1x1.bias"))
  norms = {"branch_3x3.bn": block.branch_3x3.bn, "post_bn": block.post_bn}
  leaves = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
  for name, bn in norms.items():
    for mine, theirs in leaves.items():
      getattr(bn, mine).set_value(before(f"{name}.{theirs}"))
  x = nhwc(case["x"])
  np.testing.assert_allclose(block(x, Mode(train=True)), nhwc(case["y_train"]), atol=1e-5)
  for name, bn in norms.items():
    np.testing.assert_allclose(bn.mean[...], case[f"after/{name}.running_mean"], atol=1e-5)
    np.testing.assert_allclose(bn.var[...], case[f"after/{name}.running_var"], atol=1e-5)
  np.testing.assert_allclose(block(x, Mode()), nhwc(case["y_eval_after"]), atol=1e-5)
  fused = block.fused()
  kernel = fused.conv.kernel[...].transpose(3, 2, 0, 1)
  np.testing.assert_allclose(kernel, case["fused_w"], atol=1e-5)
  np.testing.assert_allclose(fused.conv.bias[...], case["fused_b"], atol=1e-5)
  np.testing.assert_allclose(fused(x, Mode()), nhwc(case["y_fused"]), atol=1e-5)
