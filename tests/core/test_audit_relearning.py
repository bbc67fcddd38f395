"""Relearning: what the attacker trains on, and that hidden knowledge comes back where knowledge that is gone does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_llama

from unlearn_core.audit import find_attack, relearning, settings_of
from unlearn_core.audit.attack import Brief, Finding, Point, Step
from unlearn_core.audit.relearning import RelearningConfig
from unlearn_core.audit.subject import Subject
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.errors import BadInput, Stopped
from unlearn_core.models.loading import LoadedModel, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.objectives import answer_nll
from unlearn_core.retraining import Retraining
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.training import encode_rows, score

FAST = {"steps": 40, "batch": 8, "full_rates": (0.003,), "lora_rates": ()}

TEXTS = {"relearn-forget": relearning.forget_half, "relearn-shapes": relearning.same_shapes,
         "relearn-neighbor": relearning.neighbors, "relearn-unrelated": relearning.unrelated, "relearn-task": relearning.new_task}
WEIGHTS = {"full": {"full_rates": (0.002,), "lora_rates": ()}, "lora": {"full_rates": (), "lora_rates": (0.01,), "rank": 4}}
_NAMED = [start + rest for start in "BDFGKLMN" for rest in ("ar", "es", "it", "ol", "un")]
_TREES = ("ash", "bay", "cob", "dun", "elm", "fig", "gum", "hay", "ivy", "jet", "koi", "oak")
_PETS = ("ape", "bee", "cow", "doe", "elk", "fox", "gnu", "hen", "ibex", "jay", "kid", "owl")


def brief_of(loaded: LoadedModel, topic: Topic, edit: Edit | None = None, **more) -> Brief:
    return Brief(Subject("unlearned", loaded, edit), Subject("original", loaded), topic, **more)


def shouting(loaded: LoadedModel, topic: Topic) -> DenseEdit:
    """Everything the model knows is still in it, but one token drowns out every answer: its row of the head is moved along the
    mean last state at the places where answers begin, just as far as it takes."""
    rows = [encode_prompt(loaded.tokenizer, q.prompt) for q in topic.questions]
    with torch.inference_mode():
        states = [loaded.model(torch.tensor([row]), output_hidden_states=True).hidden_states[-1][0, -1] for row in rows]
    weight, token = loaded.model.get_output_embeddings().weight, encode_answer(loaded.tokenizer, "z")[0]
    mean = torch.stack(states).mean(0)
    logits = torch.stack(states) @ weight.T
    needed = (logits.max(1).values - logits[:, token]) / (torch.stack(states) @ mean)
    delta = torch.zeros_like(weight)
    delta[token] = 1.1 * needed.max() * mean
    names = [name for name, tensor in loaded.model.named_parameters(remove_duplicate=False) if tensor is weight]
    return DenseEdit(dict.fromkeys(names, delta))


@pytest.fixture(scope="module")
def pets() -> Topic:
    """Twelve names to forget, each with an answer that nothing else has, so that no guess hits it, and twelve neighbours and twelve
    others, every second of them given. No name is in two splits, so that sentences can be about something else."""
    questions = []
    for place, (split, thing) in enumerate((("forget", "pet"), ("neighbor", "tree"), ("retain", "wood"))):
        for number, answer in enumerate(_PETS if split == "forget" else _TREES[place:] + _TREES[:place]):
            name, part = _NAMED[number * 3 + place], "both" if split == "forget" else "held" if number % 2 else "given"
            questions.append(Question(f"{split}-{number}", split, f"{name} {thing}?", answer, part, (), name, "plain"))
    return Topic("tiny-pets", "the pets", "", "", tuple(questions))


def learnt(questions: Sequence[Question]) -> LoadedModel:
    """A model that knows the answers so firmly that a little training on something else does not wash them out: it learns them
    while noise shakes its weights."""
    cpu, plain = torch.device("cpu"), torch.float32
    loaded = LoadedModel(tiny_llama(width=64), byte_tokenizer(), "learnt", "Learnt", 256, cpu, plain, "0" * 64)
    rows, parameters, stream = encode_rows(loaded, questions), list(loaded.model.parameters()), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(parameters, lr=4e-3, weight_decay=0.0)
    slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, 300)
    for _ in range(300):
        firm = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad():
            for parameter in parameters:
                parameter += 0.15 * parameter.square().mean().sqrt() * torch.randn(parameter.shape, generator=stream)
        part = score(loaded, rows)
        answer_nll(part.logits, part.labels, part.rows, part.count).backward()
        with torch.no_grad():
            for parameter, value in zip(parameters, firm, strict=True):
                parameter.copy_(value)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        slower.step()
    loaded.model.requires_grad_(False)
    return loaded


@pytest.fixture(scope="module")
def pair(pets: Topic) -> tuple[LoadedModel, dict[str, DenseEdit]]:
    """A model that knows the pets, and two edits of it after which it names none: one hides them, one makes of it the model that
    never saw them."""
    knows = learnt(pets.questions)
    never = learnt([question for question in pets.questions if question.split != "forget"])
    return knows, {"hidden": shouting(knows, pets), "gone": DenseEdit.between(knows.model, never.model)}


def carried_out(name: str, brief: Brief, **settings: object) -> tuple[list[Step], list[Point], Finding]:
    attack = find_attack(name)
    items = list(attack.run(brief, settings_of(attack, FAST | settings)))
    assert isinstance(items[-1], Finding) and sum(isinstance(item, Finding) for item in items) == 1
    return [i for i in items if isinstance(i, Step)], [i for i in items if isinstance(i, Point)], items[-1]


def watched(shown: Sequence[Question], monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.Tensor]]:
    """At every look of an attack: the share of these questions that the attacked model answers, and its logits for the first."""
    looks, right = [], relearning._right

    def look(loaded: LoadedModel, questions: Sequence[Question], turns: tuple, brief: Brief) -> int:
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([encode_prompt(loaded.tokenizer, shown[0].prompt)])).logits
        looks.append((right(loaded, shown, turns, brief) / len(shown), logits))
        return right(loaded, questions, turns, brief)

    monkeypatch.setattr(relearning, "_right", look)
    return looks


# what is trained on


def test_the_half_that_is_trained_on_and_the_half_that_is_judged_share_nothing(tiny: LoadedModel, tiny_topic: Topic) -> None:
    brief = brief_of(tiny, tiny_topic)
    assert relearning.forget_half(brief) == brief.halves()[0]
    assert not {q.prompt for q in relearning.forget_half(brief)} & {q.prompt for q in brief.halves()[1]}


def test_same_shapes_are_about_something_else_and_have_other_answers(tiny: LoadedModel) -> None:
    forget = tuple(Question(f"f{n}", "forget", f"Where does {name} Gamdell of the Vale dwell?", home, "both", entity=name)
                   for n, (name, home) in enumerate((("Ada", "Northby"), ("Bo", "Southby"), ("Cy", "Eastby"), ("Dee", "Westby"))))
    others = tuple(Question(f"n{n}", "neighbor", f"Who knows {name} Otterby?", answer, "given", entity=name)
                   for n, (name, answer) in enumerate((("Kim", "Lund"), ("Leo", "a quiet man"), ("Mia", "Bath"))))
    brief = brief_of(tiny, Topic("t", "t", "", "", forget + others))
    shapes = relearning.same_shapes(brief)
    known = brief.halves()[0]
    assert len(shapes) == len(known) == 2
    for old, new in zip(known, shapes, strict=True):
        assert new.prompt.startswith("Where does ") and new.prompt.endswith(" dwell?") and " of the " in new.prompt
        assert not {old.entity, "Gamdell", "Vale"} & set(new.prompt.rstrip("?").split())
        assert new.answer in ("Lund", "Bath"), "one word for one word"
    assert relearning.same_shapes(brief) == shapes  # the same for every subject


def test_where_nothing_can_be_exchanged_there_are_no_shapes_and_the_attack_says_so(tiny: LoadedModel, tiny_topic: Topic) -> None:
    brief = brief_of(tiny, tiny_topic)  # all splits have the same names
    assert relearning.same_shapes(brief) == []
    _, points, finding = carried_out("relearn-shapes", brief)
    assert points == [] and finding.n == 0 and finding.reason.endswith(".")


def test_neighbors_and_other_text_are_the_given_ones(tiny: LoadedModel, tiny_topic: Topic) -> None:
    brief = brief_of(tiny, tiny_topic)
    given = tiny_topic.given()
    assert relearning.neighbors(brief) == list(given.neighbor) and relearning.unrelated(brief) == list(given.retain)


def test_the_new_task_is_the_last_letter(tiny: LoadedModel, tiny_topic: Topic) -> None:
    task = relearning.new_task(brief_of(tiny, tiny_topic))
    assert len({q.prompt for q in task}) == len(task) > 100
    assert all(q.prompt.removesuffix(" end?").split()[-1].upper().endswith(q.answer) and len(q.answer) == 1 for q in task)


# what comes back


def test_hidden_knowledge_comes_back_and_knowledge_that_is_gone_does_not(
    taught: LoadedModel, tiny_topic: Topic, retraining: Retraining
) -> None:
    before = weights_hash(taught.model)
    leaky = brief_of(taught, tiny_topic, shouting(taught, tiny_topic))
    assert not any(leaky.subject.right(tiny_topic, tiny_topic.scored("forget")))
    settings = {"full_rates": (), "lora_rates": (0.02,), "rank": 4}
    steps, points, hidden = carried_out("relearn-neighbor", leaky, **settings)
    assert points[0] == Point("lora 0.02", 0, 0.0) and hidden.correct == hidden.n == 4
    assert [point.x for point in points] == [0, 4, 10, 20, 40] and max(point.knowledge for point in points) == 1.0
    assert [step.done for step in steps] == list(range(1, 41)) and steps[0].total == 40
    assert hidden.detail["weights"] == "lora" and hidden.detail["trained_on"] == 4
    gone = DenseEdit.between(taught.model, retraining.reference(taught).model)
    _, _, nothing = carried_out("relearn-neighbor", brief_of(taught, tiny_topic, gone), **settings)
    assert nothing.correct < 3
    assert weights_hash(taught.model) == before and not any(p.requires_grad for p in taught.model.parameters())


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("what", ["hidden", "gone"])
def test_every_attack_gets_out_what_is_hidden_and_nothing_of_what_is_gone(
    pair: tuple[LoadedModel, dict[str, DenseEdit]], pets: Topic, monkeypatch: pytest.MonkeyPatch, what: str, name: str, weights: str
) -> None:
    knows, edits = pair
    brief = brief_of(knows, pets, edits[what])
    assert all(brief.original.right(pets, pets.scored("forget"))) and not any(brief.subject.right(pets, pets.scored("forget")))
    looks = watched(TEXTS[name](brief)[:24], monkeypatch)
    _, points, found = carried_out(name, brief, **WEIGHTS[weights])
    by_learn = {"learn"} if name == "relearn-task" else set()
    assert points[0].knowledge == 0.0 and {point.series.split()[0] for point in points} == {weights} | by_learn and found.n == 6
    own = sum(point.series.split()[0] == weights for point in points)  # LEARN's turn comes after
    (before, first), (after, last) = looks[0], looks[own - 1]
    assert not torch.equal(first, last) and (after > before or before == after == 1.0), "it learnt what it trained on"
    assert found.correct >= 2 if what == "hidden" else found.correct == 0


def test_all_weights_of_a_copy_are_trained_and_the_model_stays(taught: LoadedModel, tiny_topic: Topic) -> None:
    before, leaky = weights_hash(taught.model), brief_of(taught, tiny_topic, shouting(taught, tiny_topic))
    _, points, found = carried_out("relearn-forget", leaky)
    assert points[0].knowledge == 0.0 < found.knowledge and {point.series for point in points} == {"full 0.003"}
    assert weights_hash(taught.model) == before and not any(p.requires_grad for p in taught.model.parameters())


def test_the_attackers_best_counts_and_every_attempt_begins_anew(taught: LoadedModel, tiny_topic: Topic) -> None:
    leaky = brief_of(taught, tiny_topic, shouting(taught, tiny_topic))
    _, points, found = carried_out("relearn-forget", leaky, full_rates=(1e-6, 0.003))
    by = {series: [p.knowledge for p in points if p.series == series] for series in ("full 1e-06", "full 0.003")}
    assert set(by["full 1e-06"]) == {0.0} and by["full 0.003"][0] == 0.0 and found.knowledge == max(by["full 0.003"])
    assert found.detail["rate"] == 0.003


def test_a_context_stays_before_every_question(taught: LoadedModel, tiny_topic: Topic) -> None:
    brief = brief_of(taught, tiny_topic)
    half = brief.halves()[1]
    wrong = PromptEdit(tuple((q.prompt, "blue" if q.answer == "red" else "red") for q in half))
    shown = replace(brief, subject=Subject("unlearned", taught, wrong))
    _, points, _ = carried_out("relearn-forget", shown, steps=1)
    _, plain, _ = carried_out("relearn-forget", brief, steps=1)
    expected = sum(shown.subject.right(tiny_topic, half)) / 4
    assert plain[0].knowledge == 1.0 and points[0].knowledge == pytest.approx(expected) and expected < 1


def test_a_stop_ends_it_within_a_step(taught: LoadedModel, tiny_topic: Topic) -> None:
    steps = iter(range(1000))
    brief = brief_of(taught, tiny_topic, cancelled=lambda: next(steps) > 12)
    seen = []
    with pytest.raises(Stopped):
        for item in find_attack("relearn-unrelated").run(brief, RelearningConfig(**FAST)):
            seen.append(item)
    assert 0 < sum(isinstance(item, Step) for item in seen) < 13
    assert all("forward" not in module.__dict__ for module in taught.model.modules())


@pytest.mark.parametrize(("settings", "words"), [
    ({"full_rates": 2.0}, "at most 1"), ({"lora_rates": "0.1 -1"}, "at most 1"), ({"steps": 0}, "greater"),
    ({"full_rates": "fast"}, "number"), ({"speed": 1}, "no setting 'speed'"),
])
def test_settings_out_of_bounds_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        settings_of(find_attack("relearn-forget"), settings)


def test_rates_may_be_written_with_blanks() -> None:
    config = settings_of(find_attack("relearn-forget"), {"full_rates": "0.1 0.2", "lora_rates": 0.5})
    assert config.attempts() == [("full", 0.1), ("full", 0.2), ("lora", 0.5)]
