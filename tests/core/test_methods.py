"""What every registered method owes: a new method is tested here by being registered."""

from __future__ import annotations

import ast
import inspect
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from unlearn_core import methods
from unlearn_core.demo.world import TOPICS
from unlearn_core.edits.attach import attached
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.kinds import load_edit
from unlearn_core.errors import BadInput
from unlearn_core.events import Loss, Spectrum
from unlearn_core.methods import METHODS, Context, Snapshot, Stage, catalogue, find_method, settings_of
from unlearn_core.methods.__main__ import with_table
from unlearn_core.methods.base import FAMILIES
from unlearn_core.models.loading import LoadedModel, linears, matrix_place, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.retraining import Retraining
from unlearn_core.scoring import answer_logprobs
from unlearn_core.topics.topic import Question, Topic

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = list(METHODS)
# A method's other readings are methods too; each is one more entry: test id -> (method, settings)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in NAMES}
VARIANTS["unlearn, literal"] = ("unlearn", {"reading": "literal"})
VARIANTS |= {f"unlearn, {kind}": ("unlearn", {"subspace": kind}) for kind in ("hard", "identified", "random")}
VARIANTS["unlearn, answers"] = ("unlearn", {"where": "answers", "near": 2})
VARIANTS["unlearn, groups"] = ("unlearn", {"groups": 3})
# What a method does not do by its nature, so that it is not asked to
DESTROYS = {"gradient-ascent"}  # nothing holds what is kept
FORGETS_NOTHING = {"finetune"}  # never sees a forget question
LEAVES_NO_TRACE = {"retrain", "sisa"}  # what comes out never saw a forget answer, whatever it was
ASKS_ONLY = {"idk"}  # sees forget questions, but not their answers
VARIANTS |= {"eul": ("eul", {"epochs": 60}), "eul, square": ("eul", {"epochs": 60, "width": 0})}  # an epoch is one step here
# What a two-layer model of bytes cannot show: in-context learning.
UNSELECTIVE = {"icul"}
VARIANTS["sisa"] = ("sisa", {"shards": 2})
VARIANTS["module-negation, ia3"] = ("module-negation", {"module": "ia3"})
TEACH = {"learn"}  # add a topic, forget none
TRAINED = [variant for variant, (name, _) in VARIANTS.items() if {"steps", "epochs"} & find_method(name).config.model_fields.keys()]
DESCRIBED = [variant for variant, (name, _) in VARIANTS.items() if "describe" in dict(find_method(name).stages)]


@pytest.fixture(scope="module", autouse=True)
def _retrained(retraining: Retraining) -> Iterator[None]:
    """Every context of this file has a model at hand that never saw the topic."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "Context", partial(Context, retraining=retraining))
        yield


@dataclass(frozen=True)
class Fitted:
    """Everything that `fit` yielded."""

    items: list[Any]

    @property
    def edit(self) -> Edit:
        return self.of(Edit)[-1]

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]


def fit(loaded: LoadedModel, topic: Topic, variant: str, short: bool = True, seed: int = 0,
        stop: Callable[[list[Any]], bool] = lambda items: False) -> Fitted:
    """Run one method to its end, with few steps where it has such a setting; `stop` sees what was yielded so far."""
    name, settings = VARIANTS[variant]
    method = find_method(name)
    if short and "steps" in method.config.model_fields:
        settings = settings | {"steps": 6}
    items: list[Any] = []
    for item in method.fit(Context(loaded, topic.given(), seed, lambda: stop(items)), settings_of(method, settings)):
        items.append(item)
    return Fitted(items)


@pytest.fixture(scope="module")
def full(taught: LoadedModel, tiny_topic: Topic) -> Callable[[str], Fitted]:
    """A run of each variant with its defaults, done once."""
    done: dict[str, Fitted] = {}

    def get(variant: str) -> Fitted:
        if variant not in done:
            done[variant] = fit(taught, tiny_topic, variant, short=False)
        return done[variant]

    return get


def logprob(loaded: LoadedModel, topic: Topic, split: str) -> float:
    """Mean log-probability of the expected answers of a split's scored questions."""
    pairs = [(encode_prompt(loaded.tokenizer, question.prompt), encode_answer(loaded.tokenizer, question.answer))
             for question in topic.scored(split)]
    scores = answer_logprobs(loaded, pairs)
    return sum(score.logprob for score in scores) / len(scores)


