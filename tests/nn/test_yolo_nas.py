# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO-NAS: counts, names, forward pass, fusion, weights, training."""

import importlib.util
import json
import random
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from dnas import models
from dnas.cost import count
from dnas.nn import csp, functional, network, places, yolo_nas
from dnas.nn import yolo_nas_weights as weights
from dnas.nn.init import Rngs
from dnas.nn.mode import Mode
from dnas.space import yolo_nas as spaces
from dnas.space.space import SpaceError
from dnas.trees import CheckpointError

# Small members of the family: they compile in seconds.
TINY = spaces.yolo_nas([[4]] * 8, [[1, 2]] * 8, heads=(50,), channels=(8, 8, 16, 16))
QAREP = ("csp_qarep_1x4",) * 4 + ("csp_conv_2x4", "csp_qarep_1x4") + ("csp_conv_1x4",) * 2
EVERY = ("csp_conv_2x4_all", "csp_qarep_1x4_all", "csp_qarep_2x4", "csp_conv_1x4") * 2
quick = {"xla_backend_optimization_level": 0}


def tiny(names=QAREP, classes=3, seed=0):
  ops = {cell: (name,) for cell, name in zip(spaces.STAGES + spaces.NECK, names, strict=True)}
  space = spaces.family({**ops, "head": ("yolo_head_50",)}, (8, 8, 16, 16))
  return yolo_nas.build(space, classes, rngs=Rngs(seed))


def images(batch=2, px=32):
  return np.random.default_rng(0).random((batch, px, px, 3), np.float32)


def raw(model, x):
  run = jax.jit(yolo_nas.raw, static_argnums=0, compiler_options=quick)
  return run(*functional.split(model), x)


