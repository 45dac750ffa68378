# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a search space describes, in Flax NNX.

`network` (`detector`, `yolo_nas`, `efficientnet`, `efficientdet`) is a `stem` and cells of `mixed`
operations, a `neck` (or `bifpn`) and a `head`; `ops` has the operations (`named` those whose names
hold numbers), `blocks`, `csp`, `mbconv` and `qarepvgg` what they are made of; `supernet` says how
choices are evaluated, `fused`, `looped` and `mixing` do it fast, and `stacked` (on `rows`) keeps
the weights of equal edges together. `layers`, `norm`, `init`, `mode` and `functional` are used by
all; `dense`, `depthwise` and `platform` choose the form that is fast where we run; `fold` folds
batch norms away, `places` says what stands where, and `yolo_nas_weights` reads published files.
"""
