# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a run: complete, self-contained, escaped; live; and in a real browser."""

import html.parser
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from dnas import config as configs
from dnas import data, figures, report
from dnas.errors import DnasError
from dnas.report import page, progress, serve
from dnas.space import genotypes, mbconv

OPS = ("skip_connect", "none", "nor_conv_1x1")


def lines(records) -> str:
  return "".join(json.dumps(record) + "\n" for record in records)


def make(folder, root, seed=0):
  """A run's folder as search, training and evaluation leave it, without computing anything."""
  rng = np.random.default_rng(seed)
  config = configs.load(root / "configs" / "digits.py", {"seed": seed})
  (folder / "train").mkdir(parents=True)
  (folder / "watch").mkdir()
  (folder / "config.json").write_text(configs.to_json(config))
  (folder / "genotype.json").write_text(genotypes.published("DARTS_V2").to_json())
  steps = range(1, 1001)
  searched = [{"step": i, "weight_loss": 1 / i, "alpha_loss": 2 / i, "skipped": 0} for i in steps]
  (folder / "metrics.jsonl").write_text(lines(searched))
  trained = [{"step": i, "loss": 1 / i, "grad_norm": 1.0 + 1 / i, "skipped": 0} for i in steps]
  (folder / "train" / "metrics.jsonl").write_text(lines(trained))
  for step in (10, 20, 30):
    logits = dict(zip(OPS, rng.normal(size=3).tolist()))
    alpha = [{"src": 0, "dst": 1, "logits": logits}, {"src": 0, "dst": 2, "logits": logits}]
    record = {"genotype": {}, "alpha": {"normal": alpha}, "skip_share": 0.1, "gap/loss": 1.0}
    (folder / "watch" / f"{step:08d}.json").write_text(json.dumps(record))
  source = data.load("digits", "test")
  names = [source.classes[label] for label in source.labels]
  found = [{"id": int(k), "class": name} for k, name in zip(source.ids, names)]
  found[0]["class"] = "9" if found[0]["class"] != "9" else "8"
  (folder / "train" / "predictions.json").write_text(json.dumps(found))
  result = {"accuracy": 0.9 + seed / 100, "images": 300, "params": 1234567, "macs": 1000}
  (folder / "result.json").write_text(json.dumps(result))
  cost = {"budgets": {"macs": 2000}, "macs": 1000, "genotype": {}}
  (folder / "cost.json").write_text(json.dumps(cost))
  return folder


TUNING = {
  "score": "accuracy on held-out training data",
  "importance": {"train.optimizer.lr": 0.75, "train.ema": 0.25},
  "trials": [
    {"number": 0, "state": "complete", "score": 0.5, "course": [[2, 0.4]], "fields": {"a": 1}},
    {"number": 1, "state": "pruned", "score": None, "course": [[2, 0.1]], "fields": {"a": 2}},
    {"number": 2, "state": "fail", "score": None, "course": [], "fields": {"a": 3}},
  ],
}


class Page(html.parser.HTMLParser):
  """Tags, attributes and texts; that tags nest is checked on the way."""

  VOID = ("meta", "link", "img", "br")

  def __init__(self, text):
    super().__init__()
    self.open, self.tags, self.text = [], [], ""
    self.feed(text)
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, text):
    self.text += text

  def of(self, tag):
    return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
  folder = make(tmp_path_factory.mktemp("runs") / "a<script>alert(1)", root)
  (folder / "tuning.json").write_text(json.dumps(TUNING))
  report.write(folder)
  return folder


def test_everything_is_on_the_page(made):
  text = (made / "report.html").read_text()
  shown = Page(text)
  labels = [svg["aria-label"] for svg in shown.of("svg")]
  expected = ("cell normal: 2:", "cell reduce: 2:", "softmax(alpha) of the cell normal, all edges")
  expected += ("softmax(alpha) of the cell normal, edge by edge", "Metrics of the search")
  expected += ("Diagnostics", "Metrics of the training", "confusion", "Scores of the trials")
  for start in (*expected, "Which fields"):
    assert sum(label.startswith(start) for label in labels) == 1, start
  assert all(svg["role"] == "img" for svg in shown.of("svg"))
  for words in ("0.9", "1,234,567", "2,000", "scripts/run.py --config", '"weight_share": 0.5'):
    assert words in shown.text, words


