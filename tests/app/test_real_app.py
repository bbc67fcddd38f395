"""`python app.py` with a real model and the real engine: the same page, and all that only a real run can show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from visiting import PATIENCE, ROOT, RUN_ID, Server, finished, free_port, open_run, points, running, start

from unlearn_core.events import Started, encode
from unlearn_core.topics.reader import write_topic
from unlearn_core.topics.topic import Topic

pytestmark = pytest.mark.timeout(400)
LONG = {"steps": "2000", "groups": "8"}  # most steps for each part of the forget set: a run that lasts until it is stopped


def app(folder: Path, model: Path | str, *flags: str) -> Server:
    port = free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--runs-dir", str(folder / "runs"), "--model", str(model)]
    return Server([*command, *flags], port, folder / "log")


@pytest.fixture(scope="module")
def taught_world(taught_folder: Path, tiny_topic: Topic) -> Path:
    """A small model that learnt a small topic, with that topic."""
    (taught_folder / "topics").mkdir(exist_ok=True)
    write_topic(tiny_topic, taught_folder / "topics" / "tiny-hats.json")
    return taught_folder


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, taught_world: Path) -> Iterator[Server]:
    """The program itself on that model."""
    server = app(tmp_path_factory.mktemp("real"), taught_world).wait()
    yield server
    server.stop()


def set_up(page: Page, settings: dict[str, str]) -> None:
    page.locator("#advanced > .label-wrap").click()
    for name, value in settings.items():
        box = page.locator(f"#setting-{name} input, #setting-{name} textarea").last
        box.fill(value)
        box.blur()
        expect(page.locator("#command textarea, #command input")).to_have_value(re.compile(f"{name}={value}"))


def test_a_real_run_ends_with_a_verdict_and_answers_questions(real, visit):
    page = visit(real.url)
    run_id = start(page)
    finished(page)
    expect(page.locator("#verdict")).to_contain_text("the hats")
    expect(page.locator("#cards .lt-card")).to_have_count(4)
    expect(page.locator("#pairs .lt-pair").first).to_be_visible()
    page.locator("#question input").fill("Ada hat?")
    page.locator("#question input").press("Enter")
    expect(page.locator(".panes[data-done=yes] .pane-original")).to_contain_text(re.compile("red|blue|green|black"))
    page.get_by_role("tab", name="Internals").click()
    expect(page.locator("#internals-words")).to_contain_text("Layer")
    assert points(page, "internals-spectrum") > 0
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator(f"#runs-table tr[data-run='{run_id}']")).to_contain_text("done")


def test_the_dial_uses_the_real_model(real, visit):
    page = visit(real.url)
    start(page)
    finished(page)
    page.locator("#strength input[type=range]").fill("0")
    expect(page.locator("#cards")).to_contain_text("strength 0")
    page.locator("#measure-all").click()
    expect(page.locator("#cards")).to_contain_text("all questions")
    expect(page.locator("#cards .lt-card").first.locator(".lt-big")).to_have_text(re.compile("100"))


STOP_ANSWERED = """() => {
    const stop = document.querySelector("#stop");
    return !stop?.offsetParent || stop.textContent.includes("Stopping");
}"""


def test_stop_is_answered_and_keeps_what_there_is(real, visit):
    page = visit(real.url)
    set_up(page, LONG)
    start(page)
    running(page)
    page.locator("#question input").fill("Ada hat?")
    page.locator("#question input").press("Enter")
    expect(page.locator("#panes .lt-problem")).to_contain_text("still at work")
    page.locator("#stop").click()
    page.wait_for_function(STOP_ANSWERED, timeout=PATIENCE)
    expect(page.locator("#strip-words")).to_contain_text("Stopped")
    expect(page.locator("#verdict")).to_contain_text("the hats")
    expect(page.locator("#panes .lt-problem")).to_have_count(0)
    expect(page.locator("#estimate")).to_contain_text("cpu · float32")


def test_the_live_curve_grows_and_reload_attaches(real, visit):
    page = visit(real.url)
    set_up(page, LONG)
    run_id = start(page)
    running(page)
    grown = "() => (document.querySelector('#accuracy-plot .js-plotly-plot')?.layout?.meta?.points || 0) >= {}"
    page.wait_for_function(grown.format(6), timeout=PATIENCE)
    page.reload()
    running(page)
    assert run_id in page.url
    page.wait_for_function(grown.format(9), timeout=PATIENCE)
    second = visit(real.url)
    running(second)
    second.locator("#stop").click()
    for tab in (page, second):
        expect(tab.locator("#strip-words")).to_contain_text("Stopped")


def test_run_b_never_shows_the_events_of_run_a(real, visit):
    page = visit(real.url)
    first = start(page)
    finished(page)
    set_up(page, LONG)
    start(page)
    running(page)
    open_run(page, first)
    page.wait_for_url(re.compile(first))
    expect(page.locator("#strip-words")).to_contain_text("Done")
    page.wait_for_timeout(3000)  # the time in which the run at work would speak up
    expect(page.locator("#strip-words")).not_to_contain_text("phase")
    expect(page.locator("#strip-words")).to_contain_text(first)
    other = visit(real.url)
    other.locator("#stop").click()
    expect(other.locator("#strip-words")).to_contain_text("Stopped")


BAD_FILES = {
    "wrong.csv": (b"a,b\n1,2\n", "its columns are"),
    "empty.csv": (b"", "empty"),
    "binary.csv": (b"\x89PNG\x00\x01\xff\xfe" * 40, "text"),
    "latin.csv": ("question,answer\nqué,sí\n".encode("latin-1"), "UTF-8"),
    "long.csv": (b"question,answer\n" + b"x" * 10_000_000 + b",y\n", "10 MB long"),
    "twice.csv": (b"id,question,answer\na,one?,1\na,two?,2\n", "used twice"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_topic_file_gets_a_sentence(real, visit, tmp_path, name):
    content, words = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    page = visit(real.url)
    page.locator("#own-topic > .label-wrap").click()
    page.locator("#topic-file input[type=file]").set_input_files(tmp_path / name)
    expect(page.locator("#topic-preview .lt-problem")).to_contain_text(words)
    expect(page.locator("body")).not_to_contain_text("Traceback")


def test_an_uploaded_list_becomes_the_chosen_topic(real, visit):
    page = visit(real.url)
    page.locator("#own-topic > .label-wrap").click()
    page.locator("#topic-paste textarea").fill("question,answer\nBo hat?,red\n<b>Cy</b> hat?,blue\n")
    page.locator("#use-paste").click()
    expect(page.locator("#topic-preview table")).to_contain_text("<b>Cy</b> hat?")
    expect(page.locator("#topic input")).to_have_value(re.compile("Pasted"))


def test_a_missing_model_folder_is_refused_beside_its_field(tmp_path, visit):
    server = app(tmp_path, tmp_path / "nowhere").wait()
    try:
        page = visit(server.url)
        page.locator("#start").click()
        expect(page.locator("#model-problem .field-problem")).to_be_visible()
        expect(page.locator("#stop")).to_be_hidden()
    finally:
        visit.close()  # before its server goes: a page without one complains
        server.stop()


def test_pickled_weights_are_refused_beside_the_field(real, visit, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    page = visit(real.url)
    page.locator("#model input").fill(str(tmp_path))
    page.locator("#model input").press("Enter")
    expect(page.locator("#model-problem .field-problem")).to_contain_text("only pickled weights")
    page.locator("#start").click()
    expect(page.locator("#stop")).to_be_hidden()


def test_torch_is_not_loaded_before_the_first_page():
    script = (
        "import sys, app, components.dashboard, components.launch; from unlearn_core.runner import Runner; "
        "from unlearn_core.store import Store; from components.settings import Settings; "
        "components.dashboard.build_ui(Runner(Store('nowhere')), Store('nowhere'), Settings()); "
        "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules), 'loaded too early'"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=90)


def test_a_killed_run_is_interrupted_and_opens(tmp_path, taught_world, visit):
    folder = tmp_path / "runs" / "2026-01-01-tiny-hats-00000000"
    folder.mkdir(parents=True)
    config = {"model": str(taught_world), "topic": "tiny-hats", "method": "unlearn"}
    (folder / "config.json").write_text(json.dumps({"config": config, "started_at": "2026-01-01T00:00:00+00:00"}))
    started = encode(Started(folder.name, config, "2026-01-01T00:00:00+00:00"), 0.0)
    (folder / "events.jsonl").write_text(started + '\n{"event": "Phase", "at": 1, "na')
    server = app(tmp_path, taught_world).wait()
    try:
        page = visit(f"{server.url}/?run={folder.name}")
        expect(page.locator("#strip-words")).to_contain_text("Interrupted")
        expect(page.locator("#start")).to_be_visible()
        page.locator("#verdict").get_by_role("button", name="Run it again").click()
        finished(page)
        again = json.loads((tmp_path / "runs" / RUN_ID.search(page.url).group(1) / "config.json").read_text())["config"]
        assert config.items() <= again.items() and folder.name not in page.url
    finally:
        visit.close()  # before its server goes: a page without one complains
        server.stop()
