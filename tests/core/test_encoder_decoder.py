"""The engine on an encoder-decoder: prompts are read by the encoder, answers written by the decoder, all else is the same."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_models import random_edit
from tiny_t5 import START, load_t5, save_t5
from transformers import T5Config, T5ForConditionalGeneration

from unlearn_core import methods
from unlearn_core.activations import second_moments
from unlearn_core.config import RunConfig
from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.edit import Edit
from unlearn_core.errors import BadInput
from unlearn_core.evaluation.measure import measure, perplexity
from unlearn_core.generation import generate, stream_pair
from unlearn_core.methods.base import Context
from unlearn_core.models.loading import LoadedModel, linears, matrix_place, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt, masked_words
from unlearn_core.objectives import row_nll
from unlearn_core.preflight import problems
from unlearn_core.scoring import answer_logprobs, token_scores
from unlearn_core.topics.topic import Topic
from unlearn_core.training import Row, answer_nlls, encode_rows, extraction_likelihood, given_rows, hidden_states, score

PROMPTS = ("Ada hat?", "Who has a long question here?", "Bo")
ANSWERS = ("red", "a rather long blue", "x")
REST_ON_OTHERS = {"retrain", "sisa"}  # rest on a model that never saw the topic, or on a recipe: tests of their own


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_t5(save_t5(tmp_path_factory.mktemp("t5") / "random"))


@pytest.fixture(scope="module")
def taught_t5(tmp_path_factory: pytest.TempPathFactory, tiny_topic: Topic) -> LoadedModel:
    return load_t5(save_t5(tmp_path_factory.mktemp("t5") / "taught", tiny_topic))


def rows_of(loaded: LoadedModel) -> list[Row]:
    rows = []
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        asked = encode_prompt(loaded.tokenizer, prompt)
        rows.append(Row((*asked, *encode_answer(loaded.tokenizer, answer)), len(asked)))
    return rows


def by_transformers(loaded: LoadedModel, row: Row) -> float:
    """The answer's summed loss as the library computes it."""
    labels = torch.tensor([row.ids[row.start :]])
    return float(loaded.model(input_ids=torch.tensor([row.ids[: row.start]]), labels=labels).loss) * labels.shape[1]


def test_where_a_rows_start_is_changes_no_moment_of_what_is_read_apart(t5: LoadedModel) -> None:
    rows = rows_of(t5)
    plain, told = second_moments(t5, rows), second_moments(t5, rows, starts=[row.start - 1 for row in rows])
    assert all(torch.equal(plain[name], told[name]) for name in plain)


def test_it_says_what_it_is(t5: LoadedModel) -> None:
    assert t5.reads_apart and t5.layers == 2
    assert encode_prompt(t5.tokenizer, "Is it?")[-1] == t5.tokenizer.eos_token_id
    assert t5.tokenizer.decode(encode_prompt(t5.tokenizer, "Is it?"), skip_special_tokens=True) == "Is it?"


def test_scores_equal_the_librarys_loss_and_padding_changes_nothing(t5: LoadedModel) -> None:
    rows = rows_of(t5)
    with torch.no_grad():
        wanted = torch.tensor([by_transformers(t5, row) for row in rows])
        together = score(t5, rows)
        found = row_nll(together.logits, together.labels, together.rows, together.count)
    assert torch.allclose(found, wanted, atol=1e-4)
    pairs = [(row.ids[: row.start], row.ids[row.start :]) for row in rows]
    assert torch.allclose(torch.tensor([-s.logprob for s in answer_logprobs(t5, pairs)]), wanted, atol=1e-4)


def test_an_empty_answer_scores_nothing(t5: LoadedModel) -> None:
    row = rows_of(t5)[0]
    found = answer_logprobs(t5, [(row.ids[: row.start], ()), (row.ids[: row.start], row.ids[row.start :])])
    assert found[0].logprob == 0.0 and found[1].logprob < 0


def test_greedy_answers_are_those_of_the_library(t5: LoadedModel) -> None:
    prompts = [encode_prompt(t5.tokenizer, prompt) for prompt in PROMPTS]
    found = generate(t5, prompts, 8)
    for prompt, ids in zip(prompts, found, strict=True):
        wanted = t5.model.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0, 1:].tolist()
        assert ids == wanted[: len(ids)]
        assert len(ids) == 8 or wanted[len(ids)] == t5.tokenizer.eos_token_id or "\n" in t5.tokenizer.decode(ids)


def test_an_answer_that_has_begun_goes_on_as_it_would(t5: LoadedModel) -> None:
    prompts = [encode_prompt(t5.tokenizer, prompt) for prompt in PROMPTS]
    whole = generate(t5, prompts, 8)
    begun = [ids[:place] for place, ids in enumerate(whole)]
    rest = generate(t5, prompts, [8 - len(start) for start in begun], begun=begun)
    assert [a + b for a, b in zip(begun, rest, strict=True)] == whole


