# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Operations, cells and whole networks against PyTorch, written here from the papers.

The reference knows nothing of `dnas.nn`: it reads a genotype and builds torch modules in the order
stem, cells (inputs, then edges), head. Weights are carried over layer by layer in that order, so a
layer too many, too few or of another shape fails before any number is compared.
"""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from dnas.nn import functional
from dnas.nn.init import Rngs
from dnas.nn.layers import Conv, Linear
from dnas.nn.mixed import MixedOp
from dnas.nn.mode import Mode
from dnas.nn.network import Network
from dnas.nn.norm import BatchNorm
from dnas.space import genotypes, macro

torch = pytest.importorskip(
  "torch", reason="PyTorch is not installed: EXTRAS=test,torch bash scripts/setup.sh"
)
tnn = torch.nn
F = tnn.functional

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


# -------------------------------------------------------------------------------------------------
# The reference


def conv(c_in, c_out, k, stride=1, padding=0, dilation=1, groups=1):
  return tnn.Conv2d(c_in, c_out, k, stride, padding, dilation, groups, bias=False)


def relu_conv_bn(c_in, c_out, k, stride, affine):
  return tnn.Sequential(
    tnn.ReLU(), conv(c_in, c_out, k, stride, k // 2), tnn.BatchNorm2d(c_out, affine=affine)
  )


def separable(c_in, c_out, k, stride, dilation, affine):
  return tnn.Sequential(
    tnn.ReLU(),
    conv(c_in, c_in, k, stride, dilation * (k // 2), dilation, groups=c_in),
    conv(c_in, c_out, 1),
    tnn.BatchNorm2d(c_out, affine=affine),
  )


class Reduce(tnn.Module):
  def __init__(self, c_in, c_out, affine):
    super().__init__()
    self.a, self.b = conv(c_in, c_out // 2, 1, 2), conv(c_in, c_out // 2, 1, 2)
    self.bn = tnn.BatchNorm2d(c_out, affine=affine)

  def forward(self, x):
    x = F.relu(x)
    shifted = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
    return self.bn(torch.cat([self.a(x), self.b(shifted)], 1))


class Zero(tnn.Module):
  def __init__(self, stride):
    super().__init__()
    self.stride = stride

  def forward(self, x):
    return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class Residual(tnn.Module):
  def __init__(self, c_in, c_out, stride):
    super().__init__()
    self.a = relu_conv_bn(c_in, c_out, 3, stride, True)
    self.b = relu_conv_bn(c_out, c_out, 3, 1, True)
    self.down = tnn.Sequential(tnn.AvgPool2d(2, 2, ceil_mode=True), conv(c_in, c_out, 1))

  def forward(self, x):
    return self.b(self.a(x)) + self.down(x)


def operation(name, c, stride, affine):
  """An operation of DARTS, NASNet, AmoebaNet or NAS-Bench-201 at equal widths."""
  kind, _, size = name.rpartition("_")
  k = int(size[0]) if size[0].isdigit() else 0
  if name == "none":
    return Zero(stride)
  if name == "skip_connect":
    return tnn.Identity() if stride == 1 else Reduce(c, c, affine)
  if name == "max_pool_3x3":
    return tnn.MaxPool2d(3, stride, 1)
  if name == "avg_pool_3x3":
    return tnn.AvgPool2d(3, stride, 1, count_include_pad=False)
  if kind == "sep_conv":
    return tnn.Sequential(separable(c, c, k, stride, 1, affine), separable(c, c, k, 1, 1, affine))
  if kind == "dil_conv":
    return separable(c, c, k, stride, 2, affine)
  if kind == "nor_conv":
    return relu_conv_bn(c, c, k, stride, affine)
  assert name == "conv_7x1_1x7"
  return tnn.Sequential(
    tnn.ReLU(),
    conv(c, c, (1, 7), (1, stride), (0, 3)),
    conv(c, c, (7, 1), (stride, 1), (3, 0)),
    tnn.BatchNorm2d(c, affine=affine),
  )


class DartsCell(tnn.Module):
  def __init__(self, cell, before, last, c, reduction, reduction_before):
    super().__init__()
    self.cell = cell
    self.first = (
      Reduce(before, c, True) if reduction_before else relu_conv_bn(before, c, 1, 1, True)
    )
    self.second = relu_conv_bn(last, c, 1, 1, True)
    self.ops = tnn.ModuleList(
      operation(edge.ops[0], c, 2 if reduction and edge.src < 2 else 1, True) for edge in cell.edges
    )

  def forward(self, before, last):
    states = [self.first(before), self.second(last)]
    for node in range(2, 2 + len(self.cell.edges) // 2):
      pair = [
        op(states[edge.src])
        for edge, op in zip(self.cell.edges, self.ops, strict=True)
        if edge.dst == node
      ]
      states.append(pair[0] + pair[1])
    return torch.cat([states[node] for node in self.cell.output], 1)


class Auxiliary(tnn.Module):
  def __init__(self, c, classes, imagenet):
    super().__init__()
    self.features = tnn.Sequential(
      tnn.ReLU(),
      tnn.AvgPool2d(5, 2 if imagenet else 3),
      conv(c, 128, 1),
      tnn.BatchNorm2d(128),
      tnn.ReLU(),
      conv(128, 768, 2),
      *([] if imagenet else [tnn.BatchNorm2d(768)]),
      tnn.ReLU(),
    )
    self.linear = tnn.Linear(768, classes)

  def forward(self, x):
    return self.linear(self.features(x).mean((2, 3)))


class Darts(tnn.Module):
  def __init__(self, genotype, c, layers, classes, imagenet):
    super().__init__()
    if imagenet:
      self.stem0 = tnn.Sequential(
        conv(3, c // 2, 3, 2, 1),
        tnn.BatchNorm2d(c // 2),
        tnn.ReLU(),
        conv(c // 2, c, 3, 2, 1),
        tnn.BatchNorm2d(c),
      )
      self.stem1 = tnn.Sequential(tnn.ReLU(), conv(c, c, 3, 2, 1), tnn.BatchNorm2d(c))
      before, last, reduced = c, c, True
    else:
      self.stem0 = tnn.Sequential(conv(3, 3 * c, 3, 1, 1), tnn.BatchNorm2d(3 * c))
      self.stem1 = tnn.Identity()
      before, last, reduced = 3 * c, 3 * c, False
    self.cells, self.tap = tnn.ModuleList(), 2 * layers // 3
    for i in range(layers):
      reduction = i in (layers // 3, 2 * layers // 3)
      c = 2 * c if reduction else c
      cell = genotype.cells["reduce" if reduction else "normal"]
      self.cells.append(DartsCell(cell, before, last, c, reduction, reduced))
      before, last, reduced = last, c * len(cell.output), reduction
      if i == self.tap:
        width = last
    self.linear = tnn.Linear(last, classes)
    self.auxiliary = Auxiliary(width, classes, imagenet)

  def forward(self, x):
    before = self.stem0(x)
    last = self.stem1(before)
    for i, cell in enumerate(self.cells):
      before, last = last, cell(before, last)
      if i == self.tap:
        auxiliary = self.auxiliary(last) if self.training else None
    return self.linear(last.mean((2, 3))), auxiliary


class Bench(tnn.Module):
  """NAS-Bench-201's macro skeleton."""

  def __init__(self, genotype, c, n, classes):
    super().__init__()
    self.edges = genotype.cells["cell"].edges
    self.stem = tnn.Sequential(conv(3, c, 3, 1, 1), tnn.BatchNorm2d(c))
    self.stages = tnn.ModuleList()
    for stage in range(3):
      if stage:
        self.stages.append(Residual(c, 2 * c, 2))
        c = 2 * c
      for _ in range(n):
        ops = (operation(edge.ops[0], c, 1, True) for edge in self.edges)
        self.stages.append(tnn.ModuleList(ops))
    self.norm, self.linear = tnn.BatchNorm2d(c), tnn.Linear(c, classes)

  def forward(self, x):
    x = self.stem(x)
    for part in self.stages:
      if isinstance(part, Residual):
        x = part(x)
        continue
      nodes = [x]
      for node in (1, 2, 3):
        into = [i for i, edge in enumerate(self.edges) if edge.dst == node]
        nodes.append(sum(part[i](nodes[self.edges[i].src]) for i in into))
      x = nodes[3]
    return self.linear(F.relu(self.norm(x)).mean((2, 3))), None


