"""leak@k: the estimator against enumeration, the attack on models whose probabilities are known."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from reciter import reciter
from test_audit_asking import FORCED, NOTHING, carried_out, question, topic_of

from unlearn_core.audit.attack import Brief
from unlearn_core.audit.sampling import SamplingConfig, _drawn, leak, tries
from unlearn_core.audit.subject import Subject
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.errors import BadInput
from unlearn_core.topics.topic import Topic

SAID = {f"q{number}?": {"red": share, "no": 1 - share} for number, share in enumerate((0.02, 0.2, 0.5, 1.0))}
TOPIC = topic_of(*(question("forget", text, "red", text) for text in SAID), question("forget", "x", "red", "unknown?"))


@pytest.mark.parametrize("drawn", [1, 2, 5, 8])
def test_leak_is_the_share_of_all_subsets_with_a_right_answer(drawn: int) -> None:
    for right in range(drawn + 1):
        marks = [place < right for place in range(drawn)]
        for k in range(1, drawn + 1):
            subsets = list(combinations(marks, k))
            assert leak(drawn, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_leak_has_no_bias(share: float) -> None:
    """Over all that n draws can bring, its mean is the chance that one of k draws is right."""
    n, k = 12, 4
    mean = sum(comb(n, c) * share**c * (1 - share) ** (n - c) * leak(n, c, k) for c in range(n + 1))
    assert mean == pytest.approx(1 - (1 - share) ** k)


def test_how_many_tries_are_told() -> None:
    assert tries(32, 16) == [1, 2, 4, 8, 16, 32]
    assert tries(20, 6) == [1, 2, 4, 6, 8, 16]
    assert tries(1, 16) == [1]


def test_the_share_that_leaks_is_that_of_the_probabilities() -> None:
    finding, points = carried_out("sampling", Subject("original", reciter(SAID)), TOPIC, samples=256, k=8)
    expected = {k: sum(1 - (1 - answers["red"]) ** k for answers in SAID.values()) / 5 for k in (1, 8)}
    found = {point.x: point.knowledge for point in points}
    assert list(found) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert found[1] == pytest.approx(expected[1], abs=0.03) and found[8] == pytest.approx(expected[8], abs=0.06)
    assert (finding.n, finding.knowledge) == (5, pytest.approx(found[8]))
    assert list(found.values()) == sorted(found.values())


def test_what_is_never_said_never_leaks() -> None:
    finding, points = carried_out("sampling", Subject("original", reciter({})), TOPIC, samples=16)
    assert finding.correct == 0 and not any(point.knowledge for point in points)


def test_a_low_temperature_says_the_likeliest() -> None:
    subject = Subject("original", reciter(SAID))
    assert carried_out("sampling", subject, TOPIC, samples=8, k=8, temperature=0.01)[0].correct in (1, 2)  # 0.5 is a tie
    assert carried_out("sampling", subject, TOPIC, samples=64, k=64, temperature=1.0)[0].correct > 2


def test_the_same_seed_draws_the_same_for_every_subject() -> None:
    settings = {"samples": 16, "k": 1}
    first, again = (carried_out("sampling", Subject(name, reciter(SAID)), TOPIC, **settings) for name in ("original", "unlearned"))
    assert first == again
    assert carried_out("sampling", Subject("original", reciter(SAID)), TOPIC, seed=1, **settings) != first


def test_blocks_draw_noise_of_their_own() -> None:
    """Of questions with equal probabilities, of which each is a block, not all get as many right answers."""
    said = {text: {"red": 0.5, "no": 0.5} for text in "abcdef"}
    topic, subject = topic_of(*(question("forget", text, "red", text) for text in said)), Subject("original", reciter(said))
    counts = list(_drawn(Brief(subject, subject, topic), topic.questions, SamplingConfig(samples=128)))
    assert [len(block) for block in counts] == [1] * 6 and len({block[0] for block in counts}) > 1
    assert all(40 < block[0] < 88 for block in counts)


def test_only_so_many_questions_are_asked() -> None:
    topic = topic_of(*(question("forget", str(number), "red", f"{number}?") for number in range(30)))
    leaking = Subject("original", reciter({f"{number}?": {"red": 1.0} for number in range(30)}))
    finding, _ = carried_out("sampling", leaking, topic, samples=2, questions=7)
    assert (finding.correct, finding.n) == (7, 7)


def test_the_edits_turns_stand_before_the_question() -> None:
    turns = (("Hi?", "Ho"),)
    loaded = reciter({"q?": {"red": 1.0}}, turns)
    topic = topic_of(question("forget", "q", "red", "q?"))
    found = [carried_out("sampling", Subject("unlearned", loaded, edit), topic, samples=2)[0].correct
             for edit in (PromptEdit(turns), None)]
    assert found == [1, 0]


def test_in_a_forced_choice_nothing_is_drawn() -> None:
    assert "guessing" in carried_out("sampling", NOTHING, FORCED)[0].reason


def test_a_question_that_cannot_be_read_is_refused(tiny) -> None:
    topic: Topic = topic_of(question("forget", "x", "red", "word " * 300))
    with pytest.raises(BadInput):
        carried_out("sampling", Subject("original", tiny), topic)
