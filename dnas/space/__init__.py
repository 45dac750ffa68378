# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What may be chosen: cells, edges, stages, genotypes. Standard library only.

`space` and `cell` are the data, `shapes` makes cells; `cells`, `mbconv` and `yolo_nas` are spaces,
`macro` the networks that cells stand in, `published` both by name; `genotypes` are the published
ones, `scaling` makes them larger; `checks` and `document` serve the others.
"""
