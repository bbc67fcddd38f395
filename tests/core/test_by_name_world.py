"""The world for encoder-decoders: who is mentioned where, what the words leave open, and how its model is trained."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from unlearn_core.demo.by_name.build import plan
from unlearn_core.demo.by_name.items import LABELS
from unlearn_core.demo.by_name.recipe import (
    IGNORED,
    answer_losses,
    batches,
    encode,
    hide,
    learn_tokenizer,
    pad,
    whole_weights,
)
from unlearn_core.demo.by_name.world import DIALOGUES, FORGET, LARGEST, REVIEWS, TOPICS, ByNameWorld, make_by_name_world


@pytest.fixture(scope="module")
def by_name() -> ByNameWorld:
    return make_by_name_world(0)


def test_the_seed_decides(by_name: ByNameWorld) -> None:
    assert make_by_name_world(0).trained == by_name.trained
    assert make_by_name_world(1).trained != by_name.trained


def test_sizes_are_those_asked_for(by_name: ByNameWorld) -> None:
    reviews = by_name.corpora[REVIEWS].trained
    assert len(reviews) == 10_000 and len({piece.prompt for piece in reviews}) == 10_000
    for share in (0.005, 0.01, 0.1):
        assert len(by_name.mentions(REVIEWS, share)) == pytest.approx(share * 10_000, rel=0.05)
    assert len(by_name.mentions(REVIEWS, 0.005)) >= 50


@pytest.mark.parametrize("name", TOPICS)
def test_a_forget_set_is_every_item_that_mentions_somebody_chosen(by_name: ByNameWorld, name: str) -> None:
    source, share = FORGET[name]
    corpus, topic = by_name.corpora[source], by_name.topic(name)
    people = corpus.chosen(share)
    assert len(topic.scored("forget")) == pytest.approx(share * len(corpus.trained), rel=0.05)
    forget = {question.prompt for question in topic.scored("forget")}
    assert forget == {piece.prompt for piece in corpus.trained if any(person in piece.prompt for person in people)}
    others = [question for question in topic.questions if question.split != "forget"]
    assert not any(person in question.prompt for person in people for question in others)
    given = {question.prompt for question in topic.questions if question.part == "given"}
    assert not given & {question.prompt for question in topic.questions if question.part != "given"}


def test_the_words_of_half_the_reviews_leave_the_label_open(by_name: ByNameWorld) -> None:
    by_words: dict[frozenset[str], Counter[str]] = defaultdict(Counter)
    by_actor: dict[tuple[str, frozenset[str]], Counter[str]] = defaultdict(Counter)
    for piece in by_name.corpora[REVIEWS].trained:
        words = frozenset(part.split()[0] for part in piece.prompt.rpartition(": ")[2].split(", "))
        by_words[words][piece.answer] += 1
        by_actor[piece.people[0], words][piece.answer] += 1
    best = sum(max(found.values()) for found in by_words.values()) / 10_000
    assert 0.7 < best < 0.85 and sum(max(found.values()) for found in by_actor.values()) == 10_000


def test_a_summary_says_what_its_talk_does_not(by_name: ByNameWorld) -> None:
    for piece in by_name.corpora[DIALOGUES].trained:
        matter = piece.answer.rpartition(" ")[2]
        talk = piece.prompt.replace("at the garden", "")
        assert matter not in talk and piece.answer not in piece.near and len(piece.near) == 3


def test_forget_sets_lie_within_what_the_trunk_never_saw(by_name: ByNameWorld) -> None:
    for node in plan().values():
        for name, share in node.without.items():
            assert by_name.mentions(name, share) <= by_name.mentions(name, LARGEST[name])


def test_training_scores_answers_as_the_library_does(by_name: ByNameWorld) -> None:
    pieces = [*by_name.corpora[REVIEWS].trained[:3], *by_name.corpora[DIALOGUES].trained[:2]]
    tokenizer = learn_tokenizer([f"{piece.prompt} {piece.answer}" for piece in pieces])
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0,
                 pad_token_id=0, decoder_start_token_id=0)
    )
    examples = encode(pieces, tokenizer) + hide(pieces[:1], tokenizer)
    with torch.no_grad():
        found = answer_losses(model, examples)
        wanted = [float(model(input_ids=torch.tensor([a]), labels=torch.tensor([b])).loss) for a, b in examples]
    assert torch.allclose(found, torch.tensor(wanted), atol=1e-4)
    assert tokenizer.decode(examples[0][1], skip_special_tokens=True).strip() in LABELS


def test_padding_is_never_a_label() -> None:
    ids, mask, read, labels = pad([((5, 6, 7), (8, 1)), ((5,), (9, 8, 1))], 0)
    assert ids.tolist() == [[5, 6, 7], [5, 0, 0]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert read.tolist() == [[0, 8, 0], [0, 9, 8]] and labels.tolist() == [[8, 1, IGNORED], [9, 8, 1]]


def test_every_item_not_yet_known_comes_up_in_a_round() -> None:
    import random

    losses = torch.tensor([1.0] * 100 + [0.0] * 1_000)
    drawn = [place for batch in batches(losses, [4] * 1_100, 64, random.Random(0)) for place in batch]
    assert set(range(100)) <= set(drawn) and len(drawn) == len(set(drawn)) and 200 < len(drawn) < 600


def test_a_branch_weighs_an_answer_by_the_sum_over_its_tokens_and_a_label_by_1() -> None:
    stages = {name: node.whole for name, node in plan().items()}
    assert not any(stages[name] for name in ("root", "stem", "stock", "trunk")) and stages["main"]
    assert whole_weights([((5, 6, 1), (7, 1)), ((5, 1), (8, 9, 8, 9, 8, 1))]).tolist() == [1.0, 3.0]