def synthetic(shared):
  spec = importlib.util.spec_from_file_location("w", shared / "tools" / "synthetic_weights.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.weight


# ---------------------------------------------------------------------------------------------
# Numbers of the specification


@pytest.mark.parametrize(
  ("name", "parts", "total", "params", "fused", "macs", "entries"),
  [
    (
      "yolo_nas_s",
      {"backbone": 14_844_508, "neck": 2_462_632, "heads": 1_746_748},
      *(19_053_888, 12_878_304, 12_167_600, (15_898_624_000, 16_939_008_000), 921),
    ),
    pytest.param(
      "yolo_nas_m",
      {"backbone": 37_078_236, "neck": 10_323_306, "heads": 3_781_116},
      *(51_182_658, 33_861_346, 31_894_002, (43_879_833_600, 47_092_736_000), 965),
      marks=pytest.mark.slow,
    ),
    pytest.param(
      "yolo_nas_l",
      {"backbone": 47_386_204, "neck": 13_000_560, "heads": 6_589_628},
      *(66_976_392, 44_529_448, 41_984_984, (59_917_107_200, 64_493_158_400), 1097),
      marks=pytest.mark.slow,
    ),
  ],
)
def test_counts(name, parts, total, params, fused, macs, entries):
  info = models.measure(name)
  written = info.to_dict()
  assert {p["name"]: p["params"] + p["placeholder_params"] for p in written["parts"]} == parts
  assert written["params_with_placeholders"] == total
  assert (written["params"], written["params_fused"]) == (params, fused)
  assert (written["macs_fused"], written["macs"]) == macs
  shapes = weights.shapes(models.model(name).build(80, Rngs(None)))
  assert len(shapes) == entries
  trained = [n for n in shapes if not n.endswith(("running_mean", "running_var", "tracked"))]
  assert sum(int(np.prod(shapes[n])) for n in trained) == total


def test_names_and_shapes_of_s(shared):
  with np.load(shared / "parity" / "yolo_nas_s_64.npz") as file:
    meta = json.loads(str(file["meta_json"]))
  model = yolo_nas.build("yolo_nas_s", rngs=Rngs(None))
  assert weights.shapes(model) == dict(zip(meta["keys"], map(tuple, meta["shapes"]), strict=True))


def test_anchors():
  model = tiny()
  static, params, stats = functional.split(model)
  run = lambda x: static.merge(params, stats)(x, {}, Mode())
  got = jax.eval_shape(run, jax.ShapeDtypeStruct((1, 640, 640, 3), jnp.float32))
  assert got.logits.shape == (1, 8400, 3)
  assert got.distribution.shape == (1, 8400, 68)


@pytest.mark.slow
def test_forward_pass_of_s(shared):
  """Features, neck, logits, distributions to 1e-4, boxes to 1e-3 px; fused as well."""
  with np.load(shared / "parity" / "yolo_nas_s_64.npz") as file:
    case = {name: file[name] for name in file.files}
  meta = json.loads(str(case["meta_json"]))
  model = yolo_nas.build("yolo_nas_s", rngs=Rngs(None))
  weight = synthetic(shared)
  state = {name: weight(name, shape) for name, shape in weights.shapes(model).items()}
  for name, value in state.items():
    assert zlib.crc32(np.ascontiguousarray(value).tobytes()) == meta["crc"][name]
  assert weights.put(model, state) == ()
  for form in (model, yolo_nas.fuse(model)):
    static, params, stats = functional.split(form)

    def run(params, stats, x, static=static):
      merged = static.merge(params, stats)
      features = merged.features(x, {}, Mode())
      neck = merged.fuse_scales(features, {}, Mode())
      return (*features, *neck), merged(x, {}, Mode()), yolo_nas.raw(static, params, stats, x)

    x = case["input"].transpose(0, 2, 3, 1)
    maps, predictions, (boxes, scores) = jax.jit(run, compiler_options=quick)(params, stats, x)
    names = ["feat/c2", "feat/c3", "feat/c4", "feat/c5", "neck/p3", "neck/p4", "neck/p5"]
    for name, got in zip(names, maps, strict=True):
      np.testing.assert_allclose(got, case[name].transpose(0, 2, 3, 1), atol=1e-4, err_msg=name)
    np.testing.assert_allclose(predictions.logits, case["cls_logits"], atol=1e-4)
    np.testing.assert_allclose(predictions.distribution, case["reg_distri"], atol=1e-4)
    np.testing.assert_allclose(predictions.strides, case["stride_tensor"])
    np.testing.assert_allclose(boxes, case["pred_bboxes"], atol=1e-3)
    np.testing.assert_allclose(scores, case["pred_scores"], atol=1e-4)


# ---------------------------------------------------------------------------------------------
# The layers


def test_pools_chain_to_9_and_13():
  x = np.random.default_rng(0).normal(size=(1, 20, 4, 3)).astype(np.float32)
  y = x
  for window in (5, 9, 13):
    y = csp.max_pool_5x5(y)
    side = window // 2
    padded = np.pad(x, ((0, 0), (side,) * 2, (side,) * 2, (0, 0)), constant_values=-np.inf)
    views = np.lib.stride_tricks.sliding_window_view(padded, (window, window), (1, 2))
    np.testing.assert_array_equal(y, views.max((-1, -2)))


def test_upsampling_is_a_transposed_convolution():
  layer = yolo_nas.Upsample(3, rngs=Rngs(0))
  x = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype(np.float32)
  kernel = layer.kernel[...]  # [2, 2, in, out]
  want = np.zeros((1, 8, 10, 3), np.float32)
  for a in range(2):
    for b in range(2):
      want[:, a::2, b::2] = x @ kernel[a, b]
  np.testing.assert_allclose(layer(x, Mode()), want + layer.bias[...], atol=1e-6)


@pytest.mark.slow
def test_a_layer_with_all_its_intermediates():
  """conv3 of conv1(x), b_1, b_2, conv2(x), in this order."""
  layer = csp.Csp(spaces.Csp("conv", 2, 4, True), 6, 8, affine=True, rngs=Rngs(0))
  x, mode = images(1, 4)[..., [0, 1, 2, 0, 1, 2]], Mode()
  first = layer.conv1(x, mode)
  b1 = 1.0 * first + layer.bottlenecks[0].cv2(layer.bottlenecks[0].cv1(first, mode), mode)
  b2 = 1.0 * b1 + layer.bottlenecks[1].cv2(layer.bottlenecks[1].cv1(b1, mode), mode)
  want = layer.conv3(jnp.concatenate([first, b1, b2, layer.conv2(x, mode)], -1), mode)
  np.testing.assert_allclose(layer(x, mode), want, atol=1e-6)
  layer.bottlenecks[0].alpha.set_value(np.zeros(1, np.float32))
  assert np.abs(layer(x, mode) - want).max() > 1e-4, "alpha weighs the input"


# ---------------------------------------------------------------------------------------------
# The network


@pytest.mark.slow
@pytest.mark.parametrize("names", [QAREP, EVERY])
def test_fused_equals_trained_form(names):
  model = tiny(names)
  rng = np.random.default_rng(0)
  for _, variable in nnx.iter_graph(model):
    if isinstance(variable, nnx.BatchStat):
      variable.set_value(rng.uniform(0.5, 1.5, variable.shape).astype(np.float32))
  fast = yolo_nas.fuse(model)
  for a, b in zip(raw(model, images()), raw(fast, images()), strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, atol=1e-4)
  assert not jax.tree.leaves(nnx.state(fast, nnx.BatchStat))


@pytest.mark.slow
def test_training_learns_and_averages_equal_a_model():
  """Every kernel has a gradient; (params, stats) are averaged as in `dnas.train`."""
  static, params, stats = functional.split(tiny())
  x = images()
  wanted = np.random.default_rng(1).normal(size=(2, 21, 71)).astype(np.float32)

  def step(params, stats):
    def value(params):
      model = static.merge(params, stats)
      y = model(x, {}, Mode(train=True))
      y = jnp.concatenate([y.logits, y.distribution], -1)
      return jnp.mean((y - wanted) ** 2), functional.stats_of(model)

    (value, stats), gradient = jax.value_and_grad(value, has_aux=True)(params)
    return value, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), stats, gradient

  step = jax.jit(step, compiler_options=quick)
  start = (params, stats)
  losses = []
  for _ in range(100):
    value, params, stats, gradient = step(params, stats)
    losses.append(float(value))
    if len(losses) == 1:
      leaves = jax.tree_util.tree_leaves_with_path(gradient)
      still = [jax.tree_util.keystr(path) for path, g in leaves if not np.any(np.asarray(g))]
      # A norm behind the branches takes what their biases add away again: zero, up to rounding.
      assert not [path for path in still if not path.endswith("['bias']")]
  assert losses[-1] < 0.8 * losses[0]
  average = jax.tree.map(lambda a, b: 0.5 * a + 0.5 * b, start, (params, stats))
  boxes, scores = jax.jit(yolo_nas.raw, static_argnums=0, compiler_options=quick)(
    static, *average, x
  )
  assert np.isfinite(boxes).all()
  assert np.isfinite(scores).all()


