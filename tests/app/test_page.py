"""The page on a scripted runner: what can be seen and used, without any model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from scripted import ENDLESS_QUESTION
from visiting import finished, open_run, pick, points, running, start

pytestmark = pytest.mark.timeout(400)

WATCH = """() => {
    window.seen = [];
    const look = () => window.seen.push(['#verdict', '#strip-words'].map((id) => document.querySelector(id).textContent)
        .join(' '));
    new MutationObserver(look).observe(document.querySelector('.gradio-container'),
        {subtree: true, childList: true, characterData: true});
}"""

# What verdict and strip say whenever nothing covers them.
UNCOVERED = """
    window.seen = [];
    const look = () => {
        const parts = ['#verdict', '#strip-words'].map((id) => document.querySelector(id)?.innerText || '').join(' ').trim();
        if (parts && !document.querySelector('.lethe-first')) window.seen.push(parts);
    };
    new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true});
"""

# Where the text of a mark is, and whether it is shown within the window, beside the sidebar.
LOOK = """(mark) => {
    const text = mark.querySelector('.lt-info-text'), box = text.getBoundingClientRect();
    const left = Math.max(0, document.querySelector('.sidebar').getBoundingClientRect().right);
    return {words: text.textContent, box: box.toJSON(), within: getComputedStyle(text).visibility === 'visible' && box.width > 0
        && left <= box.left && box.right <= document.documentElement.clientWidth && 0 <= box.top && box.bottom <= innerHeight};
}"""
# The same of all marks on the tab in sight, each focused at that edge of the window.
FOCUS_EACH = f"""(block) => [...document.querySelectorAll('.lt-info')].filter((mark) => mark.offsetParent).map((mark) => {{
    mark.scrollIntoView({{block, behavior: 'instant'}});
    mark.focus();
    return ({LOOK})(mark);
}})"""


def test_first_open_shows_the_recorded_run(scripted, visit):
    page = visit(scripted.url)
    expect(page.locator("#verdict")).to_contain_text("the Vale books")
    expect(page.locator("#cards .lt-card")).to_have_count(4)
    expect(page.locator("#strip-words")).to_contain_text("Recorded example")
    expect(page.locator("#replay")).to_be_visible()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    assert "run=" not in page.url


def test_the_verdict_is_there_before_any_script_of_gradio(scripted, browser):
    page = browser.new_page(color_scheme="dark")
    page.route("**/assets/*.js", lambda route: route.abort())
    page.goto(scripted.url)
    expect(page.locator(".lethe-first .lt-sentence")).to_contain_text("the Vale books")
    expect(page.locator(".lethe-first")).to_have_css("background-color", "rgb(14, 19, 27)")
    page.goto(f"{scripted.url}/?run=some-other-run")
    expect(page.locator(".lethe-first")).to_have_text("Opening the run…")
    page.close()


def test_a_page_of_another_run_never_shows_the_recorded_one(scripted, visit):
    page = visit(scripted.url)
    wanted = start(page, long=True)
    during = visit(scripted.url, before=lambda page: page.add_init_script(UNCOVERED))
    during.wait_for_url(re.compile(re.escape(wanted)))
    page.locator("#stop").click()
    expect(page.locator("#strip-words")).to_contain_text("Stopped")
    after = visit(f"{scripted.url}/?run={wanted}", before=lambda page: page.add_init_script(UNCOVERED))
    for opened in (during, after):
        expect(opened.locator("#strip-words")).to_contain_text("Stopped")
        seen = opened.evaluate("window.seen")
        assert seen and not any("Recorded example" in text for text in seen), seen


def test_a_link_to_a_run_that_is_gone_uncovers_the_page(scripted, visit):
    covered = "window.covered = 0; setInterval(() => { window.covered += !!document.querySelector('.lethe-first'); }, 20);"
    page = visit(f"{scripted.url}/?run=2020-01-01-gone-abc", before=lambda page: page.add_init_script(covered))
    assert page.evaluate("window.covered") > 0
    expect(page.locator("#messages")).to_contain_text("recorded example is open instead")
    expect(page.locator(".lethe-first")).to_have_count(0)
    expect(page.locator("#verdict .lt-sentence")).to_be_visible()


def test_the_first_copy_of_the_verdict_gives_way_to_the_page(scripted, visit):
    page = visit(scripted.url)
    expect(page.locator("#verdict .lt-sentence")).to_be_visible()
    expect(page.locator(".lethe-first")).to_have_count(0)
    expect(page.locator(".lt-sentence")).to_have_count(1)


def test_unlearn_on_first_open_repeats_the_recorded_run(scripted, visit):
    page = visit(scripted.url)
    asked = "python -m unlearn_core run --model demo --topic book-series --method unlearn --set rank=6 --seed 3"
    asked += f" --runs-dir {scripted.log.parent / 'runs'}"
    expect(page.locator("#command textarea, #command input")).to_have_value(asked)
    expect(page.locator("#topic input")).to_have_value("the Vale books")
    expect(page.locator("#setting-rank input[type=number]")).to_have_value("6")


def test_what_matters_is_above_the_fold(scripted, visit):
    page = visit(scripted.url)
    for selector in ("#verdict", "#cards", "#question", "#pairs .lt-pair >> nth=0"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + min(box["height"], 60) <= 900, selector


def test_a_run_goes_from_unlearn_to_verdict(scripted, visit):
    page = visit(scripted.url)
    start(page)
    finished(page)
    assert points(page, "accuracy-plot") > 6
    expect(page.locator("#verdict")).to_contain_text("no longer answers")


def test_the_curve_of_a_run_at_work_grows(scripted, visit):
    page = visit(scripted.url)
    start(page, long=True)
    running(page)
    drawn = (
        "(more) => { const n = document.querySelector('#accuracy-plot .js-plotly-plot')?.layout?.meta?.points || 0;"
        " return n > more && n; }"
    )
    early = page.wait_for_function(drawn, arg=5).json_value()
    page.wait_for_function(drawn, arg=early)
    page.locator("#stop").click()


def test_replay_plays_the_run_again_and_ends(scripted, visit):
    page = visit(scripted.url)
    page.locator("#replay").click()
    expect(page.locator("#end-replay")).to_be_visible()
    expect(page.locator("#strip-words")).to_contain_text("phase")
    expect(page.locator("#start")).to_be_visible()
    page.locator("#end-replay").click()
    expect(page.locator("#strip-words")).to_contain_text("Recorded example")
    expect(page.locator("#end-replay")).to_be_hidden()


def test_stop_keeps_a_partial_result(scripted, visit):
    page = visit(scripted.url)
    start(page, long=True)
    running(page)
    for unlearn in ("#start", "#strip-start"):
        expect(page.locator(unlearn)).to_be_hidden()
    page.locator("#stop").click()
    expect(page.locator("#strip-words")).to_contain_text("Stopped", timeout=10_000)
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator(".lt-problem")).to_have_count(0)


def test_a_page_that_is_left_while_it_follows_writes_no_error(scripted, visit):
    page, said = visit(scripted.url), []
    start(page, long=True)
    running(page)
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.reload()
    running(page)
    page.goto("about:blank")
    assert not [text for text in said if "AbortError" in text or "errored out" in text]


def test_a_run_that_has_just_been_started_is_never_called_interrupted(scripted, visit):
    page = visit(scripted.url)
    page.evaluate(WATCH)
    start(page, long=True)
    running(page)
    page.locator("#stop").click()
    expect(page.locator("#strip-words")).to_contain_text("Stopped")
    assert not [text for text in page.evaluate("window.seen") if "Interrupted" in text]


def test_reload_attaches_again(scripted, visit):
    page = visit(scripted.url)
    run_id = start(page, long=True)
    running(page)
    page.reload()
    running(page)
    assert run_id in page.url
    page.locator("#stop").click()
    expect(page.locator("#strip-words")).to_contain_text("Stopped")


def test_a_second_tab_follows_and_can_stop(scripted, visit):
    first = visit(scripted.url)
    run_id = start(first, long=True)
    second = visit(scripted.url)
    running(second)
    second.wait_for_url(re.compile(re.escape(run_id)))
    second.locator("#stop").click()
    for page in (first, second):
        expect(page.locator("#strip-words")).to_contain_text("Stopped", timeout=10_000)


def test_a_second_unlearn_offers_to_watch(scripted, visit):
    first, second = visit(scripted.url), visit(scripted.url)
    run_id = start(first, long=True)
    second.locator("#start").click()
    expect(second.locator("#messages")).to_contain_text("is not over yet")
    second.locator("#messages .card-action").click()
    second.wait_for_url(re.compile(re.escape(run_id)))
    running(second)
    expect(second.locator("#messages .card-action")).to_have_count(0)
    second.locator("#stop").click()
    expect(first.locator("#strip-words")).to_contain_text("Stopped")


def test_a_run_at_work_is_offered_in_every_other_tab_until_it_is_over(scripted, visit):
    first, elsewhere = visit(scripted.url), visit(scripted.url)
    second = visit(scripted.url, beside=first)
    second.locator("#question input").fill("Who is Tessa?")
    run_id = start(first, long=True)
    for page in (second, elsewhere):
        expect(page.locator("#messages")).to_contain_text("A run is at work: UNLEARN on four private people.")
        expect(page.locator("#strip-words")).to_contain_text("Recorded example")
    expect(second.locator("#question input")).to_have_value("Who is Tessa?")
    second.locator("#messages .lt-away").click()
    open_run(first, "Recorded example")
    expect(first.locator("#messages")).to_contain_text("A run is at work")
    first.locator("#messages .card-action").click()
    first.wait_for_url(re.compile(re.escape(run_id)))
    running(first)
    expect(first.locator("#messages .lt")).to_have_count(0)
    expect(second.locator("#messages .lt")).to_have_count(0)  # it was put away
    first.locator("#stop").click()
    expect(elsewhere.locator("#messages .lt")).to_have_count(0)


def test_a_list_closes_where_the_keyboard_leaves_it(scripted, visit):
    page = visit(scripted.url)
    page.locator("#model input").focus()
    for name in ("topic", "own-topic", "method"):
        expect(page.locator("#sidebar [role=listbox]")).to_have_count(1 if name != "method" else 0)
        page.keyboard.press("Tab")
        expect(page.locator(f"#{name} :focus")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator("#setting-rank :focus")).to_have_count(1)
    expect(page.locator("#sidebar [role=listbox]")).to_have_count(0)


def test_unlearn_says_at_once_that_it_was_pressed(scripted, visit):
    page, held, released = visit(scripted.url), [], []
    page.route("**/queue/join*", lambda route: route.continue_() if released else held.append(route))
    page.locator("#start").click()
    expect(page.locator("html[data-pressed]")).to_have_count(1)
    assert page.locator("#start").evaluate("(node) => getComputedStyle(node, '::after').content") == '"Starting…"'
    released.append(True)
    for route in held:
        route.continue_()
    finished(page)
    expect(page.locator("html[data-pressed]")).to_have_count(0)


def test_another_run_never_shows_events_of_the_one_at_work(scripted, visit):
    page = visit(scripted.url)
    start(page, long=True)
    running(page)
    expect(page.locator("#verdict")).to_contain_text("four private people")
    open_run(page, "Recorded example")
    expect(page.locator("#verdict")).to_contain_text("the Vale books")
    page.evaluate(WATCH)
    page.wait_for_timeout(4000)  # the time in which the run at work would speak up
    assert not [text for text in page.evaluate("window.seen") if "private people" in text or "phase" in text]
    expect(page.locator("#strip-words")).to_contain_text("Recorded example")


def test_ask_both_streams_and_escape_stops(scripted, visit):
    page = visit(scripted.url)
    page.locator("#question input").fill(ENDLESS_QUESTION)
    page.locator("#question input").press("Enter")
    expect(page.locator(".pane-original")).to_contain_text("Tessa")
    expect(page.locator("#stop-ask")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".panes[data-done=yes]")).to_be_visible()
    expect(page.locator(".pane-reference")).to_contain_text("Who is Tessa?")
    expect(page.locator("#send")).to_be_visible()
    page.wait_for_url(re.compile("q=Tell"))


def test_back_and_forward_lead_from_run_to_run(scripted, visit):
    page = visit(scripted.url)
    run_id = start(page, long=True)
    running(page)
    page.get_by_role("tab", name="Internals").click()  # no page of its own
    page.wait_for_url(re.compile("tab=internals"))
    page.go_back()  # to the recorded run, though another is at work
    page.wait_for_url(lambda url: run_id not in url)
    expect(page.locator("html.lethe-ready")).to_have_count(1)
    expect(page.locator("#strip-words")).to_contain_text("Recorded example")
    page.go_forward()
    page.wait_for_url(re.compile(f"{run_id}.*tab=internals"))
    expect(page.locator("html.lethe-ready")).to_have_count(1)
    running(page)
    expect(page.get_by_role("tab", name="Internals")).to_have_attribute("aria-selected", "true")


def test_a_link_to_the_recorded_run_names_it(scripted, visit):
    page = visit(scripted.url, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#copy-link").click()
    expect(page.locator(".lethe-note")).to_contain_text("copied")
    link = page.evaluate("navigator.clipboard.readText()")
    start(page, long=True)
    running(page)
    other = visit(link)
    expect(other.locator("#strip-words")).to_contain_text("Recorded example")
    expect(visit(scripted.url).locator("#strip-words")).to_contain_text("phase")


def test_quick_steps_of_the_dial_leave_the_page_as_it_is(scripted, visit):
    page = visit(scripted.url)
    expect(page.locator("#verdict")).to_contain_text("the Vale books")
    dial = page.locator("#strength input[type=range]")
    expect(page.locator("#chips button").first).to_be_visible()
    dial.focus()
    at = dial.bounding_box()["y"]
    for pause in (20, 250, 500, 20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(pause)
    expect(page.locator("#cards")).to_contain_text("strength 2")
    for place, words in (("#verdict", "the Vale books"), ("#strip-words", "Recorded example")):
        expect(page.locator(place)).to_contain_text(words)
    expect(page.locator("#chips button").first).to_be_visible()
    assert dial.bounding_box()["y"] == pytest.approx(at, abs=2)  # under the pointer still


def test_an_answer_ends_where_another_run_is_opened(scripted, visit):
    page = visit(scripted.url)
    page.locator("#question input").fill(ENDLESS_QUESTION)
    page.locator("#question input").press("Enter")
    expect(page.locator(".pane-original")).to_contain_text("Tessa")
    start(page)
    finished(page)
    expect(page.locator("#panes .panes")).to_have_count(0)
    expect(page.locator("#send")).to_be_visible()
    assert "q=" not in page.url


def test_what_is_chosen_before_the_page_has_arrived_stays(scripted, visit):
    held = []
    address = f"{scripted.url}/?q=%01"  # what is said about it shows that the page has arrived
    page = visit(address, before=lambda page: page.route("**/queue/join*", lambda route: held.append(route)))
    page.locator("#question input").fill(ENDLESS_QUESTION)
    pick(page, "#topic", "four private people")
    page.get_by_role("tab", name="Internals").click()
    for route in held:
        route.continue_()
    page.unroute("**/queue/join*")
    expect(page.locator("#messages")).to_contain_text("too long or not text")
    expect(page.locator("#command textarea, #command input")).to_have_value(re.compile("--topic private-people"))
    expect(page.locator("#internals-words")).to_be_visible()
    expect(page.locator("#topic input")).to_have_value("four private people")
    expect(page.locator("#question input")).to_have_value(ENDLESS_QUESTION)


def test_a_chip_asks_itself(scripted, visit):
    page = visit(scripted.url)
    page.locator(".chip").first.click()
    expect(page.locator(".pane-original")).to_contain_text("north")
    expect(page.locator(".pane-edited")).to_contain_text("not sure")
    expect(page.locator("#question input")).to_have_value("Who is the hero of the Vale books?")


def test_an_empty_question_is_refused_in_a_sentence(scripted, visit):
    page = visit(scripted.url)
    page.locator("#send").click()
    expect(page.locator("#panes")).to_contain_text("Write a question first")


def test_the_dial_measures_at_another_strength(scripted, visit):
    page = visit(scripted.url)
    page.locator("#strength input[type=range]").fill("0.5")
    expect(page.locator("#cards")).to_contain_text("strength 0.5")
    expect(page.locator("#pairs")).to_contain_text("These answers at strength 0.5")
    page.locator("#measure-all").click()
    expect(page.locator("#cards")).to_contain_text("all questions")
    page.locator("#strength .reset-button").click()
    expect(page.locator("#cards")).not_to_contain_text("strength 0.5")
    expect(page.locator("#measure-all")).to_be_hidden()


def test_all_metrics_are_measured_when_asked_for_and_stay_with_their_run(scripted, visit):
    page = visit(scripted.url)
    expect(page.locator("#metrics-words")).to_contain_text("measured when asked for")
    page.locator("#measure-metrics").click()
    card = page.locator("#metrics [data-metric=probability]")
    expect(card).to_contain_text("0.980")
    expect(card).to_contain_text("0.250")
    expect(page.locator("#metrics [data-metric=privleak]")).to_contain_text("n/a")
    expect(page.locator("#metrics-csv")).to_be_visible()
    page.reload()
    expect(page.locator("#metrics [data-metric=probability]")).to_contain_text("0.250")
    start(page)
    finished(page)
    expect(page.locator("#metrics-words")).to_contain_text("measured when asked for")
    expect(page.locator("#metrics .metric")).to_have_count(0)


def test_explanations_stay_within_the_window(scripted, visit):
    page = visit(scripted.url, width=1400)
    run_id = start(page)
    finished(page)
    page.locator("#measure-metrics").click()
    expect(page.locator("#metrics .metric").first).to_be_visible()
    phone = visit(f"{scripted.url}/?__theme=dark&run={run_id}", width=390, height=844)
    expect(phone.locator("#metrics .metric").first).to_be_visible()
    for window in (page, phone):
        focused = [text for edge in ("start", "end") for text in window.evaluate(FOCUS_EACH, edge)]
        assert len(focused) > 60
        assert not [text for text in focused if not text["within"]]
        for place in ("#cards .lt-card", "#metrics .metric"):
            for column in range(4):
                mark = window.locator(place).nth(column).locator(".lt-info").first
                mark.hover()
                expect(mark.locator(".lt-info-text")).to_be_visible()
                assert mark.evaluate(LOOK)["within"]


def test_a_token_near_the_lower_edge_is_explained_in_sight(scripted, visit):
    page = visit(scripted.url, width=390, height=844)
    token = page.locator("#pairs .lt-tok").first
    token.evaluate("(node) => { node.scrollIntoView({block: 'end'}); node.focus({preventScroll: true}); }")
    expect(token.locator(".lt-tip")).to_be_visible()
    low, high = token.locator(".lt-tip").evaluate("(node) => [node.getBoundingClientRect().bottom, innerHeight]")
    assert low <= high


def test_another_strength_is_not_taken_for_the_saved_result(scripted, visit):
    page = visit(scripted.url)
    page.locator("#question input").fill("Who?")
    page.locator("#send").click()
    expect(page.locator("#panes .panes[data-done='yes']")).to_be_visible()
    page.locator("#strength input[type=number]").fill("0.5")
    page.locator("#strength input[type=number]").press("Tab")
    expect(page.locator("#pairs")).to_contain_text("These answers at strength 0.5")
    expect(page.locator("#pairs .lt-pair").first).to_contain_text("at 0.5")
    expect(page.locator("#verdict .lt-tone")).to_contain_text("at strength 1; the dial stands at 0.5")
    expect(page.locator(".panes[data-done='yes'] .pane-edited h3")).to_have_text("Unlearned, strength 0.5")  # asked again
    expect(page.locator("#panes .asked")).to_have_text("Who?")
    expect(page.locator("#send")).to_be_visible()


def test_a_reload_brings_the_settings_of_the_open_run(scripted, visit):
    page = visit(scripted.url)
    pick(page, "#topic", "four private people")
    page.locator("#start").click()
    running(page)
    page.reload()
    running(page)
    expect(page.locator("#topic input")).to_have_value("four private people")
    page.locator("#stop").click()


def test_keys_switch_the_way_of_looking_unless_one_types(scripted, visit):
    page = visit(scripted.url)
    expect(page.locator("#pairs .lt-heat").first).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("#pairs .lt-heat")).to_have_count(0)
    page.keyboard.press("1")
    expect(page.locator("#pairs .lt-heat").first).to_be_visible()
    page.locator("#question input").fill("")
    page.locator("#question input").press("3")
    expect(page.locator("#question input")).to_have_value("3")
    expect(page.locator("#pairs .lt-heat").first).to_be_visible()
    page.locator("#question input").blur()
    page.keyboard.press("?")
    expect(page.locator("dialog.lethe-help")).to_contain_text("stop the answers")


def test_internals_follow_the_chosen_matrix(scripted, visit):
    page = visit(f"{scripted.url}/?tab=internals")
    expect(page.locator("#internals-words")).to_contain_text("Layer 3")
    page.locator("#place select").first.select_option("1")
    expect(page.locator("#internals-words")).to_contain_text("Layer 1")
    expect(page.locator("#angles-words")).to_contain_text("layer 1")
    page.locator("#change-map .js-plotly-plot .nsewdrag").click(position={"x": 20, "y": 10})
    expect(page.locator("#internals-words")).to_contain_text("Layer 0")
    expect(page.locator("#internals-words")).to_contain_text("q_proj")


def test_a_plot_survives_another_address(scripted, visit):
    page = visit(scripted.url)
    page.get_by_role("tab", name="Internals").click()
    page.wait_for_url(re.compile("tab=internals"))
    page.locator("#change-map .cbfill").wait_for()
    named = page.evaluate("[...document.querySelectorAll('[clip-path], [style*=\"url(\"]')]"
                          ".map((node) => node.getAttribute('clip-path') || node.getAttribute('style'))")
    assert any("url(" in name for name in named)
    assert not [name for name in named if "http" in name]


def test_settings_are_refused_beside_their_field(scripted, visit):
    page = visit(scripted.url)
    page.locator("#advanced .label-wrap").click()
    page.locator("#setting-steps input").fill("-3")
    expect(page.locator("#sidebar .field-problem").first).to_contain_text("greater than or equal to 1")
    page.locator("#start").click()
    expect(page.locator("#settings-problem .field-problem")).to_contain_text("Steps")
    expect(page.locator("#stop")).to_be_hidden()


def test_another_method_brings_its_own_settings_and_nothing_is_asked_of_those_that_are_gone(scripted, visit):
    page = visit(scripted.url)
    command = page.locator("#command textarea, #command input")
    page.locator("#setting-rank input[type=number]").fill("7")
    expect(command).to_have_value(re.compile("--set rank=7 "))
    for title, name in [("Task vector", "task-vector"), ("UNLEARN", "unlearn")] * 2:
        page.locator("#method input").click()
        page.get_by_role("option", name=title).click()
        expect(command).to_have_value(re.compile(f"--method {name} "))
        expect(command).not_to_have_value(re.compile("--set"))
        page.wait_for_timeout(700)  # what the page asks for in vain is asked within this time, and `visit` hears of it


def test_the_list_of_methods_has_family_headings_and_a_line_each_also_when_it_is_searched(scripted, visit):
    page = visit(scripted.url)
    page.locator("#method input").click()
    options = page.locator("#method li[data-index]")
    expect(options.first).to_have_attribute("data-family", "Subspaces")
    expect(options.first).to_have_attribute("data-line", "What UNLEARN does.")
    headings = [option.get_attribute("data-family") for option in options.all()]
    assert len(set(filter(None, headings))) == len(list(filter(None, headings))) >= 2  # one a family, each once
    page.keyboard.type("Task")
    expect(options).to_have_count(1)
    expect(options.first).to_have_attribute("data-family", "Parameter merging")
    written = "getComputedStyle(document.querySelector('#method li[data-family]'), '::before').content"
    assert "Parameter merging" in page.evaluate(written)


@pytest.mark.parametrize("leave", ["Tab", "Enter", "click on the topics", "click elsewhere"])
def test_a_model_that_is_none_is_refused_however_its_field_is_left(scripted, visit, leave):
    page = visit(scripted.url)
    page.locator("#model input").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("/no/such/model")
    if leave.startswith("click"):
        page.locator("#topic input" if "topics" in leave else "#question input").click()
    else:
        page.keyboard.press(leave)
    expect(page.locator("#model-problem .field-problem")).to_contain_text("no model folder /no/such/model")
    expect(page.locator("#model input")).to_have_value("/no/such/model")
    page.locator("#start").click()
    expect(page.locator("#model-problem .field-problem")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    pick(page, "#model", "Built-in demo model")
    expect(page.locator("#model-problem .field-problem")).to_have_count(0)
    pick(page, "#topic", "the Vale books")
    start(page)


def test_a_slider_shows_what_runs_and_says_what_it_refused(scripted, visit):
    page = visit(scripted.url)
    box, command = page.locator("#setting-rank input[type=number]"), page.locator("#command textarea, #command input")
    box.fill("-3")
    expect(page.locator("#setting-rank-problem .field-problem")).to_contain_text("greater than or equal to 1")
    expect(command).to_have_value(re.compile("--set rank=-3 "))
    box.press("Tab")
    expect(box).to_have_value("1")
    expect(command).to_have_value(re.compile("--set rank=1 "))
    expect(page.locator("#setting-rank-problem .field-problem")).to_contain_text("instead of -3, 1 is used")
    box.fill("5")
    expect(page.locator("#setting-rank-problem .field-problem")).to_have_count(0)
    expect(command).to_have_value(re.compile("--set rank=5 "))
    box.fill("")
    expect(page.locator("#setting-rank-problem .field-problem")).to_contain_text("valid integer")
    box.press("Tab")
    expect(box).to_have_value("1")
    expect(page.locator("#setting-rank-problem .field-problem")).to_contain_text("left empty, so 1 is used")
    page.locator("#setting-rank input[type=range]").fill("2")
    expect(page.locator("#setting-rank-problem .field-problem")).to_have_count(0)


def test_what_is_typed_into_the_list_of_topics_takes_the_place_of_the_chosen_one(scripted, visit):
    page = visit(scripted.url)
    box = page.locator("#topic input")
    box.click()
    page.keyboard.type("private")
    expect(box).to_have_value("private")
    page.get_by_role("option", name="four private people", exact=True).click()
    expect(page.locator("#command textarea, #command input")).to_have_value(re.compile("--topic private-people"))


def test_a_run_that_is_opened_from_a_long_list_shows_its_verdict(scripted, visit):
    page = visit(f"{scripted.url}/?tab=runs", height=500)
    page.locator("#runs-table .run-name").last.click()
    page.evaluate("document.body.style.paddingBottom = '3000px'; scrollTo(0, 1500)")
    page.locator("#open-run").evaluate("(button) => button.click()")
    expect(page.locator("#verdict .lt-sentence")).to_be_in_viewport()
    page.wait_for_function("document.querySelector('#verdict .lt-sentence').getBoundingClientRect().top "
                           ">= document.querySelector('#strip').getBoundingClientRect().bottom")


@pytest.mark.parametrize(("typed", "set_to"), [("7", "2"), ("0.3", "0.25")])
def test_the_dial_is_set_to_the_nearest_of_its_steps_in_words(scripted, visit, typed, set_to):
    page = visit(scripted.url)
    box = page.locator("#strength input[type=number]")
    box.fill(typed)
    expect(box).to_have_value(set_to)
    expect(page.locator("#dial-words")).to_contain_text(f"it is set to {set_to}.")
    expect(page.locator("#cards")).to_contain_text(f"strength {set_to},")
    box.fill("")
    page.locator("#question input").fill("Who?")
    page.locator("#question input").press("Enter")
    expect(page.locator(".pane-edited h3")).to_contain_text("strength")
    expect(page.locator(".toast-body")).to_have_count(0)


def test_a_topic_stays_chosen_while_another_model_is_tried(scripted, visit):
    page = visit(scripted.url)
    pick(page, "#topic", "four private people")
    page.locator("#model input").fill("/no/such/model")
    page.locator("#model input").press("Enter")
    expect(page.locator("#topic input")).to_have_value("four private people (not of this model)")
    expect(page.locator("#command textarea, #command input")).to_have_value(re.compile("/no/such/model --topic private"))
    pick(page, "#model", "Built-in demo model")
    expect(page.locator("#topic input")).to_have_value("four private people")
    expect(page.locator("#command textarea, #command input")).to_have_value(re.compile("demo --topic private"))


def test_a_bad_topic_file_gets_one_sentence(scripted, visit, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    page = visit(scripted.url, locale="de-DE")
    page.locator("#own-topic .label-wrap").click()
    page.locator("#topic-file input[type=file]").set_input_files(tmp_path / "bad.csv")
    expect(page.locator("#topic-preview")).to_contain_text("no column 'question'")
    with page.expect_file_chooser():
        page.get_by_role("button", name="Choose another file").click()


def test_a_card_leads_to_what_is_folded_away(scripted, visit):
    page = visit(scripted.url, locale="de-DE")
    expect(page.locator("#device")).to_have_count(0)
    page.evaluate("""document.body.insertAdjacentHTML('beforeend', '<button data-go="#advanced" id="leads">x</button>')""")
    page.locator("#leads").evaluate("(button) => button.click()")
    expect(page.locator("#device")).to_be_visible()


def test_the_command_is_the_headless_one(scripted, visit):
    page = visit(scripted.url, permissions=["clipboard-read", "clipboard-write"])
    pick(page, "#topic", "four private people")
    expect(page.locator("#command textarea, #command input")).to_have_value(re.compile("--topic private-people"))
    page.locator("#copy-command").click()
    expect(page.locator(".lethe-note")).to_contain_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    asked = "python -m unlearn_core run --model demo --topic private-people --method unlearn --set rank=6 --seed 3"
    assert copied == f"{asked} --runs-dir {scripted.log.parent / 'runs'}"


def test_nonsense_in_the_address_is_said_and_ignored(scripted, visit):
    page = visit(f"{scripted.url}/?__theme=light&run=../../etc&tab=nowhere&race=none&q=Why%3F")
    expect(page.locator("#messages .lt-notice")).to_have_count(3)
    expect(page.locator("#question input")).to_have_value("Why?")
    page.wait_for_url(f"{scripted.url}/?__theme=light&q=Why%3F")
    unknown = visit(f"{scripted.url}/?run=2020-01-01-nothing")
    expect(unknown.locator("#messages")).to_contain_text("There is no run")
    expect(unknown.locator("#verdict")).to_contain_text("the Vale books")
    unknown.wait_for_url(f"{scripted.url}/")


@pytest.mark.parametrize("link", ["?run=recorded", "?run=nothing-of-that-name"])
def test_a_link_that_ends_at_the_recorded_run_shows_it_before_patience_ends(scripted, visit, link):
    impatient = "const later = setTimeout; window.setTimeout = (act, ms, ...rest) => ms < 8000 && later(act, ms, ...rest);"
    page = visit(f"{scripted.url}/{link}", before=lambda page: page.add_init_script(impatient))
    expect(page.locator("#verdict .lt-sentence")).to_be_visible(timeout=20_000)


def test_the_notice_of_a_bad_link_can_be_put_away(scripted, visit):
    page = visit(f"{scripted.url}/?run=no-such-run")
    expect(page.locator("#messages")).to_contain_text("The recorded example is open instead")
    page.locator("#messages").get_by_role("button", name="Put this notice away").click()
    expect(page.locator("#messages .lt-notice")).to_have_count(0)


def test_a_link_restores_run_tab_and_question(scripted, visit):
    page = visit(scripted.url)
    run_id = start(page)
    finished(page)
    page.get_by_role("tab", name="Internals").click()
    page.wait_for_url(re.compile("tab=internals"))
    again = visit(f"{page.url}&q=Who")
    assert run_id in again.url
    expect(again.locator("#internals-words")).to_be_visible()
    again.get_by_role("tab", name="Compare").click()
    expect(again.locator("#question input")).to_have_value("Who")


def test_runs_can_be_named_deleted_and_brought_back(scripted, visit):
    page = visit(scripted.url)
    run_id = start(page)
    finished(page)
    page.get_by_role("tab", name="Runs").click()
    row = page.locator(f"#runs-table tr[data-run='{run_id}']")
    row.locator(".run-name").click()
    page.locator("#run-title textarea, #run-title input").fill("<b>My run</b>")
    page.locator("#run-note textarea, #run-note input").fill("seen by everyone")
    page.locator("#save-run").click()
    expect(row).to_contain_text("<b>My run</b>")
    expect(row).to_contain_text("seen by everyone")
    page.locator("#delete-run").click()
    expect(row).to_have_count(0)
    page.locator("#undo").click()
    expect(row).to_contain_text("My run")
    pick(page, "#topic", "four private people")
    names = page.locator("#runs-table .run-name").count()
    page.locator("#again").click()
    expect(page.locator("#topic input")).to_have_value("the Vale books")
    finished(page)
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("#runs-table .run-name")).to_have_count(names + 1)


def test_the_edit_can_be_downloaded(scripted, visit):
    page = visit(scripted.url)
    run_id = start(page)
    finished(page)
    page.get_by_role("tab", name="Runs").click()
    page.locator("#runs-table .run-name").first.click()
    with page.expect_download() as caught:
        page.locator("#download").click()
    short = run_id.partition("book-series-")[2]
    assert caught.value.suggested_filename == f"lethe-unlearn-book-series-{short}.safetensors"
    assert Path(caught.value.path()).read_bytes() == b"made up"


def test_dark_mode_is_dark(scripted, visit):
    page = visit(f"{scripted.url}/?__theme=dark")
    colour = page.evaluate("getComputedStyle(document.querySelector('#verdict .lt-sentence')).color")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    assert min(red, green, blue) > 200


@pytest.mark.parametrize("width", [390, 1440])
def test_the_strip_stays_in_sight_however_far_the_page_is_scrolled(scripted, visit, width):
    page = visit(scripted.url, width=width, height=700)
    page.evaluate("window.scrollTo(0, 600)")
    page.wait_for_function("window.scrollY > 300")
    assert page.evaluate("document.querySelector('#strip').getBoundingClientRect().top") == 0


def test_a_run_started_in_the_sidebar_of_a_phone_is_watched(scripted, visit):
    page = visit(scripted.url, width=390, height=844, has_touch=True)
    page.get_by_role("button", name="Toggle Sidebar").click()
    page.locator("#start").click()
    expect(page.locator(".sidebar")).not_to_have_class(re.compile(r"\bopen\b"))
    expect(page.locator("#strip-words")).to_be_in_viewport()


def test_the_panel_of_a_chosen_run_comes_into_sight(scripted, visit):
    page = visit(scripted.url, height=420)
    page.get_by_role("tab", name="Runs").click()
    page.locator("#runs-table .run-name").last.click()
    expect(page.locator("#open-run")).to_be_in_viewport()


def test_a_phone_sees_the_verdict_and_can_start(scripted, visit):
    page = visit(scripted.url, width=390, height=844, has_touch=True)
    expect(page.locator("#verdict .lt-sentence")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Toggle Sidebar").click()
    pick(page, "#topic", "four private people")
    page.get_by_role("button", name="Toggle Sidebar").click()
    page.locator("#strip-start").click()
    expect(page.locator("#strip-stop")).to_be_visible()
    expect(page.locator("#strip-start")).to_be_hidden()
    page.locator("#strip-stop").click()
    expect(page.locator("#strip-words")).to_contain_text("Stopped")
    page.get_by_role("button", name="Toggle Sidebar").click()
    pick(page, "#topic", "the Vale books")
    page.get_by_role("button", name="Toggle Sidebar").click()
    page.locator("#strip-start").click()
    expect(page.locator("#strip-words")).to_contain_text("Done")
    expect(page.locator("#strip-start")).to_be_visible()
