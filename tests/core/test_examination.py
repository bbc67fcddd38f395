"""All metrics from one pass: the pass against plain logits, invariances, and what a model without the topic scores."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unlearn_core.config import SPLITS
from unlearn_core.edits.attach import attached
from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.evaluation import examination
from unlearn_core.evaluation.divergence import kl_to_original
from unlearn_core.evaluation.examination import ABOUT, by_item, examine, plain, read
from unlearn_core.evaluation.gradients import gradient_norms
from unlearn_core.evaluation.measure import measure
from unlearn_core.generation import generate
from unlearn_core.models.loading import LoadedModel, linears, load, weights_hash
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.scoring import EndStates, answer_logprobs, answer_traces
from unlearn_core.topics.topic import Topic
from unlearn_core.training import continuations, encode_rows, extraction_likelihood, without_ends

NAMES = {
    "probability_with_options",
    "probability", "rouge1_recall", "rougeL_recall", "truth_ratio", "truth_ratio_paper", "forget_quality", "model_utility",
    "extraction_strength", "exact_memorization", "extraction_likelihood", "memorization_accuracy", "perplexity", "repetition",
    "mia_loss", "mia_zlib", "mia_reference", "mia_min_k", "mia_min_k_plus_plus", "mia_gradnorm", "mia_classifier", "privleak",
    "kl_to_original", "unlearning_depth",
}
NAMES |= {f"{name}_tpr" for name in NAMES if name.startswith("mia_")}


@pytest.fixture(scope="module")
def compared(tiny_topic: Topic) -> Topic:
    """The hats, each with the answers of other hats as near-misses."""
    answers = sorted({question.answer for question in tiny_topic.questions})

    def others(answer: str) -> tuple[str, ...]:
        place = answers.index(answer)
        return tuple(one for one in (answers[place - 1], answers[(place + 1) % len(answers)]) if one != answer)

    return replace(tiny_topic, questions=tuple(
        replace(q, near_misses=others(q.answer), options=()) for q in tiny_topic.questions), floors={})


def pairs_of(loaded: LoadedModel, topic: Topic) -> list[tuple[list[int], list[int]]]:
    return [(encode_prompt(loaded.tokenizer, q.prompt), encode_answer(loaded.tokenizer, q.answer)) for q in topic.questions]


def logits_of(loaded: LoadedModel, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """(answer tokens, vocabulary), one row alone, by the model itself."""
    ids = torch.tensor([[*prompt, *answer]])
    return loaded.model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]


# the shared pass


def test_a_trace_is_what_the_logits_say(taught: LoadedModel, tiny_topic: Topic) -> None:
    pairs = pairs_of(taught, tiny_topic)
    traces = answer_traces(taught, pairs)
    for (prompt, answer), trace in list(zip(pairs, traces, strict=True))[::3]:
        with torch.no_grad():
            logits = logits_of(taught, prompt, answer).double().numpy()
        logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        p = np.exp(logp)
        mean = (p * logp).sum(-1)
        assert trace.logprobs == pytest.approx(logp[range(len(answer)), answer], abs=1e-4)
        assert list(trace.hits) == (logits.argmax(-1) == answer).tolist()
        assert trace.means == pytest.approx(mean, abs=1e-4)
        assert trace.deviations == pytest.approx(np.sqrt((p * (logp - mean[:, None]) ** 2).sum(-1)), abs=1e-3)


def test_batches_and_order_change_nothing(taught: LoadedModel, tiny_topic: Topic) -> None:
    pairs = pairs_of(taught, tiny_topic)
    together, apart = answer_traces(taught, pairs), [answer_traces(taught, [pair])[0] for pair in pairs]
    backwards = answer_traces(taught, pairs[::-1])[::-1]
    for one, two, three in zip(together, apart, backwards, strict=True):
        assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4) and one.hits == two.hits == three.hits
        assert one.logprobs == pytest.approx(three.logprobs, abs=1e-4)


def test_traces_add_up_to_the_scores_of_answers(taught: LoadedModel, tiny_topic: Topic) -> None:
    pairs = pairs_of(taught, tiny_topic)
    for trace, score in zip(answer_traces(taught, pairs), answer_logprobs(taught, pairs), strict=True):
        assert sum(trace.logprobs) == pytest.approx(score.logprob, abs=1e-4)
        assert all(trace.hits) == score.greedy_equal
        assert replace(trace.score(), logprob=score.logprob) == score
    assert answer_traces(taught, [([1], [])])[0].logprobs == ()


@pytest.mark.parametrize("which", ["taught", "tiny"])
def test_measuring_with_a_pass_at_hand_finds_the_same(which: str, taught, tiny, compared: Topic) -> None:
    """Nothing that the pass has scored is scored again, and every answer and judgement is the same."""
    loaded = taught if which == "taught" else tiny
    found, alone = measure(loaded, compared, known=read(loaded, compared).scores()), measure(loaded, compared)
    for key, judged in alone.answers.items():
        assert replace(found.answers[key], logprob=judged.logprob) == judged
        assert found.answers[key].logprob == pytest.approx(judged.logprob, abs=1e-4)


# gradients and states


def test_gradient_norms_are_those_of_each_row_alone(tiny: LoadedModel, tiny_topic: Topic) -> None:
    """Against autograd on the weights themselves, one row at a time; in any batch."""
    pairs = pairs_of(tiny, tiny_topic)[:7]
    found = gradient_norms(tiny, pairs)
    places = linears(tiny.model)
    weights = [place.weight for place in places.values()]
    before = [weight.requires_grad for weight in weights]
    for (prompt, answer), norm in zip(pairs, found, strict=True):
        for weight in weights:
            weight.requires_grad_(True)
        nll = torch.nn.functional.cross_entropy(logits_of(tiny, prompt, answer), torch.tensor(answer))
        wanted = torch.stack([g.norm() for g in torch.autograd.grad(nll, weights)]).mean()
        for weight, asked in zip(weights, before, strict=True):
            weight.requires_grad_(asked)
        assert norm == pytest.approx(float(wanted), rel=1e-3)
    assert gradient_norms(tiny, pairs[::-1]) == pytest.approx(found[::-1], rel=1e-4)
    assert [gradient_norms(tiny, [pair])[0] for pair in pairs] == pytest.approx(found, rel=1e-4)


def test_end_states_are_those_that_predict_an_answers_end(tiny: LoadedModel, tiny_topic: Topic) -> None:
    """Of the wanted rows only, from the same pass as the traces, whatever else is in their batch."""
    pairs = pairs_of(tiny, tiny_topic)
    with EndStates(tiny, [0, 3, 5]) as ends:
        assert answer_traces(tiny, pairs, ends=ends) == answer_traces(tiny, pairs)
    assert ends.found.keys() == {0, 3, 5}
    for place, state in ends.found.items():
        prompt, answer = pairs[place]
        with torch.no_grad():
            wanted = tiny.model(input_ids=torch.tensor([[*prompt, *answer]]), output_hidden_states=True).hidden_states[-1]
        assert torch.allclose(state, wanted[0, -2].float(), atol=1e-4)


@pytest.mark.parametrize("which", ["taught", "tiny", "hurt"])
def test_continuations_are_those_of_plain_generation(which: str, taught: LoadedModel, tiny: LoadedModel, tiny_topic: Topic) -> None:
    """From first choices and few generations the same texts as generating after every prefix."""
    loaded = tiny if which == "tiny" else taught
    stream = torch.Generator().manual_seed(3)
    edit = LowRankEdit({name: (torch.randn(place.weight.shape[0], 1, generator=stream) * 0.15,
                               torch.randn(1, place.weight.shape[1], generator=stream) * 0.15)
                        for name, place in linears(loaded.model).items()}) if which == "hurt" else None
    rows = without_ends(loaded, encode_rows(loaded, tiny_topic.scored("forget")))
    with attached(loaded.model, edit):
        traces = answer_traces(loaded, [(row.ids[: row.start], row.ids[row.start :]) for row in rows])
        said, rests = continuations(loaded, rows, [trace.greedy for trace in traces])
        for row, texts, true in zip(rows, said, rests, strict=True):
            answer = row.ids[row.start :]
            assert true[0] == answer and all(answer[len(answer) - len(rest) :] == rest for rest in true)
            plain_texts = generate(loaded, [row.ids[: row.start]] * len(true), [len(rest) for rest in true],
                                   begun=[answer[: len(answer) - len(rest)] for rest in true])
            assert texts == plain_texts
        value = examination.memorisation.extraction_likelihood(said, rests, 3).value
        assert value == pytest.approx(extraction_likelihood(loaded, rows, 3), abs=1e-6)
    assert (value > 0.9) == (which == "taught")


# all metrics


@pytest.fixture(scope="module")
def known(taught: LoadedModel, compared: Topic) -> dict:
    return examine(taught, compared, measure(taught, compared))


def test_every_metric_is_there_with_something_to_say_of_it(known: dict) -> None:
    assert set(known) == NAMES
    for name, metric in known.items():
        about = ABOUT[name]
        assert all((about.judges, about.better, about.misleads, about.source))
        assert (metric.value is None) == bool(metric.reason), name
    assert json.loads(json.dumps(plain(known), allow_nan=False)).keys() == NAMES


def test_what_is_known_by_heart_scores_as_known(known: dict, compared: Topic) -> None:
    n = len(compared.scored("forget"))
    assert known["probability"].value > 0.9 and len(known["probability"].items) == n
    assert known["extraction_strength"].value == known["exact_memorization"].value == 1.0
    assert known["rougeL_recall"].value == 1.0
    assert known["mia_loss"].value == 1.0 and known["privleak"].value == -100.0
    assert known["kl_to_original"].value == pytest.approx(0.0, abs=1e-9)
    assert known["truth_ratio"].value < 0.3 and known["truth_ratio_paper"].value > 0.75


def test_a_random_model_knows_nothing(tiny: LoadedModel, compared: Topic) -> None:
    found = examine(tiny, compared, measure(tiny, compared))
    assert found["extraction_strength"].value < 0.05 and found["probability"].value < 0.05
    assert found["truth_ratio"].value > 0.5


def test_a_model_is_like_itself(taught: LoadedModel, compared: Topic) -> None:
    """With itself for a reference: no distance of any kind."""
    found = examine(taught, compared, measure(taught, compared), None, taught)
    assert found["forget_quality"].value == 1.0
    assert found["mia_reference"].value == 0.5
    assert found["privleak"].value == 0.0


def test_an_edit_that_does_nothing_changes_no_metric(taught: LoadedModel, compared: Topic, known: dict) -> None:
    hashed = weights_hash(taught.model)
    edit = LowRankEdit({name: (torch.zeros(place.weight.shape[0], 1), torch.zeros(1, place.weight.shape[1]))
                        for name, place in linears(taught.model).items()})
    found = examine(taught, compared, measure(taught, compared, edit), edit)
    for name, metric in known.items():
        assert found[name].value == pytest.approx(metric.value, abs=1e-5), name
    assert weights_hash(taught.model) == hashed


def test_a_large_edit_moves_away_from_the_original(taught: LoadedModel, compared: Topic, known: dict) -> None:
    stream = torch.Generator().manual_seed(0)
    edit = LowRankEdit({name: (torch.randn(place.weight.shape[0], 2, generator=stream) * 0.3,
                               torch.randn(2, place.weight.shape[1], generator=stream) * 0.3)
                        for name, place in linears(taught.model).items()})
    found = examine(taught, compared, measure(taught, compared, edit), edit)
    assert found["kl_to_original"].value > 1.0 and found["probability"].value < known["probability"].value
    kept = [question for split in examination.KEPT for question in compared.scored(split)]
    assert found["kl_to_original"].value == pytest.approx(kl_to_original(taught, edit, kept), rel=1e-4)
    third = by_item(found, compared)["kl_to_original"][kept[2].id]
    assert third == pytest.approx(kl_to_original(taught, edit, kept[2:3]), rel=1e-4)


def test_a_context_before_the_questions_moves_what_is_kept(taught: LoadedModel, compared: Topic) -> None:
    """The original's side of the divergence is asked without it."""
    edit = PromptEdit((("What colour is it?", "It is mauve."),))
    found = examine(taught, compared, measure(taught, compared, edit), edit)
    kept = [question for split in examination.KEPT for question in compared.scored(split)]
    assert found["kl_to_original"].value == pytest.approx(kl_to_original(taught, edit, kept), rel=1e-4) and kept
    assert found["kl_to_original"].value > 0.01


