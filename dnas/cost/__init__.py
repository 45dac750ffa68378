# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a network costs: `count` has parameters and MACs, `latency` and `energy` the others.

`tally` is where layers report what they do; `model` is the cost of every genotype of a space, with
a gradient; `objective` makes one number of quality and cost; `widths` widens networks to equal
cost.
"""