@pytest.mark.slow
def test_supernet_at_one_hot_weights_is_the_genotype():
  genotype = TINY.decide(
    {cell: (names[-1],) for cell in TINY.searched for names in [TINY.cells[cell].edges[0].ops]}
  )
  supernet = yolo_nas.build(TINY, 3, rngs=Rngs(0))
  derived = yolo_nas.YoloNas(genotype, 3, search=True, rngs=Rngs(1))
  network.inherit(supernet, derived)
  hot = {
    c: (np.eye(len(TINY.cells[c].edges[0].ops))[-1].astype(np.float32),) for c in TINY.searched
  }
  static, params, stats = functional.split(supernet)
  run = lambda p, s, x: static.merge(p, s)(x, hot, Mode())
  mixed = jax.jit(run, compiler_options=quick)(params, stats, images())
  alone = derived(images(), {}, Mode())
  np.testing.assert_allclose(mixed.logits, alone.logits, atol=1e-4)
  np.testing.assert_allclose(mixed.distribution, alone.distribution, atol=1e-4)


@pytest.mark.slow
def test_any_genotype_costs_what_the_table_of_its_space_says():
  """MACs and parameters are sums over the eight layers and the head, and every genotype builds."""
  call = lambda model, w, x, mode: model(x, w, mode)
  model = yolo_nas.YoloNas(TINY, 3, search=False, rngs=Rngs(None))
  found = places.places(TINY, model, call, (32, 32))
  assert {place.cell for place in found.found} == set(TINY.searched)
  costs = places.counts(TINY, found)
  for seed in range(3):
    genotype = TINY.sample(random.Random(seed))
    derived = yolo_nas.build(genotype, 3, rngs=Rngs(None))
    counted = count.count(derived, lambda m, x: m(x, {}, Mode()), (32, 32, 3))
    assert costs["macs"].of(genotype) == counted.macs
    assert costs["params"].of(genotype) == counted.params


