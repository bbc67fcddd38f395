"""The verdict as a table of cases: good news, and every kind of bad news."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from components.findings import findings, kept, paired, relabelled, removed
from components.verdict import TONES, verdict, verdict_html
from components.view import RunView
from tests.components.conftest import wilson
from unlearn_core.events import EditReady, Failed, Finished, Loss, Measured, Perplexity, TopicReady

SPLITS = ("forget", "forget_paraphrase", "forget_spanish", "neighbor", "retain", "general")
GOOD = {"forget": (1.0, 0.01), "forget_paraphrase": (0.95, 0.02), "forget_spanish": (0.9, 0.02),
        "neighbor": (1.0, 0.99), "retain": (1.0, 0.99), "general": (1.0, 1.0)}


@dataclass(frozen=True)
class Case:
    """`numbers`: (before, after) by split, merged over the good ones; None leaves a split out of `after`."""

    name: str
    tone: str
    says: tuple[str, ...]
    numbers: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    floor: dict[str, tuple[float, str]] = field(default_factory=dict)
    n: int = 200
    status: str = "done"
    perplexity: tuple[float, float] = (9.0, 9.1)
    summary: dict = field(default_factory=dict)
    silent: tuple[str, ...] = ()  # must not be there


CHANCE = {"forget": (0.5, "chance"), "forget_paraphrase": (0.5, "chance"), "forget_spanish": (0.5, "chance")}
AT_CHANCE = {"forget": (0.99, 0.51), "forget_paraphrase": (0.98, 0.49), "forget_spanish": (0.97, 0.52)}
CASES = [
    Case("good", "good", ("no longer answers 198 of 200 questions about the Vale books",
                          "still answers 99.3 % of everything else (was 100 %)"), silent=("n/a", "damaged", "leak")),
    Case("nothing changed", "bad", ("Nothing was forgotten", "still answers 200 of 200"),
         {"forget": (1.0, 1.0), "forget_paraphrase": (0.95, 0.95), "forget_spanish": (0.9, 0.9)},
         silent=("other words",)),
    Case("knows more than before", "bad", ("Nothing was forgotten",), {"forget": (0.6, 0.8)}),
    Case("half forgotten", "bad", ("no longer answers 90 of 200", "but still answers the other 110"),
         {"forget": (1.0, 0.55)}, floor={"forget": (0.0, "retrained")}),
    Case("mostly forgotten", "mixed", ("no longer answers 160 of 200", "but still answers the other 40"),
         {"forget": (1.0, 0.2)}),
    Case("retain damaged", "bad", ("but answers only", "Retain damaged: 100 % → 69 %"), {"retain": (1.0, 0.69)}),
    Case("neighbour damaged", "bad", ("Neighbours (the Tarn books) damaged: 100 % → 71 %",), {"neighbor": (1.0, 0.71)}),
    Case("general slightly damaged", "mixed", ("General knowledge damaged: 100 % → 95 %",), {"general": (1.0, 0.95)}),
    Case("leaked in paraphrase", "bad",
         ("Asked in other words, it still answers 64 % (a model that never saw it: 2 %)",),
         {"forget_paraphrase": (0.95, 0.64)}, silent=("Spanish",)),
    Case("leaked a little in Spanish", "mixed", ("Asked in Spanish, it still answers 20 %",),
         {"forget_spanish": (0.9, 0.2)}),
    Case("leaked by multiple choice", "bad", ("it still picks the right one for 80 % (guessing: 25 %)",),
         {"forget_choice": (0.99, 0.8)}, floor={"forget_choice": (0.25, "chance")}),
    Case("over-forgetting", "mixed", ("Over-forgetting: 1 % is below the 20 % of a model that never saw the topic",),
         floor={"forget": (0.2, "retrained")}),
    Case("task at chance", "good", ("now does no better than guessing: 51 % right, chance is 50 % (was 99 %)",),
         AT_CHANCE, CHANCE, n=400),
    Case("task still known", "bad", ("still right 80 % of the time", "guessing gives 50 %"),
         AT_CHANCE | {"forget": (0.99, 0.8)}, CHANCE, n=400),
    Case("task untouched", "bad", ("Nothing was forgotten", "still right 98 %"), AT_CHANCE | {"forget": (0.99, 0.985)},
         CHANCE, n=400),
    Case("relabelled below chance", "bad", ("did not forget", "relabelled", "right 4 % of the time"),
         AT_CHANCE | {"forget": (0.99, 0.04)}, CHANCE, n=400, silent=("no better than guessing",)),
    Case("relabelled at chance, by measurement", "bad", ("did not forget", "answers still tell the options apart"),
         AT_CHANCE, CHANCE, n=400, summary={"relabelled": {"forget": True}}),
    Case("collapsed, as the engine states", "bad", ("Collapsed: ordinary sentences are 9.0 times as hard to predict.",),
         perplexity=(9.0, 81.0), summary={"conditions": [
             {"name": "collapsed", "text": "Collapsed: ordinary sentences are 9.0 times as hard to predict."}]}),
    Case("over-forgotten, as the engine states", "mixed", ("Over-forgotten: as stated.",), floor={"forget": (0.2, "retrained")},
         summary={"conditions": [{"name": "over-forgotten", "text": "Over-forgotten: as stated."}]}, silent=("Over-forgetting",)),
    Case("relabelled in Spanish alone, as the engine states", "mixed", ("Relabelled, not removed (forget spanish).",),
         summary={"relabelled": {"forget": False, "forget_spanish": True}, "conditions": [
             {"name": "relabelled", "text": "Relabelled, not removed (forget spanish)."}]}, silent=("did not forget",)),
    Case("nothing stated", "good", ("no longer answers",), summary={"conditions": []}),
    Case("stopped before the end", "partial", ("no longer answers 140 of 200",), {"forget": (1.0, 0.3)},
         status="stopped"),
    Case("stopped before it was measured", "partial", ("Stopped before the end", "not known", "stopped before it was"),
         dict.fromkeys(SPLITS, (1.0, None)), status="stopped", silent=("0 of", "0 %")),
    Case("spanish unmeasured", "good", ("Spanish: n/a, it was not measured",), {"forget_spanish": (0.9, None)}),
    Case("keeping unmeasured", "mixed",
         ("whether it kept everything else is not known", "Neighbours: n/a", "Retain: n/a"),
         {"neighbor": (1.0, None), "retain": (1.0, None), "general": (1.0, None)}),
    Case("no reference", "good", ("the floor is taken as 0",), floor=dict.fromkeys(SPLITS, (None, None))),
    Case("nothing was known", "bad", ("hardly anything to forget", "Share removed: n/a"), {"forget": (0.04, 0.0)}),
    Case("nothing else was known", "mixed", ("whether anything else was kept cannot be told: the original answered none of 600",),
         dict.fromkeys(("neighbor", "retain", "general"), (0.0, 0.0)), silent=("0 % of everything else",)),
    Case("nothing was known, the rest kept", "bad",
         ("the original answered 0 %; unlearned, it still answers 99.3 % of everything",),
         {"forget": (0.0, 0.0)}),
    Case("taught", "good", ("has learnt to answer 200 of 200 questions about the Vale books (was 4), and still answers 99.3 %",),
         {"forget": (0.02, 1.0), "forget_paraphrase": (0.0, 0.6)}, summary={"teaches": True},
         silent=("n/a", "forg", "unlearned", "still answers 60")),
    Case("taught in part", "mixed", ("has learnt to answer 140 of 200",), {"forget": (0.0, 0.7)}, summary={"teaches": True}),
    Case("taught hardly anything", "bad", ("has learnt to answer 20 of 200",), {"forget": (0.0, 0.1)}, summary={"teaches": True}),
    Case("taught at the price of the neighbours", "bad", ("Neighbours (the Tarn books) damaged",),
         {"forget": (0.0, 1.0), "neighbor": (1.0, 0.5)}, summary={"teaches": True}),
    Case("taught what it knew", "bad", ("hardly anything to learn", "already answered 98 %"), {"forget": (0.98, 1.0)},
         summary={"teaches": True}),
    Case("teaching stopped", "partial", ("has learnt to answer 100 of 200",), {"forget": (0.0, 0.5)}, status="stopped",
         summary={"teaches": True}),
    Case("language damaged", "bad", ("perplexity 9 → 14",), perplexity=(9.0, 14.0)),
    Case("language slightly damaged", "mixed", ("perplexity 9 → 9.5",), perplexity=(9.0, 9.5)),
]


def build(case: Case) -> RunView:
    """The view of a run that measured a case's numbers."""
    before, after = {}, {}
    for split, (start, end) in (GOOD | case.numbers).items():
        floor, kind = case.floor.get(split, (0.02, "retrained") if split.startswith("forget") else (None, None))
        for stage, share, into in (("before", start, before), ("after", end, after)):
            if share is not None:
                correct = round(share * case.n)
                into[split] = Measured(stage, 0, split, correct / case.n, correct, case.n, *wilson(correct, case.n),
                                       floor, kind)
    topic = TopicReady("book-series", "the Vale books", "", "the Tarn books", dict.fromkeys(before, case.n), [])
    first, last = case.perplexity
    perplexity = {"before": Perplexity("before", first, 100), "after": Perplexity("after", last, 100)}
    end = Finished(case.status, 20.0, case.summary)
    return RunView(run_id="r", topic=topic, before=before, after=after, perplexity=perplexity, end=end, at=20.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case):
    told = verdict(build(case))
    text = " ".join([told.sentence, *(finding.text for finding in told.findings)]).replace("\u00a0", " ")
    for words in case.says:
        assert words in text
    for words in case.silent:
        assert words not in text
    assert told.tone == case.tone
    assert told.sentence.endswith(".") and "  " not in told.sentence


