# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO-NAS S, M, L in plain PyTorch: what `benchmark.py yolo_nas` compares itself with.

It needs PyTorch and nothing of dnas, and is written from the published configuration by itself, so
it checks the numbers as well. Channels last, every block fused into one convolution, two threads.

  python scripts/benchmarks/yolo_nas_torch.py --serve     reads lines `PX BATCH STEPS`
  python scripts/benchmarks/yolo_nas_torch.py --check in.npz out.npz
"""
# ruff: noqa: D102  (a module's `forward` is what the class says)

import argparse
import json
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

VARIANTS = {
  "yolo_nas_s": dict(
    hidden=(32, 64, 96, 192),
    every=(0, 0, 0, 0),
    neck=((64, 2), (48, 2), (64, 2), (64, 2)),
    head=0.5,
  ),
  "yolo_nas_m": dict(
    hidden=(64, 128, 256, 384),
    every=(1, 1, 1, 0),
    neck=((192, 2), (64, 3), (192, 2), (256, 3)),
    head=0.75,
  ),
  "yolo_nas_l": dict(
    hidden=(96, 128, 256, 512),
    every=(1, 1, 1, 1),
    neck=((128, 4), (128, 4), (128, 4), (256, 4)),
    head=1.0,
  ),
}


def norm(channels: int) -> nn.BatchNorm2d:
  """Batch norm with the published constants."""
  return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


def folded(weight: torch.Tensor, bias, bn: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
  """The convolution (weight, bias) with the batch norm behind it in it."""
  scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
  bias = 0 if bias is None else bias
  return weight * scale[:, None, None, None], bn.bias + (bias - bn.running_mean) * scale


def convolution(weight: torch.Tensor, bias: torch.Tensor, stride: int) -> nn.Sequential:
  """A convolution with bias, padded by half its kernel, and ReLU."""
  out, c_in, k, _ = weight.shape
  conv = nn.Conv2d(c_in, out, k, stride, k // 2)
  conv.weight.data, conv.bias.data = weight, bias
  return nn.Sequential(conv, nn.ReLU(inplace=True))


class Conv(nn.Module):
  """Convolution, batch norm, ReLU."""

  def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1):
    super().__init__()
    self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
    self.bn = norm(c_out)

  def forward(self, x):
    return functional.relu(self.bn(self.conv(x)))

  def fused(self) -> nn.Module:
    return convolution(*folded(self.conv.weight, None, self.bn), self.conv.stride[0])


class QARepVGG(nn.Module):
  """relu(post_bn(bn(conv3x3(x)) + conv1x1(x) + bias [+ x]))."""

  def __init__(self, c_in: int, c_out: int, stride: int = 1, identity: bool = False):
    super().__init__()
    self.branch_3x3 = nn.Sequential()
    self.branch_3x3.add_module("conv", nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False))
    self.branch_3x3.add_module("bn", norm(c_out))
    self.branch_1x1 = nn.Conv2d(c_in, c_out, 1, stride)
    self.post_bn = norm(c_out)
    self.rbr_reparam = nn.Conv2d(c_in, c_out, 3, stride, 1)  # as in the published files; unused
    self.identity = identity

  def forward(self, x):
    y = self.branch_3x3(x) + self.branch_1x1(x)
    return functional.relu(self.post_bn(y + x if self.identity else y))

  def fused(self) -> nn.Module:
    weight, bias = folded(self.branch_3x3.conv.weight, None, self.branch_3x3.bn)
    weight = weight + functional.pad(self.branch_1x1.weight, (1, 1, 1, 1))
    if self.identity:
      weight = weight + functional.pad(torch.eye(len(weight))[:, :, None, None], (1, 1, 1, 1))
    weight, bias = folded(weight, bias + self.branch_1x1.bias, self.post_bn)
    return convolution(weight, bias, self.branch_1x1.stride[0])


class Bottleneck(nn.Module):
  """alpha x + cv2(cv1(x))."""

  def __init__(self, channels: int, plain: bool):
    super().__init__()
    block = (lambda: Conv(channels, channels, 3)) if plain else None
    block = block or (lambda: QARepVGG(channels, channels, identity=True))
    self.cv1, self.cv2 = block(), block()
    self.alpha = nn.Parameter(torch.ones(1))

  def forward(self, x):
    return self.alpha * x + self.cv2(self.cv1(x))


class Csp(nn.Module):
  """conv3(concat(bottlenecks(conv1(x)), conv2(x)))."""

  def __init__(self, c_in, c_out, hidden, blocks, every=False, plain=False):
    super().__init__()
    self.conv1, self.conv2 = Conv(c_in, hidden, 1), Conv(c_in, hidden, 1)
    self.conv3 = Conv(hidden * (2 + blocks * bool(every)), c_out, 1)
    self.bottlenecks = nn.ModuleList(Bottleneck(hidden, plain) for _ in range(blocks))
    self.every = every

  def forward(self, x):
    parts = [self.conv1(x)]
    for bottleneck in self.bottlenecks:
      parts.append(bottleneck(parts[-1]))
    parts = parts if self.every else parts[-1:]
    return self.conv3(torch.cat([*parts, self.conv2(x)], 1))


class Spp(nn.Module):
  """cv2(concat of cv1(x) and its maxima over 5, 9, 13 px)."""

  def __init__(self, channels: int):
    super().__init__()
    self.cv1 = Conv(channels, channels // 2, 1)
    self.cv2 = Conv(2 * channels, channels, 1)

  def forward(self, x):
    x = self.cv1(x)
    pooled = [functional.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13)]
    return self.cv2(torch.cat([x, *pooled], 1))


class Stage(nn.Module):
  """Down-sampling and a cross-stage layer."""

  def __init__(self, c_in, c_out, hidden, blocks, every):
    super().__init__()
    self.downsample = QARepVGG(c_in, c_out, 2)
    self.blocks = Csp(c_out, c_out, hidden, blocks, every)

  def forward(self, x):
    return self.blocks(self.downsample(x))


class Backbone(nn.Module):
  """Maps at strides 4, 8, 16 and 32."""

  def __init__(self, hidden, every):
    super().__init__()
    self.stem = nn.Module()
    self.stem.conv = QARepVGG(3, 48, 2)
    widths = (48, 96, 192, 384, 768)
    for i, blocks in enumerate((2, 3, 5, 2)):
      stage = Stage(widths[i], widths[i + 1], hidden[i], blocks, every[i])
      setattr(self, f"stage{i + 1}", stage)
    self.context_module = Spp(768)

  def forward(self, x):
    c2 = self.stage1(self.stem.conv(x))
    c3 = self.stage2(c2)
    c4 = self.stage3(c3)
    return c2, c3, c4, self.context_module(self.stage4(c4))


class Up(nn.Module):
  """The way up of the neck."""

  def __init__(self, c_in, skip1, skip2, c_out, hidden, blocks):
    super().__init__()
    self.reduce_skip1, self.reduce_skip2 = Conv(skip1, c_out, 1), Conv(skip2, c_out, 1)
    self.conv, self.downsample = Conv(c_in, c_out, 1), Conv(c_out, c_out, 3, 2)
    self.upsample = nn.ConvTranspose2d(c_out, c_out, 2, 2)
    self.reduce_after_concat = Conv(3 * c_out, c_out, 1)
    self.blocks = Csp(c_out, c_out, hidden, blocks)

  def forward(self, x, skip1, skip2):
    z = self.conv(x)
    parts = [self.upsample(z), self.reduce_skip1(skip1), self.downsample(self.reduce_skip2(skip2))]
    return z, self.blocks(self.reduce_after_concat(torch.cat(parts, 1)))


class Down(nn.Module):
  """The way down of the neck."""

  def __init__(self, c_in, c_out, hidden, blocks):
    super().__init__()
    self.conv = Conv(c_in, c_out // 2, 3, 2)
    self.blocks = Csp(c_out, c_out, hidden, blocks, plain=True)

  def forward(self, x, skip):
    return self.blocks(torch.cat([self.conv(x), skip], 1))


class Neck(nn.Module):
  """Maps at strides 8, 16 and 32."""

  def __init__(self, sizes):
    super().__init__()
    self.neck1, self.neck2 = Up(768, 384, 192, 192, *sizes[0]), Up(192, 192, 96, 96, *sizes[1])
    self.neck3, self.neck4 = Down(96, 192, *sizes[2]), Down(192, 384, *sizes[3])

  def forward(self, c2, c3, c4, c5):
    z5, x = self.neck1(c5, c4, c3)
    z4, p3 = self.neck2(x, c3, c2)
    p4 = self.neck3(p3, z4)
    return p3, p4, self.neck4(p4, z5)


class HeadConv(nn.Module):
  """A convolution under the name that the published files have for it."""

  def __init__(self, c_in, c_out, kernel):
    super().__init__()
    self.seq = Conv(c_in, c_out, kernel)

  def forward(self, x):
    return self.seq(x)


class Head(nn.Module):
  """Class logits and distance distributions of one scale."""

  def __init__(self, c_in, width, classes):
    super().__init__()
    self.stem = HeadConv(c_in, width, 1)
    self.cls_convs = nn.Sequential(HeadConv(width, width, 3))
    self.reg_convs = nn.Sequential(HeadConv(width, width, 3))
    self.cls_pred, self.reg_pred = nn.Conv2d(width, classes, 1), nn.Conv2d(width, 68, 1)

  def forward(self, x):
    x = self.stem(x)
    outputs = self.cls_pred(self.cls_convs(x)), self.reg_pred(self.reg_convs(x))
    return [y.flatten(2).transpose(1, 2) for y in outputs]


class YoloNas(nn.Module):
  """Boxes [B, A, 4] px and scores [B, A, classes]."""

  def __init__(self, name: str, classes: int = 80):
    super().__init__()
    variant = VARIANTS[name]
    self.backbone = Backbone(variant["hidden"], variant["every"])
    self.neck = Neck(variant["neck"])
    self.heads = nn.Module()
    for i, (c_in, inner) in enumerate(((96, 128), (192, 256), (384, 512)), 1):
      setattr(
        self.heads, f"head{i}", Head(c_in, -(-int(inner * variant["head"]) // 8) * 8, classes)
      )

  def predictions(self, x):
    """Logits [B, A, classes], distributions [B, A, 68], points [A, 2], strides [A, 1]."""
    maps = self.neck(*self.backbone(x))
    heads = (self.heads.head1, self.heads.head2, self.heads.head3)
    logits, distribution = zip(*(head(y) for head, y in zip(heads, maps, strict=True)), strict=True)
    points, strides = [], []
    for y, stride in zip(maps, (8, 16, 32), strict=True):
      rows, columns = torch.meshgrid(*map(torch.arange, y.shape[2:]), indexing="ij")
      points.append((torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5) * stride)
      strides.append(torch.full((len(points[-1]), 1), float(stride)))
    return torch.cat(logits, 1), torch.cat(distribution, 1), torch.cat(points), torch.cat(strides)

  def forward(self, x):
    logits, distribution, points, strides = self.predictions(x)
    sides = distribution.unflatten(-1, (4, 17)).softmax(-1) @ torch.arange(17.0)
    sides = sides * strides
    boxes = torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1)
    return boxes, logits.sigmoid()


def fuse(module: nn.Module) -> nn.Module:
  """Every block replaced by one convolution, in place."""
  for name, child in module.named_children():
    setattr(module, name, child.fused() if hasattr(child, "fused") else fuse(child))
  return module


def serve(name: str, threads: int) -> None:
  """Answers each line `PX BATCH STEPS` with the seconds of so many passes, as JSON."""
  torch.set_num_threads(threads)
  torch.manual_seed(0)
  with torch.inference_mode():
    model = fuse(YoloNas(name).eval()).to(memory_format=torch.channels_last)
    warm = set()
    print(json.dumps({"torch": torch.__version__, "threads": threads}), flush=True)
    for line in sys.stdin:
      px, batch, steps = map(int, line.split())
      x = torch.rand(batch, 3, px, px).to(memory_format=torch.channels_last)
      if (px, batch) not in warm:
        model(x), model(x)
        warm.add((px, batch))
      seconds, cpu = [], time.process_time()
      for _ in range(steps):
        start = time.perf_counter()
        model(x)
        seconds.append(time.perf_counter() - start)
      cpu = (time.process_time() - cpu) / steps
      peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
      print(json.dumps({"seconds": seconds, "cpu_s": cpu, "peak_mib": peak}), flush=True)


def check(name: str, source: str, target: str) -> None:
  """Runs `input` [B, 3, H, W] of an .npz through the weights in it; writes what comes out."""
  with np.load(source) as file:
    state = {key: torch.from_numpy(file[key]) for key in file.files if key != "input"}
    x = torch.from_numpy(file["input"])
  model = YoloNas(name, len(state["heads.head1.cls_pred.bias"])).eval()
  model.load_state_dict(state, strict=False)
  absent = [key for key in model.state_dict() if key not in state]
  absent = [key for key in absent if "rbr_reparam" not in key and "num_batches" not in key]
  extra = sorted(set(state) - set(model.state_dict()))
  if absent or extra:
    raise SystemExit(f"error: missing {absent[:5]}, left over {extra[:5]}")
  with torch.inference_mode():
    features = model.backbone(x)
    outputs = dict(zip(("c2", "c3", "c4", "c5"), features, strict=True))
    outputs |= dict(zip(("p3", "p4", "p5"), model.neck(*features), strict=True))
    logits, distribution, _, _ = model.predictions(x)
    boxes, scores = model(x)
  outputs |= dict(logits=logits, distribution=distribution, boxes=boxes, scores=scores)
  np.savez(target, **{key: value.numpy() for key, value in outputs.items()})


def main() -> None:
  """The command line."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
  parser.add_argument("--model", choices=VARIANTS, default="yolo_nas_s")
  parser.add_argument("--threads", type=int, default=2, help="(default: %(default)s)")
  what = parser.add_mutually_exclusive_group(required=True)
  what.add_argument("--serve", action="store_true", help="times what standard input asks for")
  what.add_argument("--check", nargs=2, metavar=("IN", "OUT"), help="one forward pass on an .npz")
  args = parser.parse_args()
  if args.check:
    check(args.model, *args.check)
  else:
    serve(args.model, args.threads)


if __name__ == "__main__":
  main()
