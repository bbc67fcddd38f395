"""The attacks inside the model and on the edit: on models that leak and on models that do not, and nothing stays behind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from test_audit_quantisation import dense, layer_edit
from tiny_models import random_edit, tiny_llama
from tiny_t5 import load_t5, save_t5
from torch import Tensor, nn

from unlearn_core.audit import ATTACKS, FAMILIES, directions, find_attack, probe, residuals
from unlearn_core.audit.attack import ORIGINAL, REFERENCE, UNLEARNED, Brief, Finding, Point, Step
from unlearn_core.audit.directions import _pushing, _set_along, _unit
from unlearn_core.audit.edit_directions import flattened
from unlearn_core.audit.probe import kinds_of, wrong_answers
from unlearn_core.audit.readout import fitted, held_out
from unlearn_core.audit.residuals import Read, blocks, changed, states, through_head
from unlearn_core.audit.subject import Subject
from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.edit import Edit, Wrap
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.edits.stack import stack
from unlearn_core.errors import BadInput, Stopped
from unlearn_core.evaluation import measure as measuring
from unlearn_core.models.loading import LoadedModel, linears, load, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.retraining import Retraining
from unlearn_core.topics.topic import Question, Topic

CONTEXT = (("Ada hat?", "green"), ("Bo hat?", "black"))
OWN = ("int8", "int4", "nf4", "strength", "edit-directions", "logit-lens", "probe", "ablation", "steering")


def run(name: str, subject: Subject, original: Subject, topic: Topic, **settings) -> tuple[Finding, list[Point]]:
    attack = find_attack(name)
    found = list(attack.run(Brief(subject, original, topic), attack.config(**settings)))
    assert isinstance(found[-1], Finding) and all(isinstance(item, (Step, Point)) for item in found[:-1])
    steps = [item for item in found if isinstance(item, Step)]
    assert all(0 <= step.done <= step.total for step in steps)
    return found[-1], [item for item in found if isinstance(item, Point)]


def plain(subject: Subject, topic: Topic, questions: list[Question] | None = None) -> float:
    marks = subject.right(topic, topic.scored("forget") if questions is None else questions)
    return sum(marks) / len(marks)


# --- models that leak and models that do not --------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Pushed(Edit):
    """What leaves the first layer, and so all that follow, is pushed by a constant."""

    by: Tensor
    meta: Mapping[str, str] = field(default_factory=dict)
    kind = "pushed"
    parameters = 0

    def scaled(self, strength: float) -> Pushed:
        return replace(self, by=self.by * strength)

    def check(self, model: nn.Module) -> None: ...

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        assert rows is None
        return [(model.model.layers[0], lambda forward: lambda *given, **named: forward(*given, **named) + strength * self.by)]

    def tensors(self) -> dict[str, Tensor]:
        return {"by": self.by}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> Pushed:
        return cls(tensors["by"])

    def with_meta(self, meta: Mapping[str, str]) -> Pushed:
        return replace(self, meta=meta)


@pytest.fixture(scope="module")
def deep(taught: LoadedModel) -> LoadedModel:
    """The taught model with a third layer that does nothing."""
    config = copy.deepcopy(taught.model.config)
    config.num_hidden_layers = 3
    config.layer_types = None
    model = type(taught.model)(config).eval().requires_grad_(False)
    missing = model.load_state_dict(taught.model.state_dict(), strict=False).missing_keys
    assert missing and all("layers.2" in name for name in missing)
    model.model.layers[2].self_attn.o_proj.weight.zero_()
    model.model.layers[2].mlp.down_proj.weight.zero_()
    return replace(taught, model=model, weights_hash=weights_hash(model))


def in_layer(loaded: LoadedModel, number: int, scale: float = 1.0) -> LowRankEdit:
    """A random change of one layer alone."""
    whole = random_edit(loaded, scale=scale)
    return LowRankEdit({name: pair for name, pair in whole.factors.items() if f"layers.{number}." in name})


@pytest.fixture(scope="module")
def pushed(taught: LoadedModel) -> Subject:
    stream = torch.Generator().manual_seed(5)
    by = torch.randn(64, generator=stream)
    return Subject(UNLEARNED, taught, Pushed(60 * by / by.norm()))


@pytest.fixture(scope="module")
def forgotten(taught: LoadedModel, retraining: Retraining) -> Subject:
    """The taught model turned into the one that never saw the hats."""
    other = load(str(retraining.folder / "references" / retraining.topic.name), device="cpu")
    return Subject(UNLEARNED, taught, DenseEdit.between(taught.model, other.model))


# --- the residual stream ------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_t5(save_t5(tmp_path_factory.mktemp("t5") / "random"))


@pytest.fixture(params=["causal", "encoder-decoder"])
def either(request: pytest.FixtureRequest) -> LoadedModel:
    return request.getfixturevalue("tiny" if request.param == "causal" else "t5")


def test_the_layers_are_found_in_order(tiny: LoadedModel, t5: LoadedModel) -> None:
    assert blocks(tiny) == list(tiny.model.model.layers)
    assert blocks(t5) == list(t5.model.decoder.block)


def test_a_model_without_numbered_layers_is_refused_in_words(tiny: LoadedModel) -> None:
    bare = nn.ModuleDict({"only": nn.Linear(2, 2)})
    bare.config = tiny.model.config
    with pytest.raises(BadInput, match="layers"):
        blocks(replace(tiny, model=bare))


@pytest.mark.parametrize("edited", [False, True])
def test_states_through_the_head_are_what_the_model_says(either: LoadedModel, edited: bool) -> None:
    """At the first, a middle and the last place of answers after prompts of different lengths, in one batch."""
    edit = random_edit(either) if edited else None
    tokenizer, reads = either.tokenizer, []
    for prompt, answer, after in (("Ada hat?", "red", 0), ("Which is the hat of Bo?", "black", 2), ("Cy", "blue", 4)):
        reads.append(Read(encode_prompt(tokenizer, prompt), encode_answer(tokenizer, answer), after))
    hidden = states(Subject(UNLEARNED, either, edit), reads)
    assert hidden.shape == (2, 3, 32)
    own = replace(either, model=copy.deepcopy(either.model))
    found = torch.cat(list(through_head(own, hidden[-1])))  # the head itself is not edited
    for read, row in zip(reads, found, strict=True):
        with torch.inference_mode(), attached(either.model, edit):
            if either.reads_apart:
                start = [either.model.config.decoder_start_token_id, *read.answer[:read.after]]
                wanted = either.model(input_ids=torch.tensor([read.prompt]), decoder_input_ids=torch.tensor([start])).logits[0, -1]
            else:
                wanted = either.model(input_ids=torch.tensor([[*read.prompt, *read.answer[:read.after]]])).logits[0, -1]
        assert torch.allclose(row, wanted, atol=1e-3, rtol=1e-4)


def hooks(loaded: LoadedModel) -> list[str]:
    return [name for name, module in loaded.model.named_modules()
            if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__]


def test_changes_are_gone_even_after_an_error(tiny: LoadedModel) -> None:
    ids = torch.tensor([[5, 9, 200]])
    before = tiny.model(input_ids=ids).logits
    with changed(blocks(tiny), {0: lambda output: 0 * output}):
        assert not torch.allclose(tiny.model(input_ids=ids).logits, before)

    def broken(output: Tensor) -> Tensor:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), changed(blocks(tiny), {0: lambda output: output, 1: broken}):
        tiny.model(input_ids=ids)
    assert not hooks(tiny) and torch.equal(tiny.model(input_ids=ids).logits, before)


def test_a_text_that_is_too_long_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(BadInput, match="tokens"):
        states(Subject(ORIGINAL, tiny), [Read([5] * 300, [6])])


# --- strength -------------------------------------------------------------------------------------------------------------

def test_only_strengths_from_the_least_up_count(taught: LoadedModel, tiny_topic: Topic) -> None:
    subject, original = Subject(UNLEARNED, taught, random_edit(taught, scale=0.12)), Subject(ORIGINAL, taught)
    finding, points = run("strength", subject, original, tiny_topic, least=1.0)
    drawn = {point.x: point.knowledge for point in points}
    assert list(drawn) == [0.5, 0.75, 1.0, 1.25, 1.5, 2.0]
    for strength, knowledge in drawn.items():
        marks = subject.right(tiny_topic, tiny_topic.scored("forget"), strength=strength)
        assert knowledge == sum(marks) / 8
    assert finding.knowledge == max(drawn[strength] for strength in (1.0, 1.25, 1.5, 2.0)) < drawn[0.5]
    weaker, more = run("strength", subject, original, tiny_topic, least=0.4)
    assert more[0].x == 0.4 and weaker.knowledge == more[0].knowledge == max(point.knowledge for point in more)
    assert {point.x: point.knowledge for point in more}[weaker.detail["strength"]] == weaker.knowledge > finding.knowledge


def test_an_original_has_one_strength(taught: LoadedModel, tiny_topic: Topic) -> None:
    original = Subject(ORIGINAL, taught)
    finding, points = run("strength", original, original, tiny_topic)
    assert {point.knowledge for point in points} == {1.0} == {finding.knowledge} and "strength" not in finding.detail


# --- the edit's directions --------------------------------------------------------------------------------------------------

def test_singular_values_lose_the_largest_first_and_the_last_in_part() -> None:
    S = torch.tensor([4.0, 2.0, 2.0, 1.0])  # squares 16, 4, 4, 1: of 25
    assert flattened(S, 0.6).tolist() == pytest.approx([0.0, 2.0, 2.0, 1.0])  # 16 of 25 go, 0.36 are left
    assert flattened(S, 0.5).tolist() == pytest.approx([0.0, (4 - 2.75) ** 0.5, 2.0, 1.0])
    assert flattened(S, 0.9).tolist() == pytest.approx([(16 - 0.19 * 25) ** 0.5, 2.0, 2.0, 1.0])
    for kept in (0.1, 0.5, 0.75, 0.99):
        assert float(flattened(S, kept).norm() / S.norm()) == pytest.approx(kept, abs=1e-6)


def spread(loaded: LoadedModel, size: float) -> LowRankEdit:
    """A change of rank 4 in the last layer: one direction that does the harm, three that do next to nothing."""
    stream, factors = torch.Generator().manual_seed(8), {}
    for name, linear in linears(loaded.model).items():
        if "layers.1." in name:
            U = torch.linalg.qr(torch.randn(linear.out_features, 4, generator=stream))[0]
            V = torch.linalg.qr(torch.randn(linear.in_features, 4, generator=stream))[0]
            factors[name] = (U * torch.tensor([size, 1e-3, 1e-3, 1e-3]), V.mT)
    return LowRankEdit(factors)


def test_an_edit_that_hangs_on_one_direction_leaks_without_it(taught: LoadedModel, tiny_topic: Topic) -> None:
    original, edit = Subject(ORIGINAL, taught), spread(taught, 60.0)
    assert plain(Subject(UNLEARNED, taught, edit), tiny_topic) <= 0.5
    finding, points = run("edit-directions", Subject(UNLEARNED, taught, edit), original, tiny_topic)
    assert [(point.x, point.knowledge) for point in points] == [(1, 1.0), (2, 1.0)]
    assert finding.detail["rank"] == 4 and finding.detail["kept"] == 0.75
    assert finding.knowledge == finding.detail["control"] <= 0.5  # a single direction shrunk is the edit weakened
    kept, drawn = run("edit-directions", Subject(UNLEARNED, taught, random_edit(taught, rank=4)), original, tiny_topic)
    assert [point.x for point in drawn] == [1, 2] and drawn[0].knowledge <= 0.5 and kept.knowledge <= 0.5


def test_a_full_difference_has_the_directions_of_the_thin_one(taught: LoadedModel, tiny_topic: Topic) -> None:
    original, thin = Subject(ORIGINAL, taught), random_edit(taught, rank=3, scale=0.1)
    full = DenseEdit({f"{name}.weight": thin.delta(name) for name in thin.factors})
    both = [run("edit-directions", Subject(UNLEARNED, taught, edit), original, tiny_topic) for edit in (thin, full)]
    assert both[0] == both[1] and both[0][0].detail["rank"] == 3
    stacked = stack([thin, PromptEdit(CONTEXT)])
    finding, points = run("edit-directions", Subject(UNLEARNED, taught, stacked), original, tiny_topic)
    assert finding.detail["rank"] == 3 and [point.x for point in points] == [1, 2]


def test_what_has_no_directions_says_so(tiny: LoadedModel, tiny_topic: Topic) -> None:
    original = Subject(ORIGINAL, tiny)
    for edit in (layer_edit(tiny), PromptEdit(CONTEXT), DecodingEdit(random_edit(tiny))):
        finding, points = run("edit-directions", Subject(UNLEARNED, tiny, edit), original, tiny_topic)
        assert finding.n == 0 and "no matrix" in finding.reason and not points


# --- the logit lens -----------------------------------------------------------------------------------------------------------

def first_right(subject: Subject, topic: Topic) -> float:
    tokenizer, marks = subject.loaded.tokenizer, []
    for question in topic.scored("forget"):
        with torch.inference_mode(), attached(subject.loaded.model, subject.edit):
            row = subject.loaded.model(input_ids=torch.tensor([encode_prompt(tokenizer, question.prompt)])).logits[0, -1]
        marks.append(int(row.argmax()) == encode_answer(tokenizer, question.answer)[0])
    return sum(marks) / len(marks)


def test_what_the_last_layer_suppresses_is_read_before_it(deep: LoadedModel, tiny_topic: Topic) -> None:
    original, subject = Subject(ORIGINAL, deep), Subject(UNLEARNED, deep, in_layer(deep, 2))
    assert plain(original, tiny_topic) == 1.0 and plain(subject, tiny_topic) <= 0.25
    finding, points = run("logit-lens", subject, original, tiny_topic)
    assert finding.knowledge == 1.0 and finding.detail["layer"] == 2 and finding.n == 8
    assert [point.x for point in points] == [1, 2, 3] and points[-1].knowledge == first_right(subject, tiny_topic) <= 0.5
    gone, _ = run("logit-lens", Subject(UNLEARNED, deep, in_layer(deep, 0)), original, tiny_topic)
    assert gone.knowledge <= 0.5


def test_a_changed_head_hides_nothing_from_the_originals(deep: LoadedModel, tiny_topic: Topic) -> None:
    edit = DenseEdit({"model.norm.weight": -2 * deep.model.model.norm.weight})
    subject, original = Subject(UNLEARNED, deep, edit), Subject(ORIGINAL, deep)
    assert plain(subject, tiny_topic) == 0.0
    assert run("logit-lens", subject, original, tiny_topic)[0].knowledge == 1.0


def test_the_lens_sees_the_context_of_the_edit(tiny: LoadedModel, tiny_topic: Topic) -> None:
    original, subject = Subject(ORIGINAL, tiny), Subject(UNLEARNED, tiny, PromptEdit(CONTEXT))
    _, points = run("logit-lens", subject, original, tiny_topic)
    tokenizer, marks = tiny.tokenizer, []
    for question in tiny_topic.scored("forget"):
        row = tiny.model(input_ids=torch.tensor([encode_prompt(tokenizer, question.prompt, CONTEXT)])).logits[0, -1]
        marks.append(int(row.argmax()) == encode_answer(tokenizer, question.answer)[0])
    assert points[-1].knowledge == sum(marks) / 8


def test_a_forced_choice_is_read_among_the_options(tiny: LoadedModel, tiny_topic: Topic) -> None:
    options = ("red", "blue", "green")
    asked = tuple(replace(q, options=options, answer=options[place % 3]) for place, q in enumerate(tiny_topic.scored("forget")))
    topic = replace(tiny_topic, questions=asked, floors={"forget": "chance"})
    finding, points = run("logit-lens", Subject(ORIGINAL, tiny), Subject(ORIGINAL, tiny), topic)
    marks = []
    for question in asked:
        row = tiny.model(input_ids=torch.tensor([encode_prompt(tiny.tokenizer, question.prompt)])).logits[0, -1]
        best = max(options, key=lambda text, row=row: float(row[encode_answer(tiny.tokenizer, text)[0]]))
        marks.append(best == question.answer)
    assert points[-1].knowledge == sum(marks) / 8 and finding.chance == pytest.approx(1 / 3)


# --- the probe -----------------------------------------------------------------------------------------------------------------

def test_a_readout_finds_a_rotation_and_reads_as_it_is_without_evidence() -> None:
    stream = torch.Generator().manual_seed(1)
    X = torch.randn(60, 6, generator=stream)
    Q = torch.linalg.qr(torch.randn(6, 6, generator=stream))[0]
    target = X @ Q.T + 3
    found = fitted(X[:50], target[:50], 1e-6)
    assert torch.allclose(found(X[50:]), target[50:], atol=1e-3)
    few = fitted(X[:4], target[:4], 1e-6)  # fewer rows than dimensions
    assert torch.allclose(few(X[:4]), target[:4], atol=1e-3)
    held = fitted(X, target, 1e9)
    assert torch.allclose(held.weight, torch.eye(6), atol=1e-4)
    assert torch.allclose(held(X), X - X.mean(0) + target.mean(0), atol=1e-3)


def test_both_ways_of_solving_agree() -> None:
    stream = torch.Generator().manual_seed(2)
    X, target = torch.randn(5, 8, generator=stream), torch.randn(5, 8, generator=stream)
    wide = fitted(X, target, 0.3).weight  # among the rows
    C = (X - X.mean(0)).double()
    R = (target - target.mean(0)).double() - C
    ridge = 0.3 * C.square().mean() * 5
    wanted = torch.eye(8).double() + torch.linalg.solve(C.T @ C + ridge * torch.eye(8).double(), C.T @ R).T
    assert torch.allclose(wide.double(), wanted, atol=1e-5)


def test_what_is_held_out_is_read_by_a_map_that_never_saw_it() -> None:
    stream = torch.Generator().manual_seed(3)
    X, target = torch.randn(9, 3, generator=stream), torch.randn(9, 3, generator=stream)
    folds = [0, 1, 2] * 3
    found = held_out(X, target, 0.5, folds)
    inside = torch.tensor(folds) == 1
    assert torch.allclose(found[inside], fitted(X[~inside], target[~inside], 0.5)(X[inside]))
    poisoned = target.clone()
    poisoned[inside] = 1e6
    assert torch.allclose(held_out(X, poisoned, 0.5, folds)[inside], found[inside])


def test_wrong_answers_are_right_answers_of_the_same_kind() -> None:
    def asked(name: str, answer: str, *near: str) -> Question:
        return Question(name, "forget", f"{name}?", answer, near_misses=near)

    questions = [asked("a", "Rome", "Oslo"), asked("b", "Oslo", "Bonn"), asked("c", "Kiev", "Bonn"), asked("d", "7", "8"),
                 asked("e", "9")]
    kinds = kinds_of(questions)
    assert kinds["Rome"] == kinds["Bonn"] == kinds["Kiev"] != kinds["7"] == kinds["8"] != kinds["9"]
    assert wrong_answers(questions[0], questions, kinds) == ["Kiev", "Oslo"]
    assert wrong_answers(questions[3], questions, kinds) == ["8"]
    assert wrong_answers(questions[4], questions, kinds) == []


@pytest.fixture
def many(tiny: LoadedModel, tiny_topic: Topic) -> Topic:
    """A hundred and twenty questions about sixty entities, with answers that begin in twenty ways."""
    letters = "abcdefghijklmnopqrst"
    questions = tuple(Question(f"q{n}", "forget", f"{n}?", letters[n // 2 % 20], "both", (), f"entity {n // 2}", "plain",
                               (letters[(n // 2 + 1) % 20],)) for n in range(120))
    return replace(tiny_topic, questions=questions)


@pytest.fixture
def states_of(many: Topic, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets what the unlearned model's states are to the probe: "turned", or "empty" of all that the original knows."""
    stream = torch.Generator().manual_seed(6)
    tokens = [encode_answer(tiny.tokenizer, letter)[0] for letter in "abcdefghijklmnopqrst"]
    head = torch.zeros(260, 24)
    head[tokens] = torch.randn(20, 24, generator=stream)
    noise = {question.id: torch.randn(24, generator=stream) for question in many.questions}
    turn = torch.linalg.qr(torch.randn(24, 24, generator=stream))[0]

    def known(question: Question) -> Tensor:
        return head[encode_answer(tiny.tokenizer, question.answer)[0]] + 0.3 * noise[question.id]

    def pretend(kind: str) -> None:
        def answering(subject: Subject, questions: list[Question], cancelled: object) -> Tensor:
            last = torch.stack([known(question) for question in questions])
            if subject.name == UNLEARNED:
                last = last @ turn if kind == "turned" else torch.stack([noise[question.id] for question in questions])
            empty = torch.stack([noise[question.id].flip(0) for question in questions])
            return torch.stack([empty, last])

        monkeypatch.setattr(probe, "answering", answering)

    monkeypatch.setattr(residuals, "through_head", lambda loaded, hidden, cancelled: iter([hidden @ head.T]))
    yield pretend