def test_every_tone_has_a_name_and_is_reachable(events, story):
    seen = {case.tone for case in CASES} | {verdict(RunView()).tone, verdict(story(status="failed")).tone}
    seen |= {verdict(RunView(run_id="r")).tone, "unmeasured"}
    assert seen == set(TONES)


@pytest.mark.parametrize(("done", "says"), [(47, "In the last sample, taken 15 steps earlier, the model answers 30 % of 40"),
                                            (32, "In the last sample the model answers 30 % of 40")])
def test_a_sample_that_is_older_than_the_stop_says_so(done, says):
    view = build(Case("", "partial", (), dict.fromkeys(SPLITS, (1.0, None)), status="stopped"))
    sampled = Measured("during", 32, "forget", 0.3, 12, 40, 0.1, 0.5)
    view = replace(view, live=(sampled,), losses=tuple(Loss(step, 80, 1.0, None) for step in range(1, done + 1)))
    told = verdict(view)
    assert says in told.sentence.replace("\u00a0", " ") and told.tone == "partial"


def test_failure_is_a_card_and_a_stop_is_not(story):
    failed = verdict_html(story(status="failed"))
    assert 'role="alert"' in failed and "Choose a smaller model" in failed and "Run it again" in failed
    stopped = verdict_html(story(status="stopped"))
    assert 'role="alert"' not in stopped and "Stopped early" in stopped