def test_errors_of_the_network():
  with pytest.raises(SpaceError, match="multiples of 32 px, got 33 x 64"):
    yolo_nas.check_size(33, 64)
  with pytest.raises(SpaceError, match="unknown YOLO-NAS 'yolo_nas_xl'"):
    yolo_nas.build("yolo_nas_xl", rngs=Rngs(None))
  with pytest.raises(SpaceError, match="classes: must be 1 or more"):
    tiny(classes=0)
  genotype = spaces.genotype("yolo_nas_s")
  cells = {name: cell for name, cell in genotype.cells.items() if name != "neck3"}
  with pytest.raises(SpaceError, match="cells: neck3 are missing"):
    yolo_nas.build(genotype.replace(cells=cells), rngs=Rngs(None))
  with pytest.raises(ValueError, match=r"neck1.*need mixing weights"):
    yolo_nas.build(TINY, 3, rngs=Rngs(None))(images(), {}, Mode())
  with pytest.raises(SpaceError, match="csp_conv_1x4: keeps the resolution"):
    csp.from_name("csp_conv_1x4")(4, 4, 2, affine=True, rngs=Rngs(None))
  assert csp.from_name("skip_connect") is None


# ---------------------------------------------------------------------------------------------
# Weights


def test_weights_round_trip_and_prefixes(tmp_path):
  model, other = tiny(), tiny(seed=1)
  weights.save(tmp_path / "w.npz", model)
  state = weights.read(tmp_path / "w.npz")
  # What published files hold besides: placeholders, step counters, a prefix of parallel training.
  shapes = weights.shapes(model)
  state |= {n: np.zeros(s, np.float32) for n, s in shapes.items() if n not in state}
  assert any("rbr_reparam" in name for name in state)
  np.savez(tmp_path / "p.npz", **{f"module.{name}": value for name, value in state.items()})
  assert weights.load(other, tmp_path / "p.npz") == ()
  for a, b in zip(
    jax.tree.leaves(nnx.state(model)), jax.tree.leaves(nnx.state(other)), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def test_weights_that_do_not_fit_are_listed_by_name():
  model = tiny()
  before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model)))
  state = weights.state_of(tiny(seed=1))
  alpha = "backbone.stage1.blocks.bottlenecks.0.alpha"
  del state[alpha]
  state["head.extra.weight"] = np.zeros(3)
  bias = "neck.neck1.upsample.bias"
  state[bias] = np.zeros(5, np.float32)
  infinite = "heads.head3.reg_pred.bias"
  state[infinite] = np.full(68, np.inf, np.float32)
  with pytest.raises(CheckpointError) as error:
    weights.put(model, state, source="some.pth")
  text = str(error.value)
  assert "some.pth does not fit" in text
  assert f"1 missing: {alpha}" in text
  assert "1 not of this network: head.extra.weight" in text
  assert f"1 of another shape: {bias} [5] instead of [8]" in text
  assert f"1 not finite numbers: {infinite}" in text
  after = nnx.to_pure_dict(nnx.state(model))
  jax.tree.map(np.testing.assert_array_equal, before, after)  # nothing was loaded


