# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a run: complete, self-contained, escaped; live; and in a real browser."""

import html.parser
import json
import re
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from dnas import config as configs
from dnas import data, figures, report
from dnas.errors import DnasError
from dnas.report import page, progress, serve, style, svg
from dnas.space import cells, genotypes, mbconv

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
  labels = [one["aria-label"] for one in shown.of("svg")]
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


def test_a_tuning_is_finished_when_its_trials_are_there(root, tmp_path):
  """So is one whose best config is written, not one that was cut off."""
  tuning = json.loads(json.dumps(TUNING))
  tuning["trials"][2]["error"] = "not <finite>"
  (tmp_path / "tuning.json").write_text(json.dumps(tuning))
  cut_off = page.page([tmp_path])
  assert "Not finished" in cut_off
  assert "best trial" in cut_off
  assert "not &lt;finite&gt;" in cut_off
  (tmp_path / "best.json").write_text("{}")
  assert "Not finished" not in page.page([tmp_path])
  del tuning["trials"][0]
  (tmp_path / "tuning.json").write_text(json.dumps(tuning))
  assert "best trial" not in page.page([tmp_path])


def test_names_are_shown_as_they_are(root, tmp_path):
  """A `$` is no maths, and a `_` in front hides nothing."""
  names = ("_first", "a$\\x$", "$b$")
  folders = [make(tmp_path / name, root) for name in names]
  cell = genotypes.published("DARTS_V2").to_json().replace('"normal"', '"$n$"')
  (folders[0] / "genotype.json").write_text(cell)
  shown = page.page(folders)
  texts = re.findall(r"<text [^>]*>([^<]*)</text>", shown)
  assert set(names) <= set(texts)
  assert "$n$" in texts


def test_a_cell_may_be_called_anything(root, tmp_path):
  folder = make(tmp_path / "run", root)
  name = '/../"a <b\\q'
  text = genotypes.published("DARTS_V2").to_json().replace('"normal"', json.dumps(name))
  (folder / "genotype.json").write_text(text)
  before = set(tmp_path.rglob("*"))
  pictures = set(report.draw(folder))
  assert {path.parent for path in pictures} == {folder}
  assert set(tmp_path.rglob("*")) - before == pictures
  ids = [a["id"] for _, a in Page(page.page([folder])).tags if "id" in a]
  assert len(set(ids)) == len(ids)
  assert [each for each in ids if not re.fullmatch(r"[\w.-]+", each)] == []


def test_operations_that_change_nothing_are_named(root, tmp_path):
  folder = make(tmp_path / "run", root)
  cell = cells.nasbench201().decide({"cell": ["none", "none", *["nor_conv_1x1"] * 4]})
  (folder / "genotype.json").write_text(cell.to_json())
  assert "3 of 4 operations lie on no path from an input to the output" in page.page([folder])


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
  labels = [one["aria-label"] for one in shown.of("svg")]
  assert {"Search: weight_loss", "Search: alpha_loss", "Training: loss"} <= set(labels)
  assert sum(label.startswith("cell normal") for label in labels) == 2
  with pytest.raises(DnasError, match="a run is given twice"):
    page.page([made, made])
  with pytest.raises(DnasError, match=r"holds no run: there is neither config.json"):
    page.page([tmp_path])


def test_lines_are_told_apart_on_light_and_on_dark_ground():
  light, dark = style.CSS.split("prefers-color-scheme: dark")
  for sheet in (light, dark):
    variables = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", sheet))
    shown = [svg.TEXT.get(colour.lower(), colour) for colour in figures.COLOURS]
    shown = [variables[c[6:-1]] if c.startswith("var") else c for c in shown]
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in shown])
    apart = np.linalg.norm(rgb[:, None] - rgb, axis=-1)
    assert apart[np.triu_indices(len(rgb), 1)].min() > 60


def test_a_single_point_is_seen():
  compared = progress.draw_compared({"a": [{"step": 1, "loss": 2.0}]}, "loss").axes[0].lines
  metrics = progress.draw_metrics([{"step": 1, "loss": 2.0}])
  assert metrics is not None
  alpha = progress.draw_alpha_curves([5], ["0 to 1"], [OPS], [np.ones((1, 3))]).axes[0].lines
  for line in (*compared, *metrics.axes[0].lines, *alpha):
    assert line.get_marker() == "o"
  two = progress.draw_compared({"a": [{"step": i, "loss": 2.0} for i in (1, 2)]}, "loss")
  assert two.axes[0].lines[0].get_marker() == "None"


