# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""Differentiable neural architecture search in JAX.

Contents, from the top; an import may only point down (`dnas.tables.house`):

  nas          the five-line API: load a detector, look at it, measure it, predict, train, export
  tables       the tables of `paper_results/`: one module each

  experiment   read this first: search -> genotype -> train -> evaluate -> report

  estimate     how good a candidate is: benchmarks' tables, proxies, one-shot, short training
  search       a config -> a genotype, by the differentiable bilevel loop
  explore      a config -> a genotype, by a strategy that asks and an estimate that answers
  train        a genotype's network, from scratch or from given weights
  finetune     a loaded detector on a data set
  evaluate     trained weights on a split that neither search nor training has seen
  validate     a detector on a split of any data set: figures, pictures, speed
  predict      a detector on pictures
  counted      what a loaded detector costs, as trained and fused
  tune         trials of hyperparameters beside the search
  report       what people look at: pictures of a run, and `report.html`
  export       networks for other programs: StableHLO, ONNX and LiteRT, checked against JAX
  info         what a genotype or a search space is, and what its network costs

  watch        every n-th step of a search is observed, and may end it
  projected    genotypes decided in steps of their own, by what the supernet misses
  method       what `config.search` composes: the functions of a differentiable method
  settings     `config.search` with every field, checked
  detectors    detectors with their weights: by a name, from a file, from a run
  loaded       what they all are
  apart        latency as a program that does nothing else has it, measured beside a search

  runs         a run's folder and its loop: what searching and training share
  task         what a network is for: classification, detection
  trained      what a training has left in its folder
  hardware     `config.cost`: what the network may cost on the device at hand
  budgeted     genotypes that keep the budgets of `config.cost`, by measurement
  models       the published networks by name

  strategy     how a space is explored: relaxation, hypergradient, bilevel, black-box strategies
  nn           the network that a space describes, in Flax NNX
  cost         what a network costs: parameters, multiply-accumulates, latency, energy
  detection    pure functions on arrays: boxes, assignment, losses, NMS, metrics
  data         `load("coco:instances.json@images")` -> `Source` -> batches
  space        what may be chosen: cells, edges, stages, genotypes (standard library only)

  checkpoint   checkpoints from which a run goes on bit for bit
  retention    which of them stay
  seal         what a checkpoint says besides its arrays
  trees        pytrees as named host arrays and back
  lock         one run, one folder
  memory       of the process: buffers are kept between steps
  mesh         one device, eight, or many hosts
  cache        what is kept between runs: prepared data, compiled programs
  finite       NaN and infinity in a step
  jaxprs       traced functions evaluated again, equation by equation
  preemption   SIGTERM: save, and say "start me again"
  process      what a process sets up before it computes
  log          what a run writes for people: metrics.jsonl, TensorBoard
  progress     how far it is: a live bar, or lines with the time left
  figures      what all figures share: their colours, and how they become files
  terminal     pages for the terminal: tables of words and numbers
  config       config files, overrides from the command line
  naming       functions by name: how a config says which method is meant
  fields       fields of a config: set, write, read, compare
  schema       which fields a config has, with their defaults; sections with all of them
  files        files written in one step, and read to a bounded size
  errors       what is shared by all errors that a user can cause and mend
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from dnas.nas import NAS as NAS

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
  """`from dnas import NAS`, which brings in JAX only then."""
  if name == "NAS":
    from dnas.nas import NAS

    return NAS
  raise AttributeError(f"module 'dnas' has no attribute {name!r}")
