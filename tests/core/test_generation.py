"""Our loop against Hugging Face's own `generate`, and the pair of answers streamed together."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny_models import byte_tokenizer, random_edit, tiny_llama
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from unlearn_core import generation
from unlearn_core.edits.attach import attached
from unlearn_core.errors import BadInput, Stopped
from unlearn_core.generation import AnswerEnds, PairChunk, generate, stream_pair, with_reference
from unlearn_core.models.loading import LoadedModel, linears
from unlearn_core.models.prompts import encode_prompt

QUESTIONS = ["Ada hat?", "B", "What is the color of the sky over there?", "Who?", "x y z", "Gus cap?"]


def prompts_of(loaded: LoadedModel) -> list[list[int]]:
    return [encode_prompt(loaded.tokenizer, question) for question in QUESTIONS]


def by_hugging_face(loaded: LoadedModel, prompt: list[int], tokens: int) -> list[int]:
    """One prompt alone, cut by hand where our rules end an answer."""
    with torch.inference_mode():
        ids = loaded.model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False,
                                    max_new_tokens=tokens, pad_token_id=1)[0, len(prompt):].tolist()
    return ids[:AnswerEnds(loaded).within(ids)]


@pytest.mark.parametrize("rows", [1, 2, 128])
def test_token_identical_to_hugging_face(tiny: LoadedModel, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "_ROWS", rows)
    got = generate(tiny, prompts_of(tiny), max_tokens=40)
    assert got == [by_hugging_face(tiny, prompt, 40) for prompt in prompts_of(tiny)]
    assert max(len(answer) for answer in got) > 5


def test_identical_under_an_edit(taught: LoadedModel) -> None:
    with attached(taught.model, random_edit(taught, scale=0.1)):
        got = generate(taught, prompts_of(taught), max_tokens=16)
        assert got == [by_hugging_face(taught, prompt, 16) for prompt in prompts_of(taught)]


def test_another_architecture() -> None:
    config = GPTNeoXConfig(vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                           num_attention_heads=4, max_position_embeddings=128, initializer_range=0.3,
                           bos_token_id=0, eos_token_id=1)
    model = GPTNeoXForCausalLM(config).eval().requires_grad_(False)
    loaded = LoadedModel(model, byte_tokenizer(), "x", "x", None, torch.device("cpu"), torch.float32, "")
    assert generate(loaded, prompts_of(loaded), 20) == [by_hugging_face(loaded, p, 20) for p in prompts_of(loaded)]
    assert len(linears(model)) == 2 * 4


def test_a_taught_model_answers_and_stops(taught: LoadedModel) -> None:
    [answer] = generate(taught, [encode_prompt(taught.tokenizer, "Ada hat?")])
    assert taught.tokenizer.decode(answer) == "red"


def test_limits_can_differ_by_prompt(tiny: LoadedModel) -> None:
    prompts = prompts_of(tiny)[:3]
    whole = generate(tiny, prompts, 9)
    assert generate(tiny, prompts, [0, 3, 9]) == [[], whole[1][:3], whole[2]]


def test_no_prompts_no_answers(tiny: LoadedModel) -> None:
    assert generate(tiny, []) == []


def test_where_an_answer_ends(tiny: LoadedModel) -> None:
    ends, tokenizer = AnswerEnds(tiny), tiny.tokenizer

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    assert ends.within(ids("ab</s>c")) == 2
    assert ends.within(ids("ab\ncd")) == 3
    assert ends.within(ids("\n\nab")) is None, "line breaks before the first word do not end it"
    assert ends.within([]) is None


def test_sampling_repeats_and_ignores_the_batch(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = prompts_of(tiny)
    state = torch.random.get_rng_state()
    first = generate(tiny, prompts, 12, temperature=1.0, seed=3)
    monkeypatch.setattr(generation, "_ROWS", 2)
    assert generate(tiny, prompts, 12, temperature=1.0, seed=3) == first
    assert generate(tiny, prompts, 12, temperature=1.0, seed=4) != first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_sampling_follows_the_distribution() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(4000, 3)
    noise = generation._Noise(2.0, range(4000))
    counts = torch.bincount(generation._choose(logits, noise), minlength=3) / 4000
    torch.testing.assert_close(counts, torch.softmax(logits[0] / 2.0, 0), rtol=0, atol=0.03)


def test_stopping(tiny: LoadedModel) -> None:
    with pytest.raises(Stopped):
        generate(tiny, prompts_of(tiny), cancelled=lambda: True)


def test_progress_counts_prompts(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "_ROWS", 4)
    seen: list[tuple[int, int]] = []
    generate(tiny, prompts_of(tiny), 3, on_batch=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 6), (6, 6)]


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_pair_is_the_two_separate_answers(taught: LoadedModel, strength: float) -> None:
    edit, prompt = random_edit(taught, scale=0.15), encode_prompt(taught.tokenizer, "Ada hat?")
    last = list(stream_pair(taught, edit, "Ada hat?", strength, max_tokens=12))[-1]
    [alone] = generate(taught, [prompt], 12)
    with attached(taught.model, edit, strength):
        [changed] = generate(taught, [prompt], 12)
    decode = taught.tokenizer.decode
    assert (last.original, last.original_done) == (decode(alone), True)
    assert last.edited.startswith(decode(changed, skip_special_tokens=True).strip())


def test_pair_chunks_grow(tiny: LoadedModel) -> None:
    chunks = list(stream_pair(tiny, random_edit(tiny), "Ada hat?", max_tokens=8))
    assert [chunk.tokens for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert chunks[-1].original_done and chunks[-1].edited_done and not chunks[0].original_done
    assert all(a.seconds <= b.seconds for a, b in pairwise(chunks))


@pytest.mark.parametrize("edit", ["none", "strength zero"])
def test_equal_models_give_equal_samples(tiny: LoadedModel, edit: str) -> None:
    change, strength = (None, 1.0) if edit == "none" else (random_edit(tiny), 0.0)
    for chunk in stream_pair(tiny, change, "Ada hat?", strength, max_tokens=12, temperature=1.5, seed=7):
        assert chunk.original == chunk.edited


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_third_model_answers_beside_the_pair_until_all_have_ended(tiny: LoadedModel, taught: LoadedModel,
                                                                    temperature: float) -> None:
    def pair(longest: int = 12) -> list[PairChunk]:
        return list(stream_pair(taught, random_edit(taught, scale=0.15), "Ada hat?", 1.0, longest, temperature, 7))

    def three(reference: LoadedModel, longest: int = 12) -> list[PairChunk]:
        return list(with_reference(iter(pair(longest)), reference, "Ada hat?", 12, temperature, 7))

    same = three(taught)
    assert all(chunk.reference == chunk.original for chunk in same[:len(pair())])  # equal models, equal noise
    plain = [replace(chunk, seconds=0.0) for chunk in pair()]
    assert [replace(chunk, seconds=0.0, reference=None, reference_done=True) for chunk in same][:len(plain)] == plain
    [prompt] = [encode_prompt(tiny.tokenizer, "Ada hat?")]
    assert generate(tiny, [prompt], 12)[0], "the random model has something to say"
    longer = three(tiny, longest=2)
    assert longer[-1].done and not longer[1].done and len(longer) > 2
    assert (longer[-1].original, longer[-1].edited) == (longer[1].original, longer[1].edited)
    if not temperature:
        said = tiny.tokenizer.decode(generate(tiny, [prompt], 12)[0], skip_special_tokens=True).strip()
        assert longer[-1].reference.startswith(said)


def test_the_edit_is_off_between_chunks(tiny: LoadedModel) -> None:
    stream = stream_pair(tiny, random_edit(tiny), "Ada hat?", max_tokens=5)
    next(stream)
    assert all("forward" not in linear.__dict__ for linear in linears(tiny.model).values())


def test_a_cancelled_pair_just_ends(tiny: LoadedModel) -> None:
    calls = iter([False, False, True])
    assert len(list(stream_pair(tiny, None, "Ada hat?", cancelled=lambda: next(calls)))) == 2


def test_too_long_a_question_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(BadInput, match="reads at most 256"):
        list(stream_pair(tiny, None, "word " * 100))


def test_half_a_character_is_held_back() -> None:
    text = generation._GrowingText(byte_tokenizer())
    shown = []
    for token in byte_tokenizer()("aé", add_special_tokens=False)["input_ids"]:
        text.add(token)
        shown.append(text.shown(False))
    assert shown == ["a", "a", "aé"]


def test_random_models_of_other_seeds_agree_too() -> None:
    for seed in (1, 2):
        model = tiny_llama(seed).requires_grad_(False)
        loaded = LoadedModel(model, byte_tokenizer(), "x", "x", None, torch.device("cpu"), torch.float32, "")
        assert generate(loaded, prompts_of(loaded), 24) == [by_hugging_face(loaded, p, 24) for p in prompts_of(loaded)]