def logits(loaded: LoadedModel, edit: Edit | None = None, strength: float = 1.0) -> torch.Tensor:
    """At the last token of a question."""
    prompt = encode_prompt(loaded.tokenizer, "Ada hat?", edit.turns(strength) if edit is not None else ())
    with torch.no_grad(), attached(loaded.model, edit, strength):
        return loaded.model(input_ids=torch.tensor([prompt])).logits[:, -1]


def changes(loaded: LoadedModel, edit: Edit) -> bool:
    return not torch.equal(logits(loaded, edit), logits(loaded))


def same(first: Edit, second: Edit) -> bool:
    one, other = first.tensors(), second.tensors()
    return first.head() == second.head() and one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def finite(edit: Edit) -> bool:
    return all(torch.isfinite(tensor).all() and not tensor.requires_grad for tensor in edit.tensors().values())


def first_edit(loaded: LoadedModel, topic: Topic, where: str) -> Edit:
    """Of a short run of UNLEARN, before anything is made smaller."""
    settings = settings_of(find_method("unlearn"), {"steps": 6, "where": where})
    return next(item for item in find_method("unlearn").fit(Context(loaded, topic.given(), 0), settings) if isinstance(item, Edit))


# what it does


def test_what_was_trained_is_counted(taught: LoadedModel, tiny_topic: Topic) -> None:
    """Against sums over the shapes of the maps (out, in): both factors of a LoRA change, only the left one where directions are
    given, a scale an output for (IA)³, two matrices a layer for EUL; whole rows of weights for PCGU, nothing for a context."""

    def trained(name: str, **settings: Any) -> list[int]:
        context = Context(taught, tiny_topic.given(), 0)
        method = find_method(name)
        for _ in method.fit(context, settings_of(method, settings)):
            pass
        return context.trained

    shapes = [linear.weight.shape for linear in linears(taught.model).values()]
    lora = sum(3 * (out + into) for out, into in shapes)
    assert trained("npo", steps=2, rank=3) == [lora]
    assert trained("kga", steps=2, rank=3) == [lora] * 3
    assert trained("unlearn", steps=2, rank=4) == [sum(4 * out for out, _ in shapes)]
    assert trained("module-negation", module="ia3", steps=2) == [sum(out for out, _ in shapes)]
    assert trained("eul", epochs=1, width=5) == [2 * 5 * taught.model.config.hidden_size * taught.layers]
    assert trained("icul") == []
    assert len(trained("repselect", elicit_steps=0, steps=1)) == 1  # no adversary was trained
    assert trained("retrain") == [taught.parameters]
    values = trained("pcgu", steps=2)[-1]
    assert 0 < values < sum(out * into for out, into in shapes)


def test_where_no_names_mark_the_forget_set_directions_are_found_where_answers_are_given(
    taught: LoadedModel, tiny_topic: Topic
) -> None:
    """A task has no words of its own: here its questions are made of the very words of those to keep."""
    keep = [question for question in tiny_topic.questions if question.split != "forget"]
    near = [question for question in keep if question.split == "neighbor" and question.given]
    forget = [replace(question, split="forget", id=f"f-{question.id}", part="both") for question in near]
    task = replace(tiny_topic, questions=(*keep, *forget))
    found = {where: first_edit(taught, task, where) for where in ("auto", "answers", "texts")}
    assert same(found["auto"], found["answers"]) and not same(found["auto"], found["texts"])
    assert same(first_edit(taught, tiny_topic, "auto"), first_edit(taught, tiny_topic, "texts"))


