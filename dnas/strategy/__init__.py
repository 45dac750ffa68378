# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""How a search space is explored.

By gradients: `bilevel` composes a `relaxation`, a `hypergradient` (with its `solvers`), terms of
`regularization`, `pricing` and `freezing`; `discretize`, `projection` or `budgets` (a `knapsack`)
decide; `stages` prunes in between; `diagnostics` and `observe` watch. Below them: `alpha`,
`levels`, `inner_step`, `optimizer`, `schedule`, and `problem`, what a search is given.

As a black box: `ask_tell` is the loop, `black_box` names the strategies (`random_search`,
`evolution`, `local_search`, `reinforce`, `nsga2`, `successive_halving`), `history` keeps and
`shared` spreads what they ask for; `front` measures what they find.

Where the answer is known: `landscape`, `planted`, `pairs`.
"""
