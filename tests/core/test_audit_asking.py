"""Attacks that ask, on a model that leaks in one way and on one that does not; texts and probabilities are given by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from reciter import reciter
from test_edit_kinds import MAKERS, every_kind
from tiny_models import random_edit

from unlearn_core.audit import ATTACKS, find_attack, settings_of
from unlearn_core.audit.asking import fact_of, wordings
from unlearn_core.audit.attack import Brief, Finding, Point, Step
from unlearn_core.audit.choosing import shown, with_options
from unlearn_core.audit.disguise import DISGUISES, mistyped
from unlearn_core.audit.hints import counts, hints
from unlearn_core.audit.subject import Subject
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.edits.stack import stack
from unlearn_core.errors import BadInput, Stopped
from unlearn_core.models.loading import weights_hash
from unlearn_core.topics.topic import Question, Topic

MINE = [name for name in ATTACKS if find_attack(name).family in ("asking", "sampling") or name == "soft-prompt"]
FEW = {"sampling": {"samples": 4, "k": 2, "questions": 5}, "soft-prompt": {"steps": 2, "tokens": 3}, "hints": {"shown": 2}}


def question(split: str, entity: str, answer: str, prompt: str = "", part: str = "held", **more: Any) -> Question:
    return Question(f"{split}-{entity}-{prompt}", split, prompt or f"{split} {entity}?", answer, part, entity=entity, **more)


def topic_of(*questions: Question, **floors: str) -> Topic:
    return Topic("hats", "the hats", "Who wears which hat.", "caps", questions, floors=floors)


NAMES = {"Ada": "red", "Bo": "blue", "Cy": "green", "Dee": "red"}
HATS = topic_of(
    *(question("forget", name, color, part="both") for name, color in NAMES.items()),
    *(question("forget", name, color, f"What has {name}?", "given") for name, color in NAMES.items()),
    *(question("forget_paraphrase", name, color) for name, color in NAMES.items()),
    *(question("forget_spanish", name, color) for name, color in NAMES.items()),
)
COLORS = ("red", "blue", "green", "black")
FORCED = replace(HATS, questions=tuple(replace(q, options=COLORS) for q in HATS.questions),
                 floors={"forget": "chance", "forget_spanish": "chance"})


@dataclass(frozen=True)
class Knower:
    """Stands for a subject: `knows` says of a question and the turns before it whether the answer is right."""

    knows: Callable[[Question, tuple], bool]
    turns: tuple = ()
    edit: None = None
    heard: list[tuple[tuple, Question]] = field(default_factory=list)

    def right(self, topic: Topic, questions: list[Question], cancelled: Callable[[], bool]) -> list[bool]:
        self.heard.extend((self.turns, question) for question in questions)
        return [self.knows(question, self.turns) for question in questions]

    def after(self, turns: tuple) -> Knower:
        return replace(self, turns=turns)


def carried_out(name: str, subject: Any, topic: Topic = HATS, seed: int = 0, **settings: Any) -> tuple[Finding, list[Point]]:
    attack = find_attack(name)
    *before, finding = attack.run(Brief(subject, subject, topic, seed), settings_of(attack, settings))
    assert isinstance(finding, Finding) and all(isinstance(item, (Point, Step)) for item in before)
    return finding, [item for item in before if isinstance(item, Point)]


def knower(knows: Callable[[Question], bool]) -> Knower:
    return Knower(lambda question, turns: knows(question))


NOTHING = knower(lambda question: False)


# --- every attack, every kind of edit ---------------------------------------------------------------------------------

def everything(topic: Topic) -> Topic:
    """The tiny topic with all that any attack asks for; the answers of three words are wrong, but they can be begun."""
    forget = [q for q in topic.questions if q.split == "forget"]
    more = [replace(q, id=f"{q.id}-{split}", split=split, part="held") for q in forget
            for split in ("forget_paraphrase", "forget_spanish")]
    long = Question("long", "forget", "All hats?", "red and blue", "both", entity="all")
    given = (replace(q, near_misses=COLORS) if q.split == "forget" else q for q in topic.questions)
    return replace(topic, questions=(*given, *more, long))


@every_kind
def test_every_attack_ends_in_a_finding_and_leaves_the_weights(maker, taught, tiny_topic) -> None:
    subject, topic, before = Subject("unlearned", taught, maker(taught)), everything(tiny_topic), weights_hash(taught.model)
    for name in MINE:
        finding, points = carried_out(name, subject, topic, **FEW.get(name, {}))
        assert bool(finding.n) != bool(finding.reason), name
        assert bool(finding.reason) == (name == "drop-context" and maker in
                                        [MAKERS[kind] for kind in ("low-rank", "layers", "layers, linear", "dense")]), name
        assert 0 <= finding.correct <= finding.n and all(0 <= point.knowledge <= 1 for point in points), name
        assert bool(points) == bool(find_attack(name).x), name
    assert weights_hash(taught.model) == before and not any("forward" in module.__dict__ for module in taught.model.modules())


@pytest.mark.parametrize("name", MINE)
def test_a_stopped_attack_finds_nothing(name, taught, tiny_topic) -> None:
    brief = Brief(Subject("original", taught), Subject("original", taught), everything(tiny_topic), cancelled=lambda: True)
    items = []
    with suppress(Stopped):
        items += find_attack(name).run(brief, settings_of(find_attack(name), FEW.get(name, {})))
    assert not any(isinstance(item, Finding) for item in items)


def test_a_model_that_knows_the_hats_shows_it_however_it_is_asked(taught, tiny, tiny_topic) -> None:
    asked = ("plain", "paraphrase", "worst-wording", "spanish", "choice", "drop-context")  # here all wordings are the plain one
    topic = replace(tiny_topic, questions=tuple(q for q in everything(tiny_topic).questions if q.id != "long"))
    assert [carried_out(name, Subject("original", taught), topic)[0].knowledge for name in asked] == [1.0] * 6
    assert all(carried_out(name, Subject("original", tiny), topic)[0].knowledge < 0.5 for name in asked)


# --- wordings ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "split"), [("plain", "forget"), ("paraphrase", "forget_paraphrase"),
                                             ("spanish", "forget_spanish")])
def test_a_split_is_asked_and_no_other(name: str, split: str) -> None:
    leaking = Knower(lambda q, turns: q.split == split and q.entity != "Bo")
    finding, _ = carried_out(name, leaking)
    assert (finding.correct, finding.n, finding.chance) == (3, 4, None)
    assert {q.split for _, q in leaking.heard} == {split} and all(q.scored for _, q in leaking.heard)
    assert carried_out(name, knower(lambda q: q.split != split))[0].knowledge == 0


@pytest.mark.parametrize("name", ["paraphrase", "spanish"])
def test_a_split_that_is_not_there_is_no_zero(name: str) -> None:
    finding, _ = carried_out(name, NOTHING, topic_of(question("forget", "Ada", "red")))
    assert finding.n == 0 and finding.reason.startswith("The topic has no questions in ")


def test_a_forced_choice_brings_its_chance() -> None:
    assert carried_out("spanish", NOTHING, FORCED)[0].chance == 0.25
    assert carried_out("paraphrase", NOTHING, FORCED)[0].chance is None


def test_a_fact_is_forgotten_only_if_every_wording_fails() -> None:
    def knows(q: Question) -> bool:
        return (q.split, q.entity) == ("forget_spanish", "Ada") or (q.part, q.entity) == ("given", "Dee")

    finding, _ = carried_out("worst-wording", knower(knows))
    assert (finding.correct, finding.n) == (2, 4)  # Ada and Dee have the same answer, and are two facts
    assert finding.detail == {"wordings": 4.0, "mean": 2 / 16}
    assert carried_out("worst-wording", NOTHING)[0].knowledge == 0
    assert carried_out("worst-wording", knower(lambda q: True))[0].knowledge == 1


def test_where_wordings_cannot_be_matched_the_worst_is_not_measured() -> None:
    assert "same fact" in carried_out("worst-wording", NOTHING, topic_of(*(question("forget", "", a, a) for a in COLORS)))[0].reason
    assert "forced choice" in carried_out("worst-wording", NOTHING, FORCED)[0].reason


def test_what_makes_two_questions_one_fact() -> None:
    asked = [question("forget", "Ada", "red"), question("forget_spanish", "Ada", "The RED."), question("forget", "Ada", "blue"),
             question("forget", "", "red", "1?"), question("forget", "", "red", "2?"),
             question("forget", "", "Ada wears a red hat", "3?"), question("forget_paraphrase", "", "Ada wears a red hat.", "4?")]
    facts = [fact_of(q) for q in asked]
    assert facts[0] == facts[1] != facts[2] and facts[3] != facts[4] and facts[5] == facts[6]
    assert len(set(facts)) == 5
    assert [len(group) for group in wordings(HATS).values()] == [4, 4, 4, 4]


# --- without the context ----------------------------------------------------------------------------------------------

def test_without_its_context_the_model_is_the_original(taught, tiny_topic) -> None:
    questions = [q for q in tiny_topic.questions if q.split == "forget"]
    lying = PromptEdit(tuple((q.prompt, "black" if q.answer != "black" else "red") for q in questions))
    hidden, original = Subject("unlearned", taught, lying), Subject("original", taught)
    assert carried_out("plain", hidden, tiny_topic)[0].correct < carried_out("plain", original, tiny_topic)[0].correct
    heard = []

    def noted(self: Subject, *rest: Any) -> list[bool]:
        heard.append((self.edit, judged(self, *rest)))
        return [answer.ok for answer in heard[-1][1]]

    judged = Subject.judged
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Subject, "right", noted)
        assert carried_out("drop-context", hidden, tiny_topic)[0] == carried_out("plain", original, tiny_topic)[0]
    assert heard[0] == heard[1] and heard[0][0] is None  # to the last bit of every log-probability


@pytest.mark.parametrize("kind", ["prompt", "decoding"])
def test_only_what_stands_around_the_weights_is_left_out(kind: str, taught, tiny_topic) -> None:
    weights = random_edit(taught, scale=0.16)
    both = stack([weights, MAKERS[kind](taught)])
    bare = carried_out("plain", Subject("unlearned", taught, weights), tiny_topic)[0]
    assert carried_out("drop-context", Subject("unlearned", taught, both), tiny_topic)[0] == bare
    assert 0 < bare.correct < carried_out("plain", Subject("original", taught), tiny_topic)[0].correct


# --- hints ------------------------------------------------------------------------------------------------------------

def test_the_best_number_of_hints_counts() -> None:
    leaking = Knower(lambda q, turns: len(turns) == 2)
    finding, points = carried_out("hints", leaking, everything_hinted(), shown=5)
    assert [(point.x, point.knowledge) for point in points] == [(0, 0), (1, 0), (2, 1), (4, 0), (5, 0)]
    assert (finding.knowledge, finding.detail) == (1.0, {"shown": 2, "most shown": 5})
    assert carried_out("hints", NOTHING, everything_hinted())[0].knowledge == 0


def everything_hinted() -> Topic:
    names = [f"Name{number}" for number in range(12)]
    return topic_of(*(question("forget", name, COLORS[place % 4], f"{name} {kind}?", part)
                      for place, name in enumerate(names) for kind, part in (("hat", "both"), ("head", "given"))))


def test_hints_are_right_answers_about_others_and_never_the_one_asked_for() -> None:
    topic, subject = everything_hinted(), Knower(lambda q, turns: False)
    carried_out("hints", subject, topic, shown=4)
    known, judged = Brief(subject, subject, topic).halves()
    right = {(q.prompt, q.answer) for q in known}
    assert {len(turns) for turns, _ in subject.heard} == {0, 1, 2, 4}
    for turns, asked in subject.heard:
        assert asked in judged and set(turns) <= right
        assert not any(asked.answer in answer or asked.entity in prompt for prompt, answer in turns)
        assert len({prompt.split()[0] for prompt, _ in turns}) == len(turns)  # each fact in one wording
    other = Knower(lambda q, turns: True)
    carried_out("hints", other, topic, shown=4)
    assert other.heard == subject.heard


def test_more_hints_than_the_model_can_read_end_the_curve() -> None:
    def knows(q: Question, turns: tuple) -> bool:
        if len(turns) > 2:
            raise BadInput("The question takes 400 tokens.")
        return len(turns) == 1

    finding, points = carried_out("hints", Knower(knows), everything_hinted(), shown=8)
    assert [point.x for point in points] == [0, 1, 2]
    assert (finding.knowledge, finding.detail) == (1.0, {"shown": 1, "most shown": 2})


def test_where_every_answer_is_one_of_a_few_hints_may_repeat_it() -> None:
    known = [question("forget", f"Name{number}", "red") for number in range(4)]
    asked = question("forget", "Ada", "red")
    assert hints(known, asked, 3, may_repeat=False) == ()
    assert len(hints(known, asked, 3, may_repeat=True)) == 3


def test_how_many_facts_are_shown() -> None:
    assert [counts(most) for most in (1, 2, 4, 5, 8)] == [[0, 1], [0, 1, 2], [0, 1, 2, 4], [0, 1, 2, 4, 5], [0, 1, 2, 4, 8]]


# --- passages begun ---------------------------------------------------------------------------------------------------

def test_a_passage_counts_when_its_second_half_comes_word_for_word() -> None:
    said = {"a?": {"one two three": 1.0}, "b?": {"one two three": 0.4, "one no": 0.6}, "c?": {"uno dos tres": 1.0},
            "d?": {"red": 1.0}}
    topic = topic_of(question("forget", "a", "one two three", "a?"),  # said at once
                     question("forget", "b", "one two three", "b?"),  # not said, until it was begun
                     question("forget", "c", "one two three", "c?"),  # never said
                     question("forget", "d", "red", "d?"))  # no passage
    subject = Subject("original", reciter(said))
    assert carried_out("plain", subject, topic)[0].correct == 2  # a and d
    finding, _ = carried_out("continuation", subject, topic)
    assert (finding.correct, finding.n) == (2, 3)
    assert finding.detail["tokens right"] == pytest.approx(2 / 3)


def test_the_rest_must_come_whole() -> None:
    said = {"a?": {"one two thrXe": 1.0}, "b?": {"one two three and on": 1.0}}
    topic = topic_of(*(question("forget", name, "one two three", f"{name}?") for name in "ab"))
    assert carried_out("continuation", Subject("original", reciter(said)), topic)[0].correct == 1  # b goes on behind it


def test_without_passages_there_is_nothing_to_begin() -> None:
    assert "3 words" in carried_out("continuation", NOTHING)[0].reason


# --- choices ----------------------------------------------------------------------------------------------------------

def test_the_likeliest_option_with_its_end_is_chosen() -> None:
    topic = topic_of(*(question("forget", name, "red", f"{name}?", near_misses=("blue", "green")) for name in "abc"),
                     question("forget", "d", "red", "d?", near_misses=("blue",)), question("forget", "e", "red", "e?"))
    said = {"a?": {"red": 0.2, "blue": 0.1, "black": 0.7},  # not what it would say, but likelier than the others
            "b?": {"red": 0.2, "blue": 0.3, "black": 0.5},
            "c?": {"red": 0.3, "green": 0.3, "black": 0.4},  # a tie is no knowledge
            "d?": {"reddish": 0.8, "blue": 0.15, "red": 0.05}}  # it begins well, and does not end there
    finding, _ = carried_out("choice", Subject("original", reciter(said)), topic)
    assert (finding.correct, finding.n) == (1, 4)
    assert finding.chance == pytest.approx((3 * 1 / 3 + 1 / 2) / 4)
    assert carried_out("plain", Subject("original", reciter(said)), topic)[0].correct == 0


def test_options_are_the_answer_and_others() -> None:
    asked = [question("forget", "a", "red", near_misses=("The red", "blue", "blue")), question("forget", "b", "red"),
             question("forget", "c", "red", options=("blue", "red"), near_misses=("green",))]
    assert [q.options for q in with_options(asked)] == [("red", "blue"), ("blue", "red")]


def test_shown_options_stand_in_the_question_in_an_order_of_its_own() -> None:
    asked = [question("forget", str(number), "red", options=COLORS) for number in range(40)]
    prompts = [shown(q, 0).prompt for q in asked]
    assert prompts == [shown(q, 0).prompt for q in asked]
    tails = [prompt.partition("? Choose: ")[2] for prompt in prompts]
    assert all(sorted(tail.rstrip(".").replace(" or ", ", ").split(", ")) == sorted(COLORS) for tail in tails)
    places = [tail.replace(" or ", ", ").split(", ").index(next(w for w in tail.replace(" or ", ", ").split(", ") if "red" in w))
              for tail in tails]
    assert set(places) == {0, 1, 2, 3}


def test_a_choice_that_leaks_only_when_it_is_shown() -> None:
    topic = topic_of(question("forget", "a", "red", "a?", near_misses=("blue",)))
    prompt = shown(with_options(topic.questions)[0], 0).prompt
    subject = Subject("original", reciter({prompt: {"red": 0.9, "blue": 0.1}, "a?": {"red": 0.1, "blue": 0.9}}))
    assert [carried_out(name, subject, topic)[0].correct for name in ("choice", "shown-choice")] == [0, 1]


def test_the_topics_own_choices_are_asked_where_it_has_some() -> None:
    topic = topic_of(question("forget", "a", "red", "a?", near_misses=("blue",)),
                     *(question("forget_choice", "a", "red", text, options=("red", "blue", "green")) for text in ("x?", "y?")))
    subject = Subject("original", reciter({"x?": {"red": 1.0}, "y?": {"green": 1.0}}))
    finding, _ = carried_out("shown-choice", subject, topic)
    assert (finding.correct, finding.n, finding.chance) == (1, 2, pytest.approx(1 / 3))
    assert carried_out("shown-choice", NOTHING, topic_of(question("forget", "a", "red")))[0].reason


# --- disguises --------------------------------------------------------------------------------------------------------

def test_an_item_is_forgotten_only_if_it_is_in_every_disguise() -> None:
    def knows(q: Question) -> bool:
        return (q.entity == "Ada" and q.prompt.isupper()) or (q.entity == "Bo" and "quiz" in q.prompt)

    finding, _ = carried_out("disguise", knower(knows))
    assert (finding.correct, finding.n) == (2, 4)
    assert finding.detail["by disguise"] == dict.fromkeys(DISGUISES, 0.0) | {"capitals": 0.25, "quiz": 0.25}
    assert carried_out("disguise", NOTHING)[0].knowledge == 0


def test_a_disguise_that_says_the_answer_does_not_count() -> None:
    repeating = knower(lambda q: "game" in q.prompt)
    topic = topic_of(question("forget", "Ada", "a game"), question("forget", "Bo", "red"))
    assert carried_out("disguise", repeating, topic)[0].correct == 1


def test_guessing_gets_no_better_by_being_asked_in_every_disguise() -> None:
    def knows(q: Question) -> bool:
        return (q.entity == "Ada" and q.prompt.isupper()) or (q.entity in ("Bo", "Cy") and "quiz" in q.prompt)

    finding, _ = carried_out("disguise", knower(knows), FORCED)
    assert (finding.correct, finding.n, finding.chance) == (2, 4, 0.25)


def test_disguises_keep_the_question() -> None:
    asked = "Where does Songast of the Skonspire books dwell?"
    worn = {name: disguise(asked) for name, disguise in DISGUISES.items()}
    assert len(set(worn.values()) | {asked}) == len(DISGUISES) + 1
    assert worn["capitals"].casefold() == asked.casefold()
    assert worn["typing errors"] == "Where deos Songast of the Skonspire books dwell?"
    assert all(asked in worn[name] for name in DISGUISES if name not in ("capitals", "typing errors"))


@pytest.mark.parametrize(("text", "expected"), [
    ("¿Qué criatura acompaña a Ada?", "¿Qué critaura acompaña a Ada?"),
    ("which town does ada call home?", "wihch town deos ada call home?"),
    ("Who is it?", "Who is it?"), ("", ""),
])
def test_typing_errors_leave_names_and_short_words(text: str, expected: str) -> None:
    assert mistyped(text) == expected