# -------------------------------------------------------------------------------------------------
# Carrying weights over


def our_layers(module):
  """Convolutions, linear layers and norms of a module of ours in the order of construction."""
  if isinstance(module, Conv | Linear | BatchNorm):
    yield module
    return
  for child in module if isinstance(module, nnx.List) else vars(module).values():
    if isinstance(child, nnx.Module | nnx.List):
      yield from our_layers(child)


def torch_layers(module):
  kinds = tnn.Conv2d | tnn.Linear | tnn.BatchNorm2d
  return [child for child in module.modules() if isinstance(child, kinds)]


def carry(ours, reference):
  """Copies our weights into the reference, and gives norms weights that are not 1 and 0."""
  rng = np.random.default_rng(7)
  pairs = zip(our_layers(ours), torch_layers(reference), strict=True)
  for mine, its in pairs:
    if isinstance(mine, BatchNorm):
      for name in ("scale", "bias"):
        if getattr(mine, name) is not None:
          getattr(mine, name).set_value(rng.normal(1, 0.3, mine.mean.shape).astype(np.float32))
      mine.mean.set_value(rng.normal(0, 0.3, mine.mean.shape).astype(np.float32))
      mine.var.set_value(rng.uniform(0.5, 2, mine.mean.shape).astype(np.float32))
      values = {
        "weight": mine.scale, "bias": mine.bias, "running_mean": mine.mean, "running_var": mine.var
      }  # fmt: skip
    else:
      values = {"weight": mine.kernel, "bias": mine.bias}
    for name, value in values.items():
      target = getattr(its, name)
      assert (target is None) == (value is None)
      if target is not None:
        array = np.array(value[...])
        if name == "weight" and array.ndim > 1:
          array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
        assert target.shape == array.shape
        target.data = torch.from_numpy(np.ascontiguousarray(array))