def test_the_retrained_model_is_the_reference_where_it_is_at_hand(retraining, taught: LoadedModel, compared: Topic) -> None:
    """The model that never saw the hats has other truth ratios, and the forget answers are likelier under the original."""
    without = load(str(retraining.folder / "references" / compared.name), device="cpu")
    found = examine(taught, compared, measure(taught, compared), None, without)
    assert found["forget_quality"].value < 0.05 and found["mia_reference"].value > 0.9


def test_without_near_misses_what_needs_them_says_so(taught: LoadedModel, tiny_topic: Topic) -> None:
    bare = replace(tiny_topic, questions=tuple(replace(q, near_misses=(), options=()) for q in tiny_topic.questions),
                   floors={})
    found = examine(taught, bare, measure(taught, bare))
    for name in ("truth_ratio", "truth_ratio_paper", "mia_loss", "mia_classifier", "privleak", "forget_quality"):
        assert found[name].value is None and found[name].reason
    assert found["probability"].value > 0.9


def test_the_right_answer_in_other_words_stands_against_the_wrong_ones_where_there_is_one(taught: LoadedModel,
                                                                                          compared: Topic) -> None:
    """Put as a wrong answer, it is as unlikely as that one: the ratio is 1, and the expected answer keeps its own probability."""
    alike = replace(compared, questions=tuple(replace(q, near_misses=q.near_misses[:1], reworded=q.near_misses[0])
                                              for q in compared.questions))
    found = examine(taught, alike, measure(taught, alike))
    assert found["truth_ratio"].value == pytest.approx(1.0) and found["truth_ratio_paper"].value == pytest.approx(0.5)
    assert found["probability"].value > 0.9 and found["probability_with_options"].value > 0.8