def test_interrupted_is_not_running():
    view = RunView(run_id="r", config={"topic": "book-series"})
    assert verdict(view, running=True).tone == "running"
    assert "Interrupted" in verdict(view, running=False).sentence
    assert '<p class="lt-tone">Interrupted' in verdict_html(view, running=False)
    assert "Run it again" in verdict_html(view, running=False) and "Run it again" not in verdict_html(view, running=True)


def test_while_running_the_sample_speaks(events):
    from components.view import replay

    told = verdict(replay(events[:60]))
    assert "sampled questions about the Vale books" in told.sentence and told.tone == "running"


def test_a_topic_that_is_not_read_yet_is_not_called_by_its_file(events):
    from components.view import replay

    ready = next(place for place, (event, _) in enumerate(events) if isinstance(event, TopicReady))
    early, later = verdict(replay(events[:ready])), verdict(replay(events[:ready + 1]))
    assert replay(events[:ready]).config["topic"] not in early.sentence and early.tone == "running"
    assert "Unlearning the Vale books" in later.sentence


def test_removed_is_the_summary_where_it_says_so():
    view = build(Case("x", "", ()))
    assert removed(view, "forget") == pytest.approx(0.99 / 0.98 if 0.99 / 0.98 < 1 else 1.0)
    told = build(Case("x", "", (), summary={"removed": 0.42, "removed_spanish": None}))
    assert removed(told, "forget") == 0.42 and removed(told, "forget_spanish") is None


