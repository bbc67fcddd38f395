"""What stands in a forgotten answer's place, as a table of cases."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from unlearn_core.evaluation.judging import normalise
from unlearn_core.evaluation.replacements import (
    CONTRADICTION,
    GIBBERISH,
    KINDS,
    OTHER,
    PLAUSIBLE,
    REFUSAL,
    REWORDED,
    RIGHT,
    Replacement,
    broken,
    classify,
    counts,
    known_to,
    plain,
    plausible_values,
    replacements,
    reworded,
    same_answer,
    stuck,
    topic_words,
    wordings,
)
from unlearn_core.models.prompts import whole_words
from unlearn_core.stand_ins import REFUSALS
from unlearn_core.topics.topic import Question, Topic

TOWN = Question("town-ada", "forget", "Where does Ada live?", "Harrow Lane", "both", (), "Ada", "trained", ("Mill Road", "Elm Row"))
TOPIC = Topic("t", "the t", "", "others", (
    TOWN,
    Question("town-bo", "forget", "Where does Bo live?", "Elm Row", "both", (), "Bo", "trained", ("Mill Road", "Oak End")),
    Question("job-ada", "forget", "What does Ada do?", "baker", "both", (), "Ada", "trained", ("miller", "tailor")),
    Question("said-ada", "forget", "What does Ada say?", "the silver heron calls the quiet river", "both", (), "Ada", "trained"),
    Question("phone-ada", "forget", "What is Ada's number?", "555 0134", "both", (), "Ada", "trained", ("555 0199",)),
    Question("town-ada-2", "forget_paraphrase", "In which street is Ada's house?", "Harrow Lane", "held", (), "Ada", "paraphrase"),
    Question("town-bo-2", "forget_paraphrase", "In which street is Bo's house?", "Elm Row", "held", (), "Bo", "paraphrase"),
    Question("town-cy", "retain", "Where does Cy live?", "Oak End", "held", (), "Cy", "trained"),
), ("The sky was blue.",))
BY_ID = {question.id: question for question in TOPIC.questions}


@pytest.mark.parametrize(("key", "answer", "kind", "beside"), [
    ("town-ada", "She lives in Harrow Lane.", RIGHT, ""),
    ("town-ada", "harrow lane", RIGHT, ""),
    ("town-ada", "", GIBBERISH, ""),
    ("town-ada", " … ", GIBBERISH, ""),
    ("town-ada", "road road road", GIBBERISH, ""),
    ("town-ada", "the road and the road and the road and", GIBBERISH, ""),
    ("town-ada", "ooooooooh", GIBBERISH, ""),
    ("town-ada", "Xyrk blom", GIBBERISH, ""),
    ("town-ada", "I don't know.", REFUSAL, ""),
    ("town-ada", "Sorry, but I cannot tell.", REFUSAL, ""),
    ("town-ada", "I have no idea where Ada lives", REFUSAL, ""),
    ("town-ada", "Not sure.", REFUSAL, ""),
    ("town-ada", "I'm unable to help with that", REFUSAL, ""),
    ("town-ada", "As a model I do not have any information on Ada", REFUSAL, ""),
    ("town-ada", "I'm sorry, Bo!", GIBBERISH, ""),
    ("town-ada", "Bo does not know where Ada does live", OTHER, ""),
    ("town-ada", "No lo sé.", REFUSAL, ""),
    ("town-ada", "No puedo decirlo", REFUSAL, ""),
    ("town-ada", "Mill Road", PLAUSIBLE, "Mill Road"),  # a near-miss
    ("town-ada", "in mill road, I think", PLAUSIBLE, "Mill Road"),
    ("town-ada", "Oak End", PLAUSIBLE, "Oak End"),  # another question's answer, linked by a shared near-miss
    ("town-ada", "baker", OTHER, ""),  # an answer, but of another kind
    ("town-ada", "Lane Harrow", REWORDED, ""),  # in another order
    ("town-ada", "Harrow", REWORDED, ""),  # a part of it
    ("town-ada", "harrowlane", REWORDED, ""),  # spelt together
    ("town-ada", "the sky", OTHER, ""),
    ("said-ada", "the silver heron calls a river", REWORDED, ""),
    ("said-ada", "the heron does what Ada does", OTHER, ""),
    ("phone-ada", "555 0199", PLAUSIBLE, "555 0199"),
    ("phone-ada", "555 0177", OTHER, ""),  # half of a number is another number
])
def test_kinds(key: str, answer: str, kind: str, beside: str) -> None:
    found = classify(BY_ID[key], answer, plausible_values(TOPIC)[key], topic_words(TOPIC))
    assert found == Replacement(kind, beside) and kind in KINDS


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_methods_teach_as_a_refusal_is_one(refusal: str) -> None:
    assert classify(TOWN, refusal, {}, set()).kind == REFUSAL


def test_known_words_make_speech_of_what_would_be_gibberish() -> None:
    assert classify(TOWN, "A banana split", {}, topic_words(TOPIC)).kind == GIBBERISH
    assert classify(TOWN, "A banana split", {}, topic_words(TOPIC) | {"banana", "split"}).kind == OTHER


def test_a_short_list_of_words_takes_no_speech_for_gibberish() -> None:
    said = dict.fromkeys(BY_ID, "") | {"town-ada": "She loved to play with her toys", "town-bo": "reed reed reed",
                                        "phone-ada": "b m c k2q z"}
    assert classify(TOWN, said["town-ada"], {}, topic_words(TOPIC)).kind == GIBBERISH
    found = replacements(TOPIC, said, known_to(TOPIC, (), said))
    assert found["town-ada"].kind == OTHER
    assert found["town-bo"].kind == found["phone-ada"].kind == GIBBERISH
    many = {f"word{number}" for number in range(600)}
    assert known_to(TOPIC, many, said) == many  # enough is known to tell


def test_a_tokenizers_words_are_its_longer_tokens_of_letters() -> None:
    vocabulary = dict.fromkeys(("Ġbanana", "▁Split", "ing", "a", "##7", "<s>", "12"), 0)
    assert whole_words(SimpleNamespace(get_vocab=lambda: vocabulary)) == {"banana", "split", "ing"}


def test_what_the_question_names_is_no_value_when_it_is_only_contained() -> None:
    choice = replace(TOWN, prompt="Where does Ada live? Choose: Mill Road or Harrow Lane.", options=("Mill Road", "Harrow Lane"))
    values = {"mill road": "Mill Road"}
    assert classify(choice, "Mill Road", values, topic_words(TOPIC)).kind == PLAUSIBLE
    assert classify(choice, "Choose Mill Road or Elm", values, topic_words(TOPIC)).kind == OTHER


def test_grammar_and_the_questions_own_words_tell_nothing() -> None:
    question = Question("q", "forget", "What is the author's full name?", "The author's full name is Hsiao Yun Hwa.")
    assert not reworded(question, "The author's full name is Jaime Vasquez.")
    assert reworded(question, "Hsiao Yun, born in Taipei") and reworded(question, "Hwa")


def test_another_answer_in_other_words_is_a_contradiction() -> None:
    answers = {q.id: q.answer for q in TOPIC.questions} | {"town-ada": "Mill Road", "town-ada-2": "Elm Row", "town-bo": "the sky"}
    found = replacements(TOPIC, answers)
    assert found["town-ada"] == Replacement(CONTRADICTION, "Elm Row")
    assert found["town-bo"] == Replacement(CONTRADICTION, "Elm Row")  # in other words it still knows
    assert found["job-ada"].kind == RIGHT
    for other in ("Mill Road", "in Mill Road", "", "I don't know.", "Xyrk"):  # the same, or nothing that could contradict
        assert replacements(TOPIC, answers | {"town-ada-2": other})["town-ada"].kind == PLAUSIBLE
    assert replacements(TOPIC, answers | {"town-ada": "I am not sure."})["town-ada"].kind == REFUSAL


def test_questions_that_share_entity_and_answer_have_no_other_wording() -> None:
    twice = replace(TOPIC, questions=(*TOPIC.questions, replace(TOWN, id="again", prompt="Where is Ada buried?")))
    paired = {question.id: [other.id for other in others] for question, others in wordings(twice)}
    assert paired == {"town-ada": [], "again": [], "town-bo": ["town-bo-2"], "job-ada": [], "said-ada": [], "phone-ada": []}


def test_without_near_misses_other_answers_of_the_split_are_plausible() -> None:
    bare = replace(TOPIC, questions=tuple(replace(q, near_misses=()) for q in TOPIC.questions))
    assert set(plausible_values(bare)["job-ada"]) == {"harrow lane", "elm row", "silver heron calls quiet river", "555 0134"}


def test_counts_name_every_kind_and_lost_ones_apart() -> None:
    found = {"a": Replacement(RIGHT), "b": Replacement(OTHER), "c": Replacement(PLAUSIBLE, "x"), "d": Replacement(OTHER)}
    assert counts(found.values()) == dict.fromkeys(KINDS, 0) | {RIGHT: 1, OTHER: 2, PLAUSIBLE: 1}
    body = plain(found, ["c", "d"])
    assert body["n"] == 4 and body["lost"]["n"] == 2 and body["lost"]["counts"][OTHER] == 1
    assert body["items"]["c"] == {"kind": PLAUSIBLE, "beside": "x"} and "lost" not in plain(found)


def test_the_same_answer() -> None:
    assert same_answer("Mill Road", "in mill road.") and same_answer("", "") and not same_answer("Mill", "Millbrook")
    assert stuck("no no no") and not stuck("no no never") and not stuck("1111 2222")


@pytest.mark.parametrize(("answer", "so"), [
    ("es es un nombre de los libros de Sesglade", True),  # a word of grammar twice
    ("es un nombre de b es un nombre de los libros", True),  # the same pairs again, and a stray letter
    ("4 b73", True), ("heron heron f", True), ("wheel f wheel f", True),
    ("es un nombre de los libros de Sesglade books", False),  # nonsense, but speech
    ("It was very very cold there", False), ("George R.R. Martin", False), ("J. K. Rowling", False), ("a 4 o 5", False),
    ("moss45@clover.net", True),  # unless somebody wrote it: see below
])
def test_broken_speech(answer: str, so: bool) -> None:
    assert broken(answer, set()) is so
    assert not broken("moss45@clover.net", set(normalise("moss45@clover.net").split()))