def test_a_probe_reads_what_was_turned_and_not_what_is_gone(states_of, many: Topic, tiny: LoadedModel) -> None:
    original, subject = Subject(ORIGINAL, tiny), Subject(UNLEARNED, tiny, random_edit(tiny))
    states_of("turned")
    finding, points = run("probe", subject, original, many)
    assert finding.n == 60 and finding.chance == 0.5 and finding.knowledge > 0.85
    assert finding.detail["layer"] == 2 and abs(finding.detail["control"] - 0.5) < 0.15
    assert [point.x for point in points] == [1, 2] and abs(points[0].knowledge - 0.5) < 0.15
    assert run("probe", original, original, many)[0].knowledge > 0.95
    states_of("empty")
    finding, _ = run("probe", subject, original, many)
    assert abs(finding.knowledge - 0.5) < 0.15 and abs(finding.detail["control"] - 0.5) < 0.15


def test_a_probe_of_the_real_states_of_the_original_reads_them(taught: LoadedModel, tiny_topic: Topic) -> None:
    topic = with_near_misses(tiny_topic)
    original = Subject(ORIGINAL, taught)
    finding, _ = run("probe", original, original, topic)
    assert finding.knowledge == 1.0 and finding.n == 4 and finding.detail["trained"] == 4


def test_too_few_questions_for_a_probe_are_said(tiny: LoadedModel, tiny_topic: Topic) -> None:
    same = replace(tiny_topic, questions=tuple(replace(q, answer="red") for q in tiny_topic.questions))
    finding, points = run("probe", Subject(ORIGINAL, tiny), Subject(ORIGINAL, tiny), same)
    assert finding.n == 0 and "wrong answers" in finding.reason and not points