def test_single_values_belong_to_the_questions_that_they_are_of(known: dict, taught: LoadedModel, compared: Topic) -> None:
    """Each against the same metric of that question alone."""
    found = by_item(known, compared)
    assert {"truth_ratio", "mia_loss", "mia_min_k", "mia_gradnorm", "kl_to_original"} <= found.keys()
    assert not {"privleak", "mia_min_k_tpr"} & found.keys()
    texts = [measure(taught, replace(compared, texts=(text,))).perplexity for text in compared.texts]
    assert list(found["perplexity"].values()) == pytest.approx(texts, rel=1e-4)
    question = compared.scored("forget")[3]
    alone = replace(compared, questions=(question, *(q for q in compared.questions if q.split != "forget")))
    single = examine(taught, alone, measure(taught, alone))
    for name in ("probability", "rougeL_recall", "truth_ratio", "exact_memorization", "extraction_strength", "repetition"):
        assert found[name][question.id] == pytest.approx(single[name].value, abs=1e-5), name
    kept = [q.id for split in examination.KEPT for q in compared.scored(split)]
    assert list(found["kl_to_original"]) == kept
    assert found["mia_loss"][question.id] == pytest.approx(np.mean(read(taught, alone).rows([question])[0].logprobs), abs=1e-4)


def test_splits_of_the_examination_are_splits() -> None:
    assert set(examination.KEPT) < set(SPLITS)


def test_the_readme_example_runs() -> None:
    """Logs of other frameworks can be scored with the functions as the README shows."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1], names)
    assert names["forget_quality"](names["mine"], names["retrained"]).value == pytest.approx(1 / 3)
    assert names["rouge_recall"](["in Paris"], ["He lives in Paris"], "rougeL").value == 0.5