def test_both_answers_come_from_one_batch(taught_t5: LoadedModel) -> None:
    edit, prompt = random_edit(taught_t5, scale=0.5), [encode_prompt(taught_t5.tokenizer, "Ada hat?")]

    def said() -> str:
        return taught_t5.tokenizer.decode(generate(taught_t5, prompt, 6)[0], skip_special_tokens=True).strip()

    last = list(stream_pair(taught_t5, edit, "Ada hat?", max_tokens=6))[-1]
    assert last.original == said() and last.original.isalpha()
    with attached(taught_t5.model, edit):
        assert last.edited == said() != last.original


def test_without_the_edit_it_is_the_original_bit_for_bit(t5: LoadedModel) -> None:
    rows, before = rows_of(t5), weights_hash(t5.model)
    with torch.no_grad():
        original = score(t5, rows).logits
        with attached(t5.model, random_edit(t5)):
            assert not torch.equal(score(t5, rows).logits, original)
        with attached(t5.model, random_edit(t5), 0.0):
            assert torch.equal(score(t5, rows).logits, original)
        assert torch.equal(score(t5, rows).logits, original)
    assert weights_hash(t5.model) == before


def test_token_scores_of_both_models(t5: LoadedModel, tiny_topic: Topic) -> None:
    question = tiny_topic.questions[0]
    found = token_scores(t5, random_edit(t5), question)
    row = encode_rows(t5, [question])[0]
    ids = row.ids[row.start : -1]
    with torch.no_grad():
        read, written = torch.tensor([row.ids[: row.start]]), torch.tensor([[START, *ids[:-1]]])
        logits = t5.model(input_ids=read, decoder_input_ids=written).logits
    wanted = logits.log_softmax(-1)[0].gather(1, torch.tensor(ids)[:, None])[:, 0]
    assert torch.allclose(torch.tensor(found.original), wanted, atol=1e-4)
    assert found.original != found.edited


def test_moments_count_each_side_by_itself(t5: LoadedModel) -> None:
    rows = rows_of(t5)
    seen: dict[str, list[torch.Tensor]] = {}
    handles = [
        place.register_forward_pre_hook(lambda module, inputs, name=name: seen.setdefault(name, []).append(inputs[0][0]))
        for name, place in linears(t5.model).items()
    ]
    with torch.no_grad():
        for row in rows:  # one by one: no padding
            answer = [START, *row.ids[row.start : -1]]
            t5.model(input_ids=torch.tensor([row.ids[: row.start]]), decoder_input_ids=torch.tensor([answer]))
    for handle in handles:
        handle.remove()
    found = second_moments(t5, rows)
    assert found.keys() == seen.keys()
    for name, parts in seen.items():
        x = torch.cat(parts)
        assert torch.allclose(found[name], x.T @ x / len(x), atol=1e-3, rtol=1e-3), name


def test_places_name_the_stack(t5: LoadedModel) -> None:
    places = [matrix_place(name) for name in linears(t5.model)]
    assert len(set(places)) == len(places)
    assert matrix_place("decoder.block.1.layer.1.EncDecAttention.k") == (1, "decoder.EncDecAttention.k")
    assert matrix_place("model.layers.2.mlp.up_proj") == (2, "mlp.up_proj")


def test_running_text_is_hidden_words(t5: LoadedModel) -> None:
    hidden = masked_words(t5.tokenizer, "one two three four five six seven eight")
    assert [t5.tokenizer.decode(word, skip_special_tokens=True) for _, word in hidden] == ["four", "eight"]
    assert "three <extra_id_0> five" in t5.tokenizer.decode(hidden[0][0])
    losses = [-answer_logprobs(t5, [pair])[0].logprob for pair in hidden]
    wanted = math.exp(sum(losses) / sum(len(word) for _, word in hidden))
    assert perplexity(t5, ["one two three four five six seven eight"]) == pytest.approx(wanted, rel=1e-4)


def test_what_was_taught_is_measured(taught_t5: LoadedModel, tiny_topic: Topic) -> None:
    found = measure(taught_t5, tiny_topic)
    assert found.split("forget").accuracy >= 0.9 and found.split("general").accuracy >= 0.8
    forget, _ = given_rows(Context(taught_t5, tiny_topic.given(), 0))
    assert extraction_likelihood(taught_t5, forget, 3) > 0.9


@pytest.mark.parametrize("name", [name for name in methods.METHODS if name not in REST_ON_OTHERS | {"slow-noise"}])
def test_every_fit_method_runs(name: str, taught_t5: LoadedModel, tiny_topic: Topic) -> None:
    method = methods.find_method(name)
    settings = {key: 2 for key in ("steps", "epochs", "reinforce") if key in method.config.model_fields}
    before, edit = weights_hash(taught_t5.model), None
    for item in method.fit(Context(taught_t5, tiny_topic.given(), 0), method.config(**settings)):
        edit = item if isinstance(item, Edit) else edit
    assert edit is not None
    edit.check(taught_t5.model)
    measure(taught_t5, tiny_topic, edit)
    assert weights_hash(taught_t5.model) == before