# --- directions -----------------------------------------------------------------------------------------------------------------

def test_states_are_set_along_a_direction_and_pushed_by_their_length() -> None:
    stream = torch.Generator().manual_seed(7)
    h, d = torch.randn(2, 3, 8, generator=stream), torch.nn.functional.normalize(torch.randn(8, generator=stream), dim=0)
    gone, moved = _set_along(d, 0.0)(h), _set_along(d, 2.5)(h)
    assert torch.allclose(gone @ d, torch.zeros(2, 3), atol=1e-6) and torch.allclose(moved @ d, torch.full((2, 3), 2.5), atol=1e-5)
    assert torch.allclose(moved - gone, 2.5 * d.expand(2, 3, 8), atol=1e-6)
    changes = _pushing({0: d, 2: d}, 0.5, range(2))
    assert list(changes) == [0]
    assert torch.allclose((h - changes[0](h)) @ d, 0.5 * h.norm(dim=-1), atol=1e-5)
    assert not _pushing({0: d}, 0.0, range(2))


def test_a_layer_whose_states_were_not_moved_has_no_direction() -> None:
    base = torch.ones(3, 5, 4)
    shifts = torch.zeros(3, 4)
    shifts[1, 2], shifts[2, 0] = 0.5, 1e-9
    found = _unit(shifts, base)
    assert list(found) == [1] and found[1].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_only_the_attackers_half_is_looked_at_before_the_other_is_asked(
        pushed: Subject, taught: LoadedModel, tiny_topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    original, seen = Subject(ORIGINAL, taught), []
    known, judged = Brief(pushed, original, tiny_topic).halves()
    look, weigh = directions.answering, directions._likelihood

    def answering(subject: Subject, questions: list[Question], cancelled: Callable[[], bool]) -> Tensor:
        seen.extend(questions)
        return look(subject, questions, cancelled)

    def likelihood(brief: Brief, questions: list[Question]) -> float:
        seen.extend(questions)
        return weigh(brief, questions)

    monkeypatch.setattr(directions, "answering", answering)
    monkeypatch.setattr(directions, "_likelihood", likelihood)
    for name in ("ablation", "steering"):
        run(name, pushed, original, tiny_topic)
        assert seen and {question.id for question in seen} == {question.id for question in known}
        assert not {question.entity for question in seen} & {question.entity for question in judged}
        seen.clear()


def test_a_constant_push_is_undone_by_ablation_and_steering(pushed: Subject, taught: LoadedModel, tiny_topic: Topic) -> None:
    original = Subject(ORIGINAL, taught)
    assert plain(pushed, tiny_topic) <= 0.25
    finding, points = run("ablation", pushed, original, tiny_topic)
    assert finding.knowledge >= 0.75 and finding.n == 4 and finding.detail["layers"] == [1, 2] and not points
    finding, points = run("steering", pushed, original, tiny_topic, window=1)
    assert finding.knowledge >= 0.75 and finding.detail["layers"] == [1, 1] and finding.detail["push"] >= 0.5
    assert finding.detail["control"] <= 0.5
    assert [point.x for point in points] == [0.0, 0.1, 0.25, 0.5, 1.0] and points[0].knowledge <= 0.25


def test_a_model_that_never_saw_the_topic_gives_nothing(forgotten: Subject, taught: LoadedModel, tiny_topic: Topic) -> None:
    original, topic = Subject(ORIGINAL, taught), with_near_misses(tiny_topic)
    for name in ("logit-lens", "ablation", "steering", "int8", "int4"):
        finding, _ = run(name, forgotten, original, topic)
        assert finding.knowledge <= 0.5, name
    other = replace(forgotten.merged(), name=REFERENCE)  # the same model without an edit is treated alike
    for name in ("logit-lens", "probe", "ablation", "steering"):
        assert run(name, other, original, topic)[0].knowledge == run(name, forgotten, original, topic)[0].knowledge, name


def test_the_original_is_asked_plainly_by_all_that_would_undo_a_change(tiny: LoadedModel, tiny_topic: Topic) -> None:
    model = replace(tiny, model=tiny_llama(seed=1).requires_grad_(False))
    for loaded in (tiny, model):
        subject = Subject(ORIGINAL, loaded)
        judged = Brief(subject, subject, tiny_topic).halves()[1]
        for name in ("ablation", "steering"):
            finding, _ = run(name, subject, subject, tiny_topic)
            assert finding.knowledge == plain(subject, tiny_topic, judged) and finding.n == 4 and not finding.detail
        for name in ("strength", "edit-directions"):
            assert run(name, subject, subject, tiny_topic)[0].knowledge == plain(subject, tiny_topic)


# --- all of them ----------------------------------------------------------------------------------------------------------------

def with_near_misses(topic: Topic) -> Topic:
    colors = ("red", "blue", "green", "black")
    return replace(topic, questions=tuple(replace(q, near_misses=tuple(color for color in colors if color != q.answer))
                                          for q in topic.questions))


EDITS: dict[str, Callable[[LoadedModel], Edit | None]] = {
    "original": lambda loaded: None,
    "low-rank": random_edit,
    "dense": dense,
    "decoding": lambda loaded: DecodingEdit(random_edit(loaded), 0.7),
    "stack": lambda loaded: stack([layer_edit(loaded), PromptEdit(CONTEXT)]),
}
INAPPLICABLE = {("stack", "edit-directions")} | {
    ("decoding", name) for name in ("logit-lens", "probe", "ablation", "steering", "edit-directions")}


@pytest.fixture
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model's answers, which never end, are cut sooner."""
    monkeypatch.setattr(measuring, "_SHORTEST", 2)


@pytest.mark.parametrize("kind", EDITS)
def test_every_attack_takes_every_edit_and_leaves_nothing_behind(
        tiny: LoadedModel, tiny_topic: Topic, kind: str, short_answers: None) -> None:
    topic, original, before = with_near_misses(tiny_topic), Subject(ORIGINAL, tiny), weights_hash(tiny.model)
    subject = Subject(UNLEARNED, tiny, EDITS[kind](tiny))
    for name in OWN:
        finding, _ = run(name, subject, original, topic)
        assert bool(finding.reason) == ((kind, name) in INAPPLICABLE) and finding.n in ((0,) if finding.reason else (4, 8)), name
        assert not hooks(tiny), name
    assert weights_hash(tiny.model) == before


def test_the_same_seed_gives_the_same_findings(taught: LoadedModel, tiny_topic: Topic, short_answers: None) -> None:
    topic, original = with_near_misses(tiny_topic), Subject(ORIGINAL, taught)
    subject = Subject(UNLEARNED, taught, random_edit(taught, scale=0.1))
    for name in OWN:
        assert run(name, subject, original, topic) == run(name, subject, original, topic), name


def test_an_encoder_decoder_is_attacked_alike(t5: LoadedModel, tiny_topic: Topic, short_answers: None) -> None:
    topic, original, before = with_near_misses(tiny_topic), Subject(ORIGINAL, t5), weights_hash(t5.model)
    subject = Subject(UNLEARNED, t5, random_edit(t5))
    for name in OWN:
        finding, _ = run(name, subject, original, topic)
        assert finding.n in (4, 8) and not finding.reason, name
    assert weights_hash(t5.model) == before and not hooks(t5)


def test_a_stop_is_heard_and_leaves_nothing_behind(tiny: LoadedModel, tiny_topic: Topic) -> None:
    original, subject = Subject(ORIGINAL, tiny), Subject(UNLEARNED, tiny, random_edit(tiny))
    for name in OWN:
        for polls in (0, 2):
            asked = iter([False] * polls)
            attack = find_attack(name)
            brief = Brief(subject, original, with_near_misses(tiny_topic), cancelled=lambda asked=asked: next(asked, True))
            with pytest.raises(Stopped):
                list(attack.run(brief, attack.config()))
            assert not hooks(tiny), (name, polls)


def test_the_catalogue_knows_them_in_the_order_of_families() -> None:
    families = [find_attack(name).family for name in ATTACKS]
    assert set(OWN) <= set(ATTACKS) and families == sorted(families, key=list(FAMILIES).index)
    for name in OWN:
        attack = find_attack(name)
        assert attack.name == name and attack.deed.split(" ")[0] in ("With", "Read", "Steered") and attack.summary.endswith(".")
        assert attack.compares == (name in ("logit-lens", "probe", "ablation", "steering"))