def test_transfer_to_another_number_of_classes():
  model, source = tiny(classes=5), tiny(classes=3, seed=1)
  state = weights.state_of(source)
  with pytest.raises(CheckpointError, match=r"trained for 3 classes, the network has 5.*transfer"):
    weights.put(model, state)
  kept = weights.put(model, state, transfer=True)
  names = {f"heads.head{i}.cls_pred.{leaf}" for i in (1, 2, 3) for leaf in ("weight", "bias")}
  assert set(kept) == names
  mine = weights.state_of(model)
  for name, value in state.items():
    if name not in names:
      np.testing.assert_array_equal(mine[name], value)
  assert mine["heads.head1.cls_pred.bias"] == pytest.approx(np.full(5, -np.log(99)))


def test_weights_of_another_variant_are_recognised():
  state = {"backbone.stage1.blocks.conv1.conv.weight": np.zeros((64, 96, 1, 1))}
  model = yolo_nas.build("yolo_nas_s", rngs=Rngs(None))
  with pytest.raises(CheckpointError, match="widths of yolo_nas_m, the network is yolo_nas_s"):
    weights.put(model, state)
  assert weights.variant_of(state) == "yolo_nas_m"
  assert weights.classes_of(state) is None


def test_only_the_trained_form_has_names():
  with pytest.raises(CheckpointError, match="load, then fuse"):
    weights.entries(yolo_nas.fuse(tiny()))


def test_bad_files(tmp_path):
  cases = {
    "absent.npz": (None, "no such file"),
    "notes.txt": (b"hello", r"from \.npz, \.pt and \.pth"),
    "text.npz": (b"hello", r"no \.npz of arrays, or broken"),
    "empty.npz": (b"PK\x05\x06" + bytes(18), "holds no arrays"),
  }
  weights.save(tmp_path / "whole.npz", tiny())
  cut = (tmp_path / "whole.npz").read_bytes()[:-500]
  cases["cut.npz"] = (cut, r"no \.npz of arrays, or broken")
  np.savez(tmp_path / "pickled.npz", a=np.array([object()], dtype=object))
  cases["pickled.npz"] = ((tmp_path / "pickled.npz").read_bytes(), "no .npz of arrays")
  for name, (content, message) in cases.items():
    if content is not None:
      (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
      weights.read(tmp_path / name)
    assert name in str(error.value)


def test_torch_files(tmp_path):
  torch = pytest.importorskip("torch")
  model = tiny()
  state = {name: torch.from_numpy(value) for name, value in weights.state_of(tiny(seed=1)).items()}
  zeros = {name: torch.zeros_like(value) for name, value in state.items()}
  for saved in (state, {"net": state}, {"net": zeros, "ema_net": state, "epoch": 3}):
    torch.save(saved, tmp_path / "w.pth")
    assert weights.load(model, tmp_path / "w.pth") == ()
    got = weights.state_of(model)
    assert all(np.array_equal(got[name], value.numpy()) for name, value in state.items())
  torch.save({"net": torch.nn.Linear(2, 2)}, tmp_path / "module.pt")
  with pytest.raises(CheckpointError, match=r"module\.pt holds Python objects.*state_dict"):
    weights.read(tmp_path / "module.pt")
  whole = (tmp_path / "w.pth").read_bytes()
  torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
  old = (tmp_path / "old.pth").read_bytes()
  cut = [whole[:-10], whole[:1000], old[:-10], old[:60], old[:3]]
  for content in (*cut, b"hello world", b"{}", b"", bytes(100)):
    (tmp_path / "cut.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cut\.pt is no PyTorch file, or broken"):
      weights.read(tmp_path / "cut.pt")


def test_without_torch_the_message_says_what_to_do(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "torch", None)
  (tmp_path / "w.pt").write_bytes(b"")
  with pytest.raises(
    CheckpointError, match=r"needs PyTorch.*EXTRAS=torch bash scripts/setup\.sh.*savez"
  ):
    weights.read(tmp_path / "w.pt")


def test_random_weights_are_announced():
  sentence = weights.RANDOM.format(name="yolo_nas_s")
  assert "random weights" in sentence
  assert "LICENSE.YOLONAS.md" in sentence