def test_runs_made_verb_by_verb_are_compared_by_their_results(root, tmp_path):
  """`evaluate.py` leaves its numbers in `train/`."""
  one, other = (make(tmp_path / name, root, seed) for name, seed in (("a", 0), ("b", 1)))
  (one / "result.json").rename(one / "train" / "evaluation.json")
  assert re.findall(r"<td>(0.9\d?)</td>", page.page([one, other])) == ["0.9", "0.91"]


def test_a_field_that_is_at_its_default_does_not_differ(root, tmp_path):
  folders = [make(tmp_path / name, root) for name in "abc"]
  config = configs.load(root / "configs" / "digits.py").unlock()
  del config["seeds"], config["cost"], config.search["stages"]
  (folders[0] / "config.json").write_text(configs.to_json(config))
  assert "<p>Nothing.</p>" in page.page(folders)
  config.seeds, config.train.network = 2, None
  (folders[1] / "config.json").write_text(configs.to_json(config))
  shown = page.page(folders)
  row = lambda *words: "".join(f'<td class="text">{word}</td>' for word in words)
  assert f"<tr>{row('seeds', 1, 2, 1)}</tr>" in shown
  assert f"<tr>{row('train.network', '(absent)', None, '(absent)')}</tr>" in shown


def test_means_over_seeds_are_called_so(root, tmp_path):
  folder = make(tmp_path / "run", root)
  records = [{"step": 1, "weight_loss": 2.0, "seeds/weight_loss": [1.0, 2.0, 3.0], "skipped": 0}]
  assert "over its" not in page.page([folder])
  (folder / "metrics.jsonl").write_text(lines(records))
  titles = [one["aria-label"] for one in Page(page.page([folder])).of("svg")]
  assert "Metrics of the search, means over its 3 seeds" in titles
  (folder / "metrics.jsonl").unlink()  # Only what was observed is there.
  assert "over its" not in page.page([folder])


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


@pytest.fixture
def served(tmp_path):
  """The address of a server of a folder that holds no run yet."""
  with serve.server([tmp_path], 0) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[:2]
    server.shutdown()


def test_a_silent_connection_keeps_no_page_back(root, tmp_path, served):
  """Browsers open some at hand, on which they ask for nothing."""
  (tmp_path / "config.json").write_text(configs.to_json(configs.load(root / "configs/digits.py")))
  with (
    socket.create_connection(served),
    urllib.request.urlopen("http://{}:{}/".format(*served), timeout=30) as answer,
  ):
    assert answer.status == 200


def test_a_run_that_has_not_begun_is_waited_for(served):
  with pytest.raises(urllib.error.HTTPError) as error:
    urllib.request.urlopen("http://{}:{}/".format(*served), timeout=30)
  assert error.value.code == 500
  text = error.value.read().decode()
  error.value.close()
  assert "holds no run" in Page(text).text
  assert 'http-equiv="refresh" content="10"' in text


def test_who_does_not_wait_for_the_page_is_no_error(served, monkeypatch, capfd):
  asked, left = threading.Event(), threading.Event()

  def slow(*_):
    asked.set()
    left.wait(30)
    return "x" * (1 << 24)

  monkeypatch.setattr(page, "page", slow)
  with socket.create_connection(served) as silent:
    silent.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert asked.wait(30)
  left.set()
  monkeypatch.setattr(page, "page", lambda *_: "after it")
  with urllib.request.urlopen("http://{}:{}/".format(*served), timeout=30) as answer:
    assert answer.read() == b"after it"
  assert "Error" not in capfd.readouterr().err


def test_ports_that_cannot_be_had(served, tmp_path):
  for port, reason in ((served[1], "in use"), (65536, "0-65535")):
    with pytest.raises(DnasError, match=f"port {port} of this machine: .*{reason}"):
      serve.server([tmp_path], port)


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
  labels = [one["aria-label"] for one in Page(page.page(folders)).of("svg")]
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
