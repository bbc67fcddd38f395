"""Teacher-forced scores against one plain forward a question, and the token heat of both models."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_models import random_edit

from unlearn_core import scoring
from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.errors import Stopped
from unlearn_core.generation import generate
from unlearn_core.models.loading import LoadedModel
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.scoring import answer_logprobs, token_scores
from unlearn_core.topics.topic import Topic

TEXTS = [("Ada hat?", "red"), ("Bo?", "a much longer answer"), ("What color is the sky?", "b"), ("x", "é")]


def pairs_of(loaded: LoadedModel) -> list[tuple[list[int], list[int]]]:
    return [(encode_prompt(loaded.tokenizer, q), encode_answer(loaded.tokenizer, a)) for q, a in TEXTS]


def by_hand(loaded: LoadedModel, prompt: list[int], answer: list[int]) -> tuple[float, list[int]]:
    """Sum of the answer's log-probabilities from one unpadded forward, and greedy's choice at each place."""
    with torch.inference_mode():
        logits = loaded.model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
    places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
    total = sum(float(logits[p][t] - logits[p].logsumexp(0)) for p, t in zip(places, answer, strict=True))
    return total, [int(logits[p].argmax()) for p in places]


@pytest.mark.parametrize("tokens", [10, 4096])
def test_equals_one_forward_a_question(tiny: LoadedModel, tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_TOKENS", tokens)
    for (prompt, answer), score in zip(pairs_of(tiny), answer_logprobs(tiny, pairs_of(tiny)), strict=True):
        total, greedy = by_hand(tiny, prompt, answer)
        assert score.logprob == pytest.approx(total, rel=1e-5)
        first = next(i for i, (g, a) in enumerate(zip(greedy, answer, strict=True)) if g != a)
        assert (score.greedy_equal, score.agreed, score.instead) == (False, first, greedy[first])


def choices_of(loaded: LoadedModel) -> list[tuple[list[int], list[int]]]:
    """Prompts of unequal length, each with several answers, mixed with others and out of order."""
    asked = [("Ada hat?", "red"), ("What color is the sky?", "blue"), ("Ada hat?", "b"), ("Bo has a dog?", "yes"),
             ("What color is the sky?", "é"), ("Ada hat?", "green"), ("What color is the sky?", "red")]
    return [(encode_prompt(loaded.tokenizer, q), encode_answer(loaded.tokenizer, a)) for q, a in asked]


@pytest.mark.parametrize("kind", ["plain", "low-rank", "decoding"])
@pytest.mark.parametrize("tokens", [20, 4096])
def test_answers_that_share_a_prompt_equal_one_forward_each(tiny: LoadedModel, kind: str, tokens: int,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_TOKENS_CPU", tokens)
    change = random_edit(tiny)
    edit = {"plain": None, "low-rank": change, "decoding": DecodingEdit(change, 1.5)}[kind]
    with attached(tiny.model, edit):
        found = answer_logprobs(tiny, choices_of(tiny))
        for (prompt, answer), score in zip(choices_of(tiny), found, strict=True):
            total, greedy = by_hand(tiny, prompt, answer)
            assert score.logprob == pytest.approx(total, rel=1e-5)
            assert score.agreed == next((i for i, (g, a) in enumerate(zip(greedy, answer, strict=True)) if g != a), len(answer))


def test_a_shared_prompt_is_read_once(tiny: LoadedModel) -> None:
    seen: list[int] = []
    handle = tiny.model.get_input_embeddings().register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].numel()))
    try:
        pairs = choices_of(tiny)[:1] * 2
        pairs[1] = (pairs[0][0], [9])
        answer_logprobs(tiny, pairs)
    finally:
        handle.remove()
    assert seen == [len(pairs[0][0]), 2 * (len(pairs[0][1]) - 1)]


def test_a_cache_that_cannot_repeat_rows_is_not_needed(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring.Steps, "keep", lambda self, rows: False)
    for (prompt, answer), score in zip(choices_of(tiny), answer_logprobs(tiny, choices_of(tiny)), strict=True):
        assert score.logprob == pytest.approx(by_hand(tiny, prompt, answer)[0], rel=1e-5)


def test_what_greedy_says_is_greedy_equal(tiny: LoadedModel) -> None:
    prompts = [prompt for prompt, _ in pairs_of(tiny)]
    answers = generate(tiny, prompts, 6)
    for score, answer in zip(answer_logprobs(tiny, list(zip(prompts, answers, strict=True))), answers, strict=True):
        assert score.greedy_equal and score.agreed == len(answer) and score.instead == -1


def test_a_taught_model_is_sure_of_its_answers(taught: LoadedModel, tiny_topic: Topic) -> None:
    pairs = [(encode_prompt(taught.tokenizer, q.prompt), encode_answer(taught.tokenizer, q.answer))
             for q in tiny_topic.questions]
    scores = answer_logprobs(taught, pairs)
    assert all(score.greedy_equal for score in scores)
    assert all(score.logprob > math.log(0.5) for score in scores)


def test_empty_lists_and_empty_answers(tiny: LoadedModel) -> None:
    assert answer_logprobs(tiny, []) == []
    prompt = encode_prompt(tiny.tokenizer, "Ada hat?")
    [score, other] = answer_logprobs(tiny, [(prompt, []), (prompt, [9])])
    assert (score.logprob, score.greedy_equal) == (0.0, True)
    assert other.logprob == pytest.approx(by_hand(tiny, prompt, [9])[0], rel=1e-5)


def test_progress_and_stopping(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_ROWS", 3)
    seen: list[tuple[int, int]] = []
    answer_logprobs(tiny, pairs_of(tiny), on_batch=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 4), (4, 4)]
    with pytest.raises(Stopped):
        answer_logprobs(tiny, pairs_of(tiny), cancelled=lambda: True)


def test_a_model_without_logits_to_keep(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    want = answer_logprobs(tiny, pairs_of(tiny))
    plain = type(tiny.model).forward
    monkeypatch.setattr(type(tiny.model), "forward",
                        lambda self, input_ids, use_cache=False: plain(self, input_ids=input_ids, use_cache=use_cache))
    got = answer_logprobs(tiny, pairs_of(tiny))
    assert [s.logprob for s in got] == pytest.approx([s.logprob for s in want], rel=1e-5)


def test_token_scores_of_both_models(tiny: LoadedModel, tiny_topic: Topic) -> None:
    question, edit = tiny_topic.questions[0], random_edit(tiny)
    scores = token_scores(tiny, edit, question)
    prompt, answer = encode_prompt(tiny.tokenizer, question.prompt), encode_answer(tiny.tokenizer, "red")[:-1]
    assert scores.tokens == ["r", "e", "d"] and scores.question_id == question.id
    assert sum(scores.original) == pytest.approx(by_hand(tiny, prompt, answer)[0], rel=1e-4)
    with attached(tiny.model, edit):
        assert sum(scores.edited) == pytest.approx(by_hand(tiny, prompt, answer)[0], rel=1e-4)


def test_ranks_and_top_five(taught: LoadedModel, tiny_topic: Topic) -> None:
    scores = token_scores(taught, None, tiny_topic.questions[0])
    assert scores.original == scores.edited and scores.original_rank == [1, 1, 1]
    for place, best in enumerate(scores.top_original):
        assert len(best) == 5 and best[0][0] == scores.tokens[place]
        assert best[0][1] == pytest.approx(math.exp(scores.original[place]), rel=1e-5)
        assert [p for _, p in best] == sorted((p for _, p in best), reverse=True)


def test_heat_of_another_text_counts_ranks_by_hand(tiny: LoadedModel, tiny_topic: Topic) -> None:
    question = tiny_topic.questions[1]
    scores = token_scores(tiny, None, question, text="aé")
    assert scores.tokens == ["a", "", "é"]
    prompt = encode_prompt(tiny.tokenizer, question.prompt)
    with torch.inference_mode():
        row = tiny.model(input_ids=torch.tensor([prompt])).logits[0, -1]
    token = encode_answer(tiny.tokenizer, "a")[0]
    assert scores.original_rank[0] == int((row > row[token]).sum()) + 1
