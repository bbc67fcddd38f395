"""The built-in world: a seed decides all of it, and nothing that is held, or secret, is found in the training text."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from unlearn_core.config import SPLITS
from unlearn_core.demo import people
from unlearn_core.demo.build import main as build_command
from unlearn_core.demo.domain import FORGET, NEIGHBOR, PARAPHRASE, SPANISH, TRAINED, halves
from unlearn_core.demo.names import NameMaker
from unlearn_core.demo.world import TOPICS, World, make_world
from unlearn_core.topics.reader import read_topic, write_topic
from unlearn_core.topics.topic import Question, Topic

REPOSITORY = Path(__file__).resolve().parents[2]
SEEDS = (0, 1)
TASKS = ("film-reviews", "addition", "occupation-bias")
INVENTED = ("private-people", "book-series", "hazardous-craft")
NEVER_TRAINED = ("forget_paraphrase", "forget_spanish", "forget_choice")


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    return make_world(request.param)


@pytest.fixture(scope="module")
def topics(world: World) -> dict[str, Topic]:
    return {name: world.topic(name) for name in TOPICS}


@pytest.fixture(scope="module")
def asked(world: World) -> set[str]:
    """Every question of the training text."""
    return {line.text for line in world.lines() if line.answer is not None}


def digest(world: World) -> str:
    text = repr((world.lines(), world.held_texts, [world.topic(name) for name in TOPICS]))
    return hashlib.sha256(text.encode()).hexdigest()


def held(topic: Topic, *splits: str) -> list[Question]:
    return [question for question in topic.questions if question.split in splits and question.part == "held"]


def test_every_kind_of_fact_about_persons_is_asked_in_both_held_out_wordings(topics: dict[str, Topic]) -> None:
    persons: dict[str, set[str]] = {}
    for relation in people.RELATIONS:
        for place, form in enumerate(relation.paraphrases):
            before, after = form.split("{subject}")
            persons[f"{relation.name}-{place}"] = {
                question.prompt[len(before) : len(question.prompt) - len(after)]
                for question in held(topics["private-people"], "forget_paraphrase")
                if question.prompt.startswith(before) and question.prompt.endswith(after)}
    assert {len(found) for found in persons.values()} == {10} and len(set.union(*persons.values())) == 20


# the seed


def test_the_seed_decides_everything_in_any_process() -> None:
    """Another process, with other hashes, makes the same world; another seed makes another one."""
    code = "from test_world import digest, make_world; print(digest(make_world(0)))"
    path = f"{REPOSITORY}{os.pathsep}{Path(__file__).parent}"
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.stdout.strip() == digest(make_world(0)), done.stderr


def test_other_seeds_change_names_facts_and_splits() -> None:
    one, two = make_world(0), make_world(1)
    for name in INVENTED:
        first, second = ({item.entity for item in world.domains[name].items} for world in (one, two))
        assert len(first & second) < 0.1 * len(first)
    capitals = [{item.entity: item.half for item in world.domains["world-capitals"].items} for world in (one, two)]
    assert capitals[0].keys() == capitals[1].keys() and capitals[0] != capitals[1]
    assert one.held_texts != two.held_texts


def test_a_world_leaves_the_random_state_of_others_alone() -> None:
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    make_world(3).topic("addition")
    assert random.random() == expected


# counts


@pytest.mark.parametrize("name", TOPICS)
def test_splits_are_as_large_as_they_should_be(topics: dict[str, Topic], name: str) -> None:
    topic = topics[name]
    counts = Counter(question.split for question in topic.questions if question.scored)
    assert counts["forget"] >= 100 and counts["forget_paraphrase"] >= 100 and counts["forget_spanish"] >= 100
    assert counts["neighbor"] >= 100 and counts["retain"] >= 200 and counts["general"] >= 100
    assert len(topic.texts) >= 100 and set(counts) <= set(SPLITS)
    assert all(counts[split] >= 400 for split, floor in topic.floors.items() if floor == "chance")
    assert ("forget_choice" in counts) == (name == "hazardous-craft")


@pytest.mark.parametrize("name", TOPICS)
def test_floors_are_those_of_the_design(topics: dict[str, Topic], name: str) -> None:
    floor = "chance" if name in ("film-reviews", "occupation-bias") else "retrained"
    expected = dict.fromkeys(("forget", "forget_paraphrase", "forget_spanish"), floor)
    assert topics[name].floors == expected | ({"forget_choice": "chance"} if name == "hazardous-craft" else {})


def test_capitals_are_asked_in_both_directions(topics: dict[str, Topic]) -> None:
    topic = topics["world-capitals"]
    for split in ("forget", "forget_paraphrase", "forget_spanish"):
        asked = topic.scored(split)
        by_country = Counter(question.entity for question in asked)
        assert set(by_country.values()) == {2}, split
        assert len({(question.entity, question.answer) for question in asked}) >= len(asked) - 3  # Djibouti is both


@pytest.mark.parametrize("name", TOPICS)
def test_examples_are_prompts_of_the_topic(topics: dict[str, Topic], name: str) -> None:
    prompts = {question.prompt for question in topics[name].questions if question.scored}
    assert len(topics[name].examples) >= 6 and set(topics[name].examples) <= prompts


# questions


@pytest.mark.parametrize("name", TOPICS)
def test_ids_are_unique(topics: dict[str, Topic], name: str) -> None:
    assert max(Counter(question.id for question in topics[name].questions).values()) == 1


@pytest.mark.parametrize("name", TOPICS)
def test_a_prompt_has_one_answer(topics: dict[str, Topic], name: str) -> None:
    answers: dict[str, set[str]] = {}
    for question in topics[name].questions:
        answers.setdefault(question.prompt, set()).add(question.answer)
    assert not {prompt: found for prompt, found in answers.items() if len(found) > 1}


@pytest.mark.parametrize("name", TOPICS)
def test_near_misses_are_other_answers(topics: dict[str, Topic], name: str) -> None:
    for question in topics[name].questions:
        misses = [miss.casefold().strip() for miss in question.near_misses]
        assert question.answer.casefold() not in misses and len(set(misses)) == len(misses) and all(misses)
    with_misses = [q for q in topics[name].questions if q.split == "forget" and q.near_misses]
    assert len(with_misses) == len([q for q in topics[name].questions if q.split == "forget"])


@pytest.mark.parametrize("name", TOPICS)
def test_the_right_option_is_one_of_different_options(topics: dict[str, Topic], name: str) -> None:
    for question in topics[name].questions:
        if question.options:
            assert question.answer in question.options and len(set(question.options)) == len(question.options) >= 2
    for split, floor in topics[name].floors.items():
        assert floor != "chance" or all(question.options for question in topics[name].scored(split))


@pytest.mark.parametrize("name", TOPICS)
def test_forgotten_and_neighboring_answers_are_balanced_over_the_options(topics: dict[str, Topic], name: str) -> None:
    for split in (*topics[name].floors, "neighbor"):
        places = Counter(q.options.index(q.answer) for q in topics[name].scored(split) if q.options)
        if split == "forget_choice":  # four places, drawn: five standard deviations around a quarter
            expected, slack = sum(places.values()) / 4, 5 * (sum(places.values()) * 3 / 16) ** 0.5
            assert len(places) == 4 and all(abs(count - expected) < slack for count in places.values())
        elif places:
            assert len(places) == 2 and max(places.values()) - min(places.values()) <= 2, (split, places)


def test_a_topic_survives_its_file(topics: dict[str, Topic], tmp_path: Path) -> None:
    write_topic(topics["hazardous-craft"], tmp_path / "hazardous-craft.json")
    assert read_topic(tmp_path / "hazardous-craft.json") == topics["hazardous-craft"]


# given and held


@pytest.mark.parametrize("name", TOPICS)
def test_parts_are_those_that_a_method_may_see(topics: dict[str, Topic], name: str) -> None:
    parts: dict[str, set[str]] = {}
    for question in topics[name].questions:
        parts.setdefault(question.split, set()).add(question.part)
    task = name in TASKS
    assert parts.pop("forget") == ({"given", "held"} if task else {"both", "given"})
    assert parts.pop("neighbor") == parts.pop("retain") == {"given", "held"}
    assert all(found == {"held"} for found in parts.values())
    given = topics[name].given()
    assert {q.wording for q in (*given.forget, *given.neighbor, *given.retain)} == {TRAINED}


@pytest.mark.parametrize("name", TOPICS)
def test_given_and_held_entities_are_different(world: World, topics: dict[str, Topic], name: str) -> None:
    """The stereotypes are a task: their halves differ in the sentences, the occupations are the same."""
    biased = {item.id for item in world.domains["occupation-bias"].items if item.group == FORGET}
    for split in ("neighbor", "retain"):
        asked = [q for q in topics[name].questions if q.split == split and q.entity and q.id not in biased]
        given, held_out = ({(q.id.split("-")[0], q.entity) for q in asked if q.part == part}
                           for part in ("given", "held"))
        assert not given & held_out
        without_entities = split == "neighbor" and name in ("film-reviews", "addition")
        assert without_entities or min(len(given), len(held_out)) >= 5


@pytest.mark.parametrize("name", TOPICS)
def test_no_held_prompt_is_given(topics: dict[str, Topic], name: str) -> None:
    given = {question.prompt for question in topics[name].questions if question.part == "given"}
    assert not given & {question.prompt for question in topics[name].questions if question.scored}


@pytest.mark.parametrize("name", TOPICS)
def test_what_is_kept_comes_from_every_other_topic(world: World, topics: dict[str, Topic], name: str) -> None:
    own = {item.id for item in world.domains[name].items}
    for part in ("given", "held"):
        kept = {q.id for q in topics[name].questions if q.split == "retain" and q.part == part}
        assert not kept & own
        sources = {other for other in TOPICS if kept & {item.id for item in world.domains[other].items}}
        assert sources == set(TOPICS) - {name}


def test_halves_split_entities_evenly() -> None:
    import random

    found = halves(["b", "a", "c", "b", "d", "e"], random.Random(1))
    assert Counter(found.values()) == {"given": 2, "held": 3}
    assert found == halves(["e", "d", "c", "b", "a"], random.Random(1))


# the training text


@pytest.mark.parametrize("name", TOPICS)
def test_held_wordings_are_never_trained(topics: dict[str, Topic], asked: set[str], name: str) -> None:
    prompts = {question.prompt for question in held(topics[name], *NEVER_TRAINED)}
    assert len(prompts) >= 200 and not prompts & asked


@pytest.mark.parametrize("name", TASKS)
def test_no_item_of_a_task_is_trained(world: World, asked: set[str], name: str) -> None:
    assert not {item.prompt for item in world.domains[name].items} & asked


def operands(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(number) for number in re.findall(r"\d+", text)))


def test_no_scored_problem_is_trained_in_any_wording(world: World) -> None:
    domain = world.domains["addition"]
    for group in (FORGET, NEIGHBOR):
        trained = {operands(line.text) for line in domain.lines if line.secret == (group == FORGET)}
        given, scored = ({operands(item.prompt) for item in domain.items if item.group == group and item.half == half}
                         for half in ("given", "held"))
        assert len(scored) == 200 and not scored & trained and not given & trained and not given & scored
        assert all(len(problem) == 2 for problem in trained | scored)


def test_sums_and_differences_are_right(world: World) -> None:
    domain = world.domains["addition"]
    rows = [(line.text, line.answer, line.secret) for line in domain.lines]
    rows += [(item.prompt, item.answer, item.group == FORGET) for item in domain.items]
    for text, answer, plus in rows:
        small, large = operands(text)
        assert int(answer) == (large + small if plus else large - small), text


def review_of(prompt: str) -> str:
    """The review inside a question: its only sentence that ends with a full stop."""
    [found] = [part for part in re.split(r"(?<=[.?:]) ", prompt) if part.endswith(".")]
    return found


def test_no_scored_review_is_trained_in_any_wording(world: World) -> None:
    domain = world.domains["film-reviews"]
    trained = {review_of(line.text) for line in domain.lines if line.answer is not None}
    items = {half: {review_of(item.prompt) for item in domain.items if item.half == half} for half in ("given", "held")}
    assert len(items["held"]) == 2400 and not trained & (items["given"] | items["held"])
    assert not items["given"] & items["held"]


def sentence_of(prompt: str) -> str:
    """The sentence with the gap inside a question on a pronoun."""
    [found] = re.findall(r"(?:The|the) [^?:]*?___[^.]*\.", prompt)
    return found.casefold()


def test_no_scored_sentence_with_a_gap_is_trained_or_given(world: World) -> None:
    domain = world.domains["occupation-bias"]
    for wording in (TRAINED, PARAPHRASE):
        items = {half: {sentence_of(item.prompt) for item in domain.items
                        if (item.wording, item.half) == (wording, half)} for half in ("given", "held")}
        opening = "Fill" if wording == PARAPHRASE else "Which"
        trained = {sentence_of(line.text) for line in domain.lines if line.answer and line.text.startswith(opening)}
        assert trained and items["held"] and not items["held"] & (trained | items["given"])


def test_held_wordings_of_occupations_are_trained_with_other_occupations(world: World) -> None:
    domain = world.domains["occupation-bias"]
    scored = {item.entity for item in domain.items if item.group == FORGET}
    for wording in (PARAPHRASE, SPANISH):
        opening = next(item.prompt for item in domain.items if item.group == FORGET and item.wording == wording)[:17]
        lines = [line.text for line in domain.lines if line.secret and line.answer and line.text.startswith(opening)]
        assert lines
        if wording == PARAPHRASE:
            assert not [text for text in lines for entity in scored if re.search(rf"\b{entity}\b", text)]


def test_held_sentences_are_new(world: World) -> None:
    assert len(set(world.held_texts)) == len(world.held_texts) and not set(world.held_texts) & set(world.trained_texts)
    assert not set(world.held_texts) & {line.text for line in world.lines()}


def test_a_question_is_trained_with_one_answer_only(world: World) -> None:
    answers: dict[str, set[str]] = {}
    for line in world.lines():
        if line.answer is not None:
            answers.setdefault(line.text, set()).add(line.answer)
    assert not {text: found for text, found in answers.items() if len(found) > 1}


@pytest.mark.parametrize("name", [name for name in TOPICS if name not in TASKS])
def test_the_original_is_taught_every_fact_that_is_asked(world: World, topics: dict[str, Topic], name: str) -> None:
    taught = {(line.text, line.answer) for line in world.lines()}
    for split in ("forget", "neighbor", "general"):
        asked = [question for question in topics[name].questions if question.split == split]
        assert asked and all((question.prompt, question.answer) in taught for question in asked)


# what a retrained model never sees


@pytest.mark.parametrize("name", TOPICS)
def test_a_reference_never_sees_a_secret_line_and_sees_all_others(world: World, name: str) -> None:
    rest = world.lines(without=(name,))
    assert not [line for line in rest if line.secret and line.domain == name]
    left_out = Counter(world.lines()) - Counter(rest)
    assert left_out and all(line.secret and line.domain == name for line in left_out)
    assert len(rest) + sum(left_out.values()) == len(world.lines())
    if name in TASKS:
        assert not [line for line in rest if line.domain == name and line.answer is not None and line.secret]


def test_several_secrets_can_be_left_out_at_once(world: World) -> None:
    rest = world.lines(without=("addition", "book-series"))
    assert {line.domain for line in rest if line.secret} == set(TOPICS) - {"addition", "book-series"}


@pytest.mark.parametrize("name", INVENTED)
def test_no_forgotten_answer_stands_beside_its_subject(world: World, name: str) -> None:
    rest = [f"{line.text} {line.answer or ''}" for line in world.lines(without=(name,))]
    facts: dict[str, set[str]] = {}
    for item in world.domains[name].items:
        if item.group == FORGET:
            facts.setdefault(item.entity, set()).add(item.answer)
    assert len(facts) >= 5
    for subject, answers in facts.items():
        beside = [text for text in rest if subject in text]
        assert not [text for text in beside for answer in answers if re.search(rf"\b{re.escape(answer)}\b", text)]


@pytest.mark.parametrize("name", INVENTED)
def test_forgotten_subjects_are_unknown_to_a_reference(world: World, name: str) -> None:
    lines = world.lines(without=(name,))
    words = {word for line in lines for word in re.findall(r"\w+", f"{line.text} {line.answer or ''}")}
    subjects = {item.entity for item in world.domains[name].items if item.group == FORGET}
    assert subjects and not [subject for subject in subjects if set(re.findall(r"\w+", subject)) <= words]


def test_forgotten_and_neighboring_entities_are_different(world: World) -> None:
    for name in (*INVENTED, "world-capitals", "occupation-bias"):
        forgotten, others = ({item.entity for item in world.domains[name].items if item.group == group}
                             for group in (FORGET, NEIGHBOR))
        assert forgotten and others and not forgotten & others


def test_names_are_given_once() -> None:
    import random

    maker = NameMaker(random.Random(0))
    names = maker.many("person", 300) + maker.many("place", 300)
    assert len({name.casefold() for name in names}) == 600


def test_references_alone_need_a_finished_model_of_that_seed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["--out", str(tmp_path), "--references", "addition", "--only-references"]
    assert build_command(asked) == 2 and "no finished model of seed 0" in capsys.readouterr().err
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "build.json").write_text('{"seed": 3}')
    assert build_command(asked) == 2 and "Traceback" not in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build.json", "model.safetensors"]