def test_removed_may_be_negative_and_is_null_where_nothing_was_known():
    assert removed(build(Case("x", "", (), {"forget": (0.5, 0.8)})), "forget") < 0
    assert removed(build(Case("x", "", (), {"forget": (0.05, 0.0)})), "forget") is None
    assert removed(RunView(), "forget") is None


def test_at_chance_counts_as_chance():
    view = build(Case("x", "", (), AT_CHANCE, CHANCE, n=400))
    assert removed(view, "forget") == 1.0 and not relabelled(view)


def test_pooled_and_paired(view):
    pooled = kept(view)
    assert pooled.n == 540 and 0.98 < pooled.after < pooled.before <= 1
    difference, low, high = paired(view, "retain")
    moved = view.after["retain"].accuracy - view.before["retain"].accuracy
    assert low <= difference <= high and difference == pytest.approx(moved)


def test_worst_first():
    order = [finding.severity for finding in findings(build(Case("x", "", (), {
        "general": (1.0, 0.95), "retain": (1.0, 0.5), "forget_spanish": (0.9, None)})))]
    assert order == ["bad", "mixed", "note"]


def test_escaped():
    topic = TopicReady("x", "<script>alert(1)</script>", "", "<b>n</b>", {}, [])
    view = RunView(run_id="<i>", topic=topic, config={"method": "<u>"}, notices=("<img src=x>",))
    html = verdict_html(view) + verdict_html(replace(view, end=Failed("<script>", "<i>", "<u>", "<img>")))
    assert not any(bad in html for bad in ("<script", "<i>", "<u>", "<img"))


@pytest.mark.parametrize(("edit", "words"), [
    (EditReady("low-rank", 8, 1000, 0.25, 1), ("rank 8", "change 25")),
    (EditReady("layers", 0, 1000, None, 1), ("added layers", "1,000 values")),
    (EditReady("prompt", 0, 0, None, 1), ("a context before every question",)),
])  # fmt: skip
def test_the_small_line_says_what_kind_of_change_it_is(story, edit, words):
    html = verdict_html(replace(story(), edit=edit)).replace(" ", " ")
    assert all(word in html for word in words) and "None" not in html and "n/a of the weights" not in html
    assert ("change" in html.split("lt-meta")[1]) == (edit.relative_change is not None)


def test_a_moved_dial_is_set_against_the_saved_result_only_where_one_is_saved(story) -> None:
    saved = replace(story(), edit=EditReady("low-rank", 8, 1000, 0.25, 1))
    assert "at strength 1; the dial stands at 0.5" in verdict_html(saved, strength=0.5)
    assert "the dial" not in verdict_html(saved, strength=1.0)
    assert "the dial" not in verdict_html(replace(story(), edit=None), strength=0.5)