def test_the_page_needs_nothing_and_runs_nothing(made):
  text = (made / "report.html").read_text()
  shown = Page(text)
  assert not shown.of("script")
  assert "a<script>alert(1)" in shown.text
  assert shown.of("meta")[2]["content"].startswith("default-src 'none'")
  for _, attributes in shown.tags:
    for name, value in attributes.items():
      if name in ("src", "href", "xlink:href"):
        assert value.startswith(("data:", "#")), value
  ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
  assert len(set(ids)) == len(ids)
  used = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
  assert used
  assert set(used) <= set(ids)


def test_the_same_folder_gives_the_same_page(made):
  assert page.page([made]) == (made / "report.html").read_text()


def test_a_run_that_has_just_begun(root, tmp_path):
  (tmp_path / "config.json").write_text(configs.to_json(configs.load(root / "configs/digits.py")))
  assert "Not finished" in Page(page.page([tmp_path])).text
  (tmp_path / "metrics.jsonl").write_text(lines([{"step": 1, "weight_loss": 1.0}]) + '{"step": 2')
  assert "Metrics of the search" in Page(page.page([tmp_path])).text


def test_data_that_are_not_there_are_said_to_be_missing(made, root, tmp_path):
  folder = shutil.copytree(made, tmp_path / "moved")
  config = configs.load(root / "configs" / "digits.py", {"data.spec": "yolo:nowhere.yaml"})
  (folder / "config.json").write_text(configs.to_json(config))
  text = Page(page.page([folder])).text
  assert "No curves, for the data cannot be read: " in text
  assert "nowhere.yaml" in text


def test_several_runs_side_by_side(made, root, tmp_path):
  other = make(tmp_path / "b", root, seed=1)
  file = report.write_page([made, other], tmp_path / "comparison.html")
  shown = Page(file.read_text())
  assert "seed" in shown.text
  assert "0.91" in shown.text
  labels = [svg["aria-label"] for svg in shown.of("svg")]
  assert {"Search: weight_loss", "Search: alpha_loss", "Training: loss"} <= set(labels)
  assert sum(label.startswith("cell normal") for label in labels) == 2
  with pytest.raises(DnasError, match="a run is given twice"):
    page.page([made, made])
  with pytest.raises(DnasError, match=r"holds no run: there is neither config.json"):
    page.page([tmp_path])


def test_long_curves_are_averaged_in_groups():
  records = [{"step": i, "loss": float(i % 2)} for i in range(1, 100_001)]
  x, y = progress.grouped(records, "loss")
  assert len(x) == progress.POINTS
  np.testing.assert_allclose(y, 0.5, atol=0.01)
  x, y = progress.grouped([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 3.0}], "loss")
  assert (x.tolist(), y.tolist()) == ([2.0], [3.0])


def test_it_is_served_to_this_machine_only(root, tmp_path):
  (tmp_path / "config.json").write_text(configs.to_json(configs.load(root / "configs/digits.py")))
  with serve.server([tmp_path], 0) as server:
    assert server.server_address[0] == "127.0.0.1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with urllib.request.urlopen(f"{url}/") as answer:
      assert 'http-equiv="refresh" content="10"' in answer.read().decode()
    for path, host, code in (("/config.json", "localhost", 404), ("/", "evil.example", 403)):
      request = urllib.request.Request(f"{url}{path}", headers={"Host": host})
      with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
      assert error.value.code == code
      error.value.close()
    server.shutdown()


def test_a_search_in_stages_is_compared_as_one_and_runs_keep_their_colours(root, tmp_path):
  for name in ("plain", "staged", "trained"):
    make(tmp_path / name, root)
  whole = (tmp_path / "staged" / "metrics.jsonl").read_text().splitlines(keepends=True)
  (tmp_path / "staged" / "metrics.jsonl").unlink()
  for stage, records in (("stage0", whole[:30]), ("stage1", whole[:20])):
    (tmp_path / "staged" / stage).mkdir()
    (tmp_path / "staged" / stage / "metrics.jsonl").write_text("".join(records))
  steps = [record["step"] for record in progress.read_stages(tmp_path / "staged")]
  assert steps == list(range(1, 51))
  (tmp_path / "plain" / "metrics.jsonl").unlink()
  records = {n: progress.read_stages(tmp_path / n) for n in ("plain", "staged", "trained")}
  lines_of = progress.draw_compared(records, "weight_loss").axes[0].lines
  assert [line.get_label() for line in lines_of] == ["staged", "trained"]
  assert [line.get_color() for line in lines_of] == list(figures.COLOURS[1:3])
  assert "Search: weight_loss" in page.page([tmp_path / n for n in records])