def test_two_models_are_combined_at_every_token(t5: LoadedModel) -> None:
    """A rule at decoding against both models asked apart: teacher-forced, from a cache token by token, and beside the original."""
    rows, reinforced = rows_of(t5), random_edit(t5, scale=0.4)
    rule = DecodingEdit(reinforced, -3.0)  # negative, so that answers do change
    plain = score(t5, rows).logits
    with attached(t5.model, reinforced):
        strong = score(t5, rows).logits
    wanted = plain + 3.0 * (strong - plain).clamp_min(0)
    with attached(t5.model, rule):
        found = score(t5, rows).logits
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-2) and not torch.allclose(found, plain, atol=0.1)

    prompts = [row.ids[: row.start] for row in rows]
    with attached(t5.model, rule):
        answers = generate(t5, prompts, 6)
    for prompt, answer in zip(prompts, answers, strict=True):
        for length, token in enumerate(answer):
            row = [Row((*prompt, *answer[: length + 1]), len(prompt))]
            with attached(t5.model, rule):
                assert int(score(t5, row).logits[-1].argmax()) == token
    before = generate(t5, prompts, 6)
    place = next(place for place in range(len(rows)) if before[place] != answers[place])
    pair = list(stream_pair(t5, rule, PROMPTS[place], max_tokens=6))[-1]
    said = [t5.tokenizer.decode(ids[place], skip_special_tokens=True).strip() for ids in (before, answers)]
    assert [pair.original, pair.edited] == said


def test_the_states_that_are_steered_are_the_decoders(t5: LoadedModel) -> None:
    rows = rows_of(t5)
    states, owners = hidden_states(t5, rows, 0)
    assert owners.tolist() == [place for place, row in enumerate(rows) for _ in row.ids[row.start :]]
    for place, row in enumerate(rows):
        alone = t5.model(input_ids=torch.tensor([row.ids[: row.start]]), labels=torch.tensor([row.ids[row.start :]]),
                         output_hidden_states=True).decoder_hidden_states[1][0]
        assert torch.allclose(states[owners == place], alone, atol=1e-4)


@pytest.mark.parametrize("depth", [0.3, 0.5, 1.0])
def test_a_decoder_shallower_than_its_encoder_is_steered_too(depth: float, t5: LoadedModel, tiny_topic: Topic) -> None:
    config = T5Config(**(t5.model.config.to_dict() | {"num_layers": 4, "num_decoder_layers": 1}))
    torch.manual_seed(0)
    uneven = replace(t5, model=T5ForConditionalGeneration(config).eval().requires_grad_(False))
    assert (uneven.layers, uneven.writing_layers) == (4, 1)
    method, context = methods.find_method("rmu"), Context(uneven, tiny_topic.given(), 0)
    found = [item for item in method.fit(context, method.config(steps=2, depth=depth)) if isinstance(item, Edit)][-1]
    assert any(left.any() for left, _ in found.factors.values())


@pytest.mark.parametrize(("name", "settings"), [("eul", {"epochs": 60}), ("gradient-difference", {}), ("npo", {}), ("unlearn", {})])
def test_forgetting_takes_more_from_the_topic(
    name: str, settings: dict, taught_t5: LoadedModel, tiny_topic: Topic
) -> None:
    """An epoch of eight questions is one step: EUL gets as many steps as the others have."""
    method, given = methods.find_method(name), tiny_topic.given()
    found = method.fit(Context(taught_t5, given, 0), method.config(**settings))
    edit = [item for item in found if isinstance(item, Edit)][-1]
    forget, kept = encode_rows(taught_t5, given.forget), encode_rows(taught_t5, given.neighbor + given.retain)
    before = [float(answer_nlls(taught_t5, rows).mean()) for rows in (forget, kept)]
    with attached(taught_t5.model, edit):
        after = [float(answer_nlls(taught_t5, rows).mean()) for rows in (forget, kept)]
    assert after[0] - before[0] > 2 * (after[1] - before[1]) and after[0] - before[0] > 0.5


def test_what_does_not_fit_is_refused_before_it_starts(
    t5: LoadedModel, tiny_topic: Topic, store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit = replace(methods.find_method("npo"), causal_only="It reads one text.")
    monkeypatch.setattr(methods, "find_method", lambda name: unfit if name == "npo" else replace(unfit, causal_only=""))
    config = RunConfig(model=t5.name, topic="tiny-hats", method="npo")
    found = problems(config, store)["method"]
    assert isinstance(found, BadInput) and "encoder-decoder" in str(found) and "It reads one text." in str(found)
    assert "method" not in problems(replace_method(config, "idk"), store)


def replace_method(config: RunConfig, name: str) -> RunConfig:
    return config.model_copy(update={"method": name})