def test_directions_of_forced_choices_are_found_in_all_of_their_text(taught: LoadedModel, tiny_topic: Topic) -> None:
    """Their answers are the same whatever is asked, so that where they are given says nothing; open ones differ."""
    asked = tuple(replace(question, options=(question.answer, "none")) for question in tiny_topic.questions)
    for topic, alike in ((replace(tiny_topic, questions=asked), True), (tiny_topic, False)):
        assert same(first_edit(taught, topic, "texts"), first_edit(taught, topic, "answers")) == alike


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - DESTROYS - FORGETS_NOTHING - UNSELECTIVE - TEACH))
def test_forgets_the_topic_more_than_what_is_kept(variant: str, taught: LoadedModel, tiny_topic: Topic, full) -> None:
    before = {split: logprob(taught, tiny_topic, split) for split in ("forget", "retain")}
    with attached(taught.model, full(variant).edit):
        lost = {split: before[split] - logprob(taught, tiny_topic, split) for split in before}
    assert lost["forget"] > 0.3, lost
    assert lost["forget"] > 2 * lost["retain"], lost


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_edit_fits_the_model_and_is_finite(variant: str, taught: LoadedModel, full) -> None:
    edit = full(variant).edit
    edit.check(taught.model)
    size = edit.relative_change(taught.model)
    assert size is None or 0 < size < math.inf
    assert finite(edit) and changes(taught, edit)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_edit_survives_being_saved(variant: str, full, tmp_path: Path) -> None:
    full(variant).edit.save(tmp_path / "edit.safetensors")
    assert same(full(variant).edit, load_edit(tmp_path / "edit.safetensors"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_untouched_and_off_is_the_original(variant: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    before = logits(taught)
    edit = fit(taught, tiny_topic, variant).edit
    assert weights_hash(taught.model) == taught.weights_hash
    assert torch.equal(logits(taught), before)
    assert torch.equal(logits(taught, edit, 0.0), before)
    assert not torch.equal(logits(taught, edit), before)
    assert torch.equal(logits(taught), before)
    assert not any(parameter.requires_grad for parameter in taught.model.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_random_state_of_others_is_left_alone(variant: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fit(taught, tiny_topic, variant)
    assert torch.equal(torch.rand(3), expected)


# what it tells


@pytest.mark.parametrize("variant", VARIANTS)
def test_stages_are_entered_as_declared(variant: str, full) -> None:
    declared = [name for name, _ in find_method(VARIANTS[variant][0]).stages]
    entered = [stage.name for stage in full(variant).of(Stage)]
    assert entered == [name for name in declared if name in entered] and entered


@pytest.mark.parametrize("variant", TRAINED)
def test_losses_count_up_to_their_total(variant: str, full) -> None:
    losses = full(variant).of(Loss)
    assert losses and [loss.step for loss in losses] == list(range(1, losses[-1].step + 1))
    assert losses[-1].step == losses[-1].total
    assert all(math.isfinite(value) for loss in losses for value in (loss.forget, loss.retain) if value is not None)


@pytest.mark.parametrize("variant", DESCRIBED)
def test_every_changed_matrix_has_a_spectrum_of_the_final_edit(variant: str, full) -> None:
    edit, spectra = full(variant).edit, full(variant).of(Spectrum)
    assert [(event.layer, event.matrix) for event in spectra] == [matrix_place(name) for name in edit.names]
    for event, name in zip(spectra, edit.names, strict=True):
        dense = torch.linalg.svdvals(edit.delta(name).double())[:len(event.removed)]
        torch.testing.assert_close(torch.tensor(event.removed).double(), dense, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_snapshot_shows_the_edit_and_leaving_there_restores_the_original(variant: str, taught: LoadedModel,
                                                                           tiny_topic: Topic) -> None:
    before = logits(taught)
    name, settings = VARIANTS[variant]
    method = find_method(name)
    items = method.fit(Context(taught, tiny_topic.given(), 0), settings_of(method, settings))
    for item in items:
        if isinstance(item, Snapshot):
            assert 1 <= item.step <= item.total and not torch.equal(logits(taught), before)
            break
        assert torch.equal(logits(taught), before)
        if isinstance(item, Edit):
            break
    items.close()
    assert torch.equal(logits(taught), before)


# stopping


@pytest.mark.parametrize("variant", TRAINED)
def test_a_stop_after_some_steps_leaves_a_partial_edit(variant: str, taught: LoadedModel, tiny_topic: Topic,
                                                       full) -> None:
    stopped = fit(taught, tiny_topic, variant, short=False,
                  stop=lambda items: sum(isinstance(item, Loss) for item in items) >= 2)
    assert len(stopped.of(Loss)) == 2
    stopped.edit.check(taught.model)
    assert changes(taught, stopped.edit)
    assert not same(stopped.edit, full(variant).edit)
    assert weights_hash(taught.model) == taught.weights_hash


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stop_before_the_first_step_changes_nothing(variant: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    """No edit, or one that does nothing: either way no error."""
    before = logits(taught)
    stopped = fit(taught, tiny_topic, variant, stop=lambda items: True)
    assert not stopped.of(Loss)
    for edit in stopped.of(Edit):
        assert torch.equal(logits(taught, edit), before) or VARIANTS[variant][0] == "icul"  # which takes no step


# what it may see


def poisoned(topic: Topic) -> Topic:
    """The topic with everything that no method may see replaced."""
    def spoil(question: Question) -> Question:
        return question if question.given else replace(
            question, prompt=f"{question.id}!", answer="poison", options=("poison", "cure"), near_misses=("cure",),
            entity="nobody")

    extra = tuple(Question(f"extra-{split}", split, "Who is it?", "poison", "held")
                  for split in ("forget_paraphrase", "forget_spanish", "forget_choice"))
    return replace(topic, questions=tuple(map(spoil, topic.questions)) + extra, texts=("poison",) * 3,
                   examples=("poison?",), floors={"forget": "chance"}, title="poison", summary="poison")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_edit_depends_on_seed_and_given_part_alone(variant: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    assert any(not question.given for question in tiny_topic.questions)
    first = fit(taught, tiny_topic, variant, seed=3).edit
    assert same(first, fit(taught, tiny_topic, variant, seed=3).edit)
    assert same(first, fit(taught, poisoned(tiny_topic), variant, seed=3).edit)


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - FORGETS_NOTHING - LEAVES_NO_TRACE))
def test_the_given_part_matters(variant: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    change = {"prompt": "Who is it?"} if variant in ASKS_ONLY else {"answer": "white"}
    questions = [replace(question, **change) if question.split == "forget" else question
                 for question in tiny_topic.questions]
    other = replace(tiny_topic, questions=tuple(questions))
    assert not same(fit(taught, tiny_topic, variant).edit, fit(taught, other, variant).edit)


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - FORGETS_NOTHING))
def test_a_topic_without_anything_to_keep_still_gives_an_edit(variant: str, taught: LoadedModel,
                                                              tiny_topic: Topic) -> None:
    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    assert changes(taught, fit(taught, alone, variant).edit)


@pytest.mark.parametrize("variant", VARIANTS)
def test_forced_choices_are_no_obstacle(variant: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    """Two options here, four there, open questions between: what an uploaded list may hold."""
    colors = ("red", "blue", "green", "black")
    questions = [replace(q, options=() if place % 3 == 0 else colors if place % 3 == 1 else (q.answer, "white"))
                 if q.split == "forget" else q for place, q in enumerate(tiny_topic.questions)]
    assert finite(fit(taught, replace(tiny_topic, questions=tuple(questions)), variant).edit)


def test_statistics_are_kept_unless_a_stop_cut_them_short(taught: LoadedModel, tiny_topic: Topic) -> None:
    stopped = [True]
    context = Context(taught, tiny_topic.given(), 0, lambda: stopped[0])
    assert context.statistics("some", lambda: {"a": 1}) == {"a": 1} and not context.kept
    stopped[0] = False
    assert context.statistics("some", lambda: {"a": 2}) == {"a": 2}
    assert context.statistics("some", lambda: {"a": 3}) == {"a": 2} == context.kept["some"]


# its settings


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_help_a_default_and_bounds(name: str) -> None:
    fields = find_method(name).describe()["config_schema"]["properties"]
    assert find_method(name).knob in fields
    for field, schema in fields.items():
        assert len(schema.get("description", "")) > 10 and "default" in schema, field
        low, high = {"minimum", "exclusiveMinimum"} & schema.keys(), {"maximum", "exclusiveMaximum"} & schema.keys()
        assert "enum" in schema or schema["type"] == "boolean" or (low and high), field


def outside(schema: dict[str, Any]) -> list[Any]:
    """Values that a setting of this schema must refuse."""
    if "enum" in schema:
        return ["no such choice", None]
    values: list[Any] = ["some", None]
    values += [schema["minimum"] - 1] if "minimum" in schema else []
    values += [schema["exclusiveMinimum"]] if "exclusiveMinimum" in schema else []
    values += [schema["maximum"] + 1] if "maximum" in schema else []
    return values + ([float("nan"), float("inf")] if schema.get("type") == "number" else [])


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_out_of_bounds_is_refused_by_name(name: str) -> None:
    method = find_method(name)
    for field, schema in method.describe()["config_schema"]["properties"].items():
        for value in outside(schema):
            with pytest.raises(BadInput) as caught:
                settings_of(method, {field: value})
            assert caught.value.field == field and field in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"rate": "abc"}, "cannot be 'abc'. It should be a number, such as"), ({"rank": "many"}, "It should be a whole number."),
     ({"rank": 2.5}, "It should be a whole number."), ({"rank": None}, "The setting 'rank' is empty.")],
)  # fmt: skip
def test_what_is_no_number_is_refused_in_plain_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        settings_of(find_method("gradient-difference"), settings)
    assert words in str(caught.value) and "parse" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_refused_with_the_nearest_ones(name: str) -> None:
    method = find_method(name)
    misspelt = f"{method.knob}x"
    with pytest.raises(BadInput) as caught:
        settings_of(method, {misspelt: 1})
    assert caught.value.field == misspelt and f"Did you mean {method.knob}" in str(caught.value)


def test_an_unknown_method_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(BadInput) as caught:
        find_method("unlern")
    assert caught.value.field == "method" and "Did you mean unlearn" in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_frozen_and_defaults_are_their_own(name: str) -> None:
    settings = settings_of(find_method(name), {})
    assert settings == settings_of(find_method(name), settings.model_dump())
    with pytest.raises(Exception, match="frozen"):
        setattr(settings, find_method(name).knob, 1)


# its file


def test_the_catalogue_is_plain_data() -> None:
    rows = json.loads(json.dumps([row for row in catalogue() if row["name"] in NAMES]))
    assert [row["name"] for row in rows] == NAMES
    for row in rows:
        assert all(row[key] for key in ("title", "summary", "paper", "knob", "access", "cost", "config_schema"))
        assert row["family"] in FAMILIES


@pytest.mark.parametrize("name", NAMES)
def test_the_file_says_its_paper_and_names_no_topic(name: str) -> None:
    source = inspect.getsource(sys.modules[METHODS[name].split(":")[0]]) if find_method(name) else ""
    tree = ast.parse(source)
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert "arXiv" in (ast.get_docstring(tree) or "")
    assert not texts & {*TOPICS, "demo", "general", "forget_paraphrase", "forget_spanish", "forget_choice"}


def test_the_readme_has_the_table_of_methods_as_it_is() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in METHODS if name != "slow-noise")
    kept = {name: place for name, place in METHODS.items() if name != "slow-noise"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "METHODS", kept)
        assert with_table(text) == text


def test_methods_load_no_torch() -> None:
    code = ("import sys; from unlearn_core.methods import METHODS, catalogue, find_method, settings_of; catalogue(); "
            "[settings_of(find_method(name), {}) for name in METHODS]; "
            "print([name for name in ('torch', 'transformers', 'scipy', 'sklearn') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY,
                          env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr


def test_linear_maps_of_the_tiny_model_are_all_changed_by_default(taught: LoadedModel, full) -> None:
    """A method that edits only a part of the model says so by its edit; UNLEARN edits every linear map."""
    assert set(full("unlearn").edit.names) == set(linears(taught.model))


def test_eul_without_any_of_its_terms_is_refused() -> None:
    with pytest.raises(BadInput, match="'eul' do not go together") as refused:
        settings_of(find_method("eul"), {"kl": False, "task": 0, "lm": 0})
    assert "kl, task, lm" in refused.value.why
    assert settings_of(find_method("eul"), {"kl": False, "task": 0}).lm > 0