def to_torch(x):
  return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def running(reference):
  norms = [layer for layer in torch_layers(reference) if isinstance(layer, tnn.BatchNorm2d)]
  return [(n.running_mean.numpy(), n.running_var.numpy()) for n in norms]


def our_running(module):
  norms = [layer for layer in our_layers(module) if isinstance(layer, BatchNorm)]
  return [(n.mean[...], n.var[...]) for n in norms]


OPS = ["none", "skip_connect", "max_pool_3x3", "avg_pool_3x3", "conv_7x1_1x7", "residual_block"]
OPS += [f"sep_conv_{k}x{k}" for k in (3, 5, 7)] + [f"dil_conv_{k}x{k}" for k in (3, 5)]
OPS += [f"nor_conv_{k}x{k}" for k in (1, 3)]


@pytest.mark.parametrize("name", OPS)
def test_operation(name):
  """Output and input gradient in training and evaluation, and the running statistics."""
  for stride, size in ((1, (6, 5)), (2, (6, 5)), (2, (8, 8))):
    if name == "residual_block" and stride == 1:
      continue  # has no convolution on its shortcut; NAS-Bench-201 uses stride 2 alone
    ours = MixedOp([name], 6, 6, stride, affine=True, pool_norm=False, rngs=Rngs(1))
    if name == "residual_block":
      reference = Residual(6, 6, stride)
    else:
      reference = operation(name, 6, stride, True)
    carry(ours, reference)
    static, params, stats = functional.split(ours)
    x = np.random.default_rng(2).normal(size=(3, *size, 6)).astype(np.float32)

    @jit
    def run(params, stats, x, static=static):
      results = []
      for train in (True, False):

        def loss(x, train=train):
          module = static.merge(params, stats)
          y = module(x, None, Mode(train=train))
          return (y * y).sum() / 2, (y, our_running(module))

        gradient, (y, moved) = jax.grad(loss, has_aux=True)(x)
        results.append((y, gradient, moved))
      return results

    for train, (y, gradient, moved) in zip((True, False), run(params, stats, x)):
      if not train:
        carry(ours, reference)  # the training pass has moved the statistics
      reference.train(train)
      its_x = to_torch(x).requires_grad_()
      its_y = reference(its_x)
      if name == "none":
        assert not np.any(y)
        assert tuple(its_y.shape[2:]) == y.shape[1:3]
        continue
      (its_y.square().sum() / 2).backward()
      np.testing.assert_allclose(
        y, its_y.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5
      )
      np.testing.assert_allclose(
        gradient, its_x.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-3
      )
      for mine, its in zip(moved, running(reference), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


BENCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
  ("name", "kind", "size"),
  [
    ("PC_DARTS_cifar", "cifar", 32),
    ("AmoebaNet", "cifar", 32),
    ("NASNet", "cifar", 32),
    ("PDARTS", "imagenet", 224),
    (BENCH, "nasbench201", 16),
  ],
)
@pytest.mark.slow
def test_network(name, kind, size):
  """Logits of both heads in training, and of the network in evaluation."""
  genotype = genotypes.load(name)
  if kind == "nasbench201":
    space = macro.nasbench201(genotype, channels=6, cells=2)
    reference = Bench(genotype, 6, 2, 7)
  else:
    space = getattr(macro, kind)(genotype, channels=4, layers=6)
    reference = Darts(genotype, 4, 6, 7, kind == "imagenet")
  ours = Network(space, 7, auxiliary=kind != "nasbench201", rngs=Rngs(3))
  carry(ours, reference)
  static, params, stats = functional.split(ours)
  x = np.random.default_rng(4).normal(size=(3, size, size, 3)).astype(np.float32)

  @jit
  def run(params, stats, x):
    module = static.merge(params, stats)
    trained = module(x, {}, Mode(train=True))
    return trained, static.merge(params, stats)(x, {}, Mode())[0]

  (logits, auxiliary), evaluated = run(params, stats, x)
  with torch.no_grad():
    reference.eval()
    np.testing.assert_allclose(evaluated, reference(to_torch(x))[0], rtol=1e-3, atol=1e-4)
    reference.train()
    its_logits, its_auxiliary = reference(to_torch(x))
  np.testing.assert_allclose(logits, its_logits, rtol=1e-3, atol=1e-3)
  if auxiliary is not None:
    np.testing.assert_allclose(auxiliary, its_auxiliary, rtol=1e-3, atol=1e-3)
