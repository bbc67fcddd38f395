"""The offer to train the model that never saw a topic: when it is made, how far it is and how long it takes, what came of it."""

from __future__ import annotations

from components.build_words import Offer, build_html
from components.numbers import duration
from components.sequence_now import Doing, fold
from unlearn_core.events import Failed, Finished, Phase, Progress

MISSING = Offer.of("the <Vale> books", {"at_hand": False, "buildable": True, "seconds": 330.0})
TRAIN, SCORE = Phase("train", "Train a model that never sees <it>", 1, 2), Phase("score", "Store it", 2, 2)


def doing(*events: object) -> Doing:
    state = Doing()
    for event in events:
        state = fold(state, event)
    return state


def test_it_is_offered_only_where_it_can_be_made() -> None:
    html = build_html(MISSING, Doing(), 0.0, False, False)
    assert "the &lt;Vale&gt; books" in html and f"About {duration(330.0)};" in html and 'data-pick="build"' in html
    assert build_html(Offer.of("it", {"at_hand": True, "buildable": False}), Doing(), 0.0, False, False) == ""
    assert build_html(Offer(), Doing(), 0.0, False, False) == ""
    assert "any time" in build_html(Offer("it", True, None), Doing(), 0.0, False, False)


def test_the_rest_is_told_once_some_of_it_is_done() -> None:
    early, later = (build_html(MISSING, doing(TRAIN, Progress(done, 1000, "steps")), 60.0, True, False) for done in (1, 500))
    assert "left" not in early and "500 of 1,000 steps" in later
    assert f"about {duration(60 * 52.5 / 47.5)} left" in later
    assert 'aria-valuenow="47.5"' in later and 'data-pick="stop"' in later and "<it>" not in later
    last = build_html(MISSING, doing(TRAIN, Progress(9, 9, "steps"), SCORE), 60.0, True, True)
    assert 'aria-valuenow="95.0"' in last and "disabled" in last


def test_what_came_of_it() -> None:
    assert "was stopped" in build_html(MISSING, doing(TRAIN, Finished("stopped", 3.0, {})), 3.0, False, False)
    done = build_html(Offer("it", False, None), doing(TRAIN, Finished("done", 3.0, {})), 3.0, False, False)
    assert "is at hand now" in done and "button" not in done
    other = build_html(MISSING, doing(TRAIN, Finished("done", 3.0, {})), 3.0, False, False)  # a run on another topic is open
    assert "is at hand now" in other and "No model that never saw the &lt;Vale&gt; books" in other
    broken = build_html(MISSING, doing(TRAIN, Failed("It <broke>.", "So.", "", "")), 3.0, False, False)
    assert "It &lt;broke&gt;." in broken and "Train it" in broken
