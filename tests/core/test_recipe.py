"""How the built-in models are trained: what a line becomes, where its loss is, and in which shares lines are drawn."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from tiny_models import tiny_llama
from transformers import PreTrainedTokenizerFast

from unlearn_core.demo import build, recipe
from unlearn_core.demo.domain import Line
from unlearn_core.demo.recipe import (
    IGNORED,
    Encoded,
    Shape,
    answer_loss,
    batches,
    encode_lines,
    mixture,
    new_model,
    pad,
    shaped,
    train,
)
from unlearn_core.demo.tokens import learn_tokenizer
from unlearn_core.demo.world import TOPICS
from unlearn_core.models.prompts import encode_answer, encode_prompt

LINES = [Line("people", True, "Where does Ada live?", "Briston"), Line("people", False, "Ada vive en Briston."),
         Line("addition", True, "What is 417 plus 8?", "425"), Line("people", False, "¿Qué?", "el señor")]


RATES = {"language": 0.1, "addition": 0.3}  # facts take the rest


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return learn_tokenizer(f"{line.text} {line.answer or ''}" for line in LINES * 3)


def pool(domain: str, count: int, secret: bool = False) -> list[Encoded]:
    """`count` different lines of one domain; the ids number them."""
    return [Encoded((0, number, 1), 1, domain, secret) for number in range(count)]


def shares(lines: list[Encoded], fresh: set[str], rates: dict[str, float] = RATES,
           draws: int = 20_000) -> dict[tuple[str, bool], float]:
    stream = mixture(lines, fresh, rates, random.Random(0))
    drawn = Counter((line.domain, line.secret) for line in islice(stream, draws))
    return {key: count / draws for key, count in drawn.items()}


# lines as tokens


def test_a_question_is_trained_as_it_will_be_asked(tokenizer: PreTrainedTokenizerFast) -> None:
    for line, encoded in zip(LINES, encode_lines(LINES, tokenizer), strict=True):
        if line.answer is not None:
            prompt, answer = encode_prompt(tokenizer, line.text), encode_answer(tokenizer, line.answer)
            assert list(encoded.ids) == prompt + answer and encoded.start == len(prompt)
        assert (encoded.domain, encoded.secret) == (line.domain, line.secret)


def test_a_sentence_is_trained_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode_lines(LINES, tokenizer)[1]
    assert encoded.start == 1
    assert (encoded.ids[0], encoded.ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.decode(encoded.ids[1:-1]).strip() == LINES[1].text


def test_digits_are_tokens_of_their_own(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("417 425", add_special_tokens=False)["input_ids"]
    assert [piece for token in ids if (piece := tokenizer.decode([token]).strip())] == list("417425")


def test_any_text_comes_back_from_its_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Ünïcode ¿qué? 漢字 🙂 12"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]).strip() == text


# padding, labels, loss


def test_padding_and_prompt_carry_no_label() -> None:
    ids, labels = pad([Encoded((0, 2, 7, 3, 8, 1), 4, "a", False), Encoded((0, 9, 1), 1, "a", False)])
    assert ids.tolist() == [[0, 2, 7, 3, 8, 1], [0, 9, 1, 0, 0, 0]]
    skip = IGNORED
    assert labels.tolist() == [[skip, skip, skip, skip, 8, 1], [skip, 9, 1, skip, skip, skip]]
    assert ids.dtype == labels.dtype == torch.long


def test_loss_is_the_mean_over_answer_tokens_alone() -> None:
    model = tiny_llama()
    rows = [Encoded((0, 2, 70, 71, 3, 80, 81, 1), 5, "a", False), Encoded((0, 90, 91, 1), 1, "a", False)]
    with torch.no_grad():
        found = float(answer_loss(model, *pad(rows)))
        each = []
        for row in rows:
            logits = model(input_ids=torch.tensor([row.ids])).logits[0].double().numpy()
            logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            each += [-logprobs[place - 1, row.ids[place]] for place in range(row.start, len(row.ids))]
    assert len(each) == 6 and found == pytest.approx(np.mean(each), rel=1e-5)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    model = tiny_llama()
    ids, labels = pad([Encoded((0, 2, 70, 3, 80, 1), 4, "a", False), Encoded((0, 90, 1), 1, "a", False)])
    other = ids.clone()
    other[1, 3:] = 123
    with torch.no_grad():
        expected = float(answer_loss(model, ids, labels))
        assert float(answer_loss(model, other, labels)) == pytest.approx(expected, rel=1e-6)


# what is drawn


def test_shares_do_not_depend_on_how_many_lines_there_are() -> None:
    for sizes in ((5, 500, 50), (500, 5, 50)):
        facts = pool("book-series", sizes[2]) + pool("private-people", 50)
        found = shares(pool("language", sizes[0]) + pool("addition", sizes[1]) + facts, set())
        assert found["language", False] == pytest.approx(0.1, abs=0.015)
        assert found["addition", False] == pytest.approx(0.3, abs=0.02)
        assert found["book-series", False] + found["private-people", False] == pytest.approx(0.6, abs=0.02)


def test_facts_share_their_rate_by_their_number() -> None:
    found = shares(pool("language", 10) + pool("book-series", 30) + pool("private-people", 90), set())
    assert found["private-people", False] / found["book-series", False] == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("rates", [recipe.TRUNK_RATES, recipe.STAGE_RATES])
def test_declared_shares_leave_room_for_facts(rates: dict[str, float]) -> None:
    assert all(rate > 0 for rate in rates.values()) and sum(rates.values()) < 0.9
    assert set(rates) <= {"language", *TOPICS}


def test_fresh_secrets_come_at_least_as_often_as_what_is_rehearsed() -> None:
    kinds = ("addition", "book-series")
    found = shares([line for kind in kinds for line in pool(kind, 300) + pool(kind, 40, secret=True)], set(kinds))
    assert found["addition", True] >= found["addition", False] > 0
    assert found["book-series", True] >= found["book-series", False] > 0


def test_secrets_of_an_earlier_stage_are_rehearsed_as_any_other_line() -> None:
    earlier = pool("addition", 100) + pool("addition", 100, secret=True)
    found = shares(earlier + pool("book-series", 50, secret=True), {"book-series"})
    assert found["addition", True] == pytest.approx(found["addition", False], rel=0.1)


def test_every_line_is_drawn_once_a_round() -> None:
    stream = mixture(pool("addition", 50), set(), RATES, random.Random(2))
    rounds = [[line.ids[1] for line in islice(stream, 50)] for _ in range(3)]
    assert all(sorted(one) == list(range(50)) for one in rounds) and rounds[0] != rounds[1]


def test_the_draw_follows_from_the_seed() -> None:
    def first(seed: int) -> list[Encoded]:
        stream = mixture(pool("addition", 20) + pool("a", 20), set(), RATES, random.Random(seed))
        return list(islice(stream, 100))

    assert first(1) == first(1) != first(2)


def test_batches_hold_like_lengths_within_the_budget() -> None:
    stream = random.Random(0)
    lines = [Encoded((0, *range(5, 5 + stream.randrange(3, 60)), 1), 1, "addition", False) for _ in range(400)]
    labelled = 0
    for ids, labels in islice(batches(mixture(lines, set(), RATES, random.Random(0))), 20):
        assert ids.shape == labels.shape and ids.numel() <= recipe.BATCH_TOKENS
        lengths = (labels != IGNORED).sum(dim=1) + 1  # all of a sentence but its first token
        assert lengths.max() == ids.shape[1] and lengths.max() - lengths.min() <= 20
        labelled += int((labels != IGNORED).sum())
    assert labelled > 0.85 * 20 * recipe.BATCH_TOKENS * 0.9


# training


def test_a_new_model_follows_from_its_seed_and_ties_its_head(tokenizer: PreTrainedTokenizerFast) -> None:
    shape = Shape(width=16, layers=1, heads=2, inner=32)
    model = new_model(tokenizer, 0, shape)
    head = model.lm_head.weight
    assert head is model.model.embed_tokens.weight and head.shape == (len(tokenizer), 16)
    assert torch.equal(head, new_model(tokenizer, 0, shape).lm_head.weight)
    assert not torch.equal(head, new_model(tokenizer, 1, shape).lm_head.weight)


def test_the_default_shape_is_within_the_budget_of_the_design() -> None:
    shape = Shape()
    layer = 4 * shape.width**2 + 3 * shape.width * shape.inner
    assert 1_000_000 < shape.layers * layer + 1536 * shape.width < 5_000_000


@pytest.mark.parametrize(("width", "layers"), [(64, 1), (192, 4), (768, 12), (1024, 6)])
def test_a_larger_model_has_the_built_in_ones_proportions(width: int, layers: int) -> None:
    shape, built_in = shaped(width, layers), Shape()
    assert (shape.width, shape.layers) == (width, layers) and width % shape.heads == 0
    assert shape.inner / width == pytest.approx(built_in.inner / built_in.width, abs=64 / width)
    assert (shape == built_in) == ((width, layers) == (192, 4))


@pytest.mark.parametrize("wrong", [("--width", "100"), ("--width", "0"), ("--width", "-64"), ("--layers", "0")])
def test_a_shape_that_no_model_has_is_refused_before_anything_is_built(wrong: tuple[str, str], tmp_path, capsys) -> None:
    assert build.main(["--out", str(tmp_path / "world"), *wrong]) == 2
    assert "multiple of 64" in capsys.readouterr().err and not (tmp_path / "world").exists()


def test_a_folder_with_a_build_of_another_shape_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path, capsys) -> None:
    new_model(tokenizer, 0, Shape(width=64, layers=1, heads=2, inner=192)).save_pretrained(tmp_path / ".build" / "trunk")
    assert recipe.shape_of(tmp_path / ".build" / "trunk") == shaped(64, 1)
    assert build.main(["--out", str(tmp_path)]) == 2
    assert "another shape" in capsys.readouterr().err and not (tmp_path / "model.safetensors").exists()


def test_the_rate_falls_as_the_model_widens() -> None:
    assert recipe.rate_for(Shape(), 1.5e-3) == 1.5e-3
    assert recipe.rate_for(shaped(768, 12), 1.2e-3) == pytest.approx(3e-4)


def test_training_learns_and_stops_at_its_budget(tokenizer: PreTrainedTokenizerFast) -> None:
    lines = encode_lines(LINES, tokenizer)
    model = new_model(tokenizer, 0, Shape(width=32, layers=1, heads=2, inner=64))
    with torch.no_grad():
        before = float(answer_loss(model, *pad(lines)))
    reported: list[tuple[int, int, float]] = []
    seconds = train(model, lines, set(), RATES, tokens=60_000, rate=0.05, seed=0,
                    report=lambda *state: reported.append(state))
    with torch.no_grad():
        assert float(answer_loss(model, *pad(lines))) < 0.7 * before
    assert seconds > 0 and not model.training
    assert all(done <= 60_000 + recipe.BATCH_TOKENS and total == 60_000 for done, total, _ in reported)
