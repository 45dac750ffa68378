# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How good a candidate is: performance estimates, named in `estimates`.

`tabular` and `nats` look up, `short_training` and `learning_curve` train a little, `one_shot` takes
weights from a supernet, `zero_cost` (on a `subject`, named by `training_free`) looks at one batch;
`devices` has latencies of other devices.
"""