def test_each_stage_of_a_search_has_a_picture_of_its_own(tmp_path):
  genotype = genotypes.from_nasbench201("|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
  (tmp_path / "genotype.json").write_text(genotype.to_json())
  for stage in ("stage0", "stage1"):
    (tmp_path / stage / "watch").mkdir(parents=True)
    record = {"genotype": {}, "alpha": {}, f"only/{stage}": 0.5}
    (tmp_path / stage / "watch" / "00000010.json").write_text(json.dumps(record))
  pictures = {path.name for path in report.draw(tmp_path)}
  assert pictures == {
    f"{name}.{kind}"
    for name in ("cell_cell", "search_stage0", "search_stage1")
    for kind in ("svg", "png")
  }
  assert "only/stage1" in (tmp_path / "search_stage1.svg").read_text()


def test_the_rungs_of_a_black_box_search_are_lines_of_their_own():
  rows = [{"step": i + 1, "metrics": {"score": float(i)}} for i in range(4)]
  lines_of = lambda rows: progress.draw_candidates([{"step": 0}, *rows]).axes[0].lines
  (line,) = lines_of(rows)
  assert (line.get_label(), list(line.get_ydata())) == ("candidates", [0, 1, 2, 3])
  rows[2]["rung"] = 1
  short, long = lines_of(rows)
  assert (short.get_label(), list(short.get_xdata())) == ("rung 0", [1, 2, 4])
  assert (long.get_label(), list(long.get_xdata())) == ("rung 1", [3])


def test_a_black_box_search_before_its_first_score(root, tmp_path):
  assert progress.draw_candidates([{"step": 0}]) is None
  (tmp_path / "config.json").write_text(configs.to_json(configs.load(root / "configs/digits.py")))
  (tmp_path / "history.jsonl").write_text(lines([{"step": 0}]))
  assert "Scores of the candidates" not in page.page([tmp_path])


def test_folders_of_trainings_are_compared_as_trainings(root, tmp_path):
  folders = []
  for name in ("a", "b"):
    make(tmp_path / "whole" / name, root)
    (tmp_path / name).mkdir()
    for file in ("config.json", "train/metrics.jsonl"):
      shutil.copy(tmp_path / "whole" / name / file, tmp_path / name)
    folders.append(tmp_path / name)
  labels = [svg["aria-label"] for svg in Page(page.page(folders)).of("svg")]
  assert labels == ["Training: loss"]


def test_a_file_of_another_kind_is_named(root, tmp_path):
  folder = make(tmp_path / "run", root)
  (folder / "result.json").write_text("[1]")
  with pytest.raises(DnasError, match=r"result.json: should hold a JSON object, holds list"):
    page.page([folder])


def test_no_command_for_a_training_that_started_from_weights(root, tmp_path):
  config = configs.load(root / "configs" / "digits.py").unlock()
  (tmp_path / "config.json").write_text(configs.to_json(config))
  assert "scripts/run.py --config" in page.page([tmp_path])
  config.train.start = {"name": "mine", "weights": "0123"}
  (tmp_path / "config.json").write_text(configs.to_json(config))
  text = page.page([tmp_path])
  assert "scripts/run.py" not in text
  assert "0123" in text


def test_chains_are_shown_in_words(root, tmp_path):
  folder = make(tmp_path / "chain", root)
  chain = mbconv.mbconv((4,), (1,), (1,), kernels=(3,), expansions=(3,))
  (folder / "genotype.json").write_text(chain.to_json())
  shown = Page(page.page([folder]))
  assert "mbconv1" in shown.text
  assert "1: mbconv_3x3_e3(0)" in shown.text


@pytest.mark.slow
def test_in_a_real_browser(made, tmp_path):
  """No message on the console, no picture of no size, at a phone's width too."""
  browser = shutil.which("chromium") or shutil.which("google-chrome")
  if browser is None:
    pytest.skip("needs chromium")
  page_file = tmp_path / "report.html"
  # The policy forbids the page itself any script; this copy measures what is drawn.
  script = (
    "<script>addEventListener('load', () => {"
    "const of = [...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect());"
    "document.title = JSON.stringify([of.length, of.filter(r => r.width < 50 || r.height < 30)"
    ".length, document.documentElement.scrollWidth])})</script>"
  )
  text = (made / "report.html").read_text()
  text = text.replace("default-src 'none'", "default-src * 'unsafe-inline'")
  page_file.write_text(text.replace("</body>", f"{script}</body>"))
  for width in (1280, 500):
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--enable-logging=stderr", f"--window-size={width},900", page_file.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in run.stderr
    count, empty, wide = json.loads(re.search(r"<title>(.*?)</title>", run.stdout)[1])
    assert (count, empty) == (text.count("<svg"), 0)
    assert wide <= width
