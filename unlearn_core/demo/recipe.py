"""How the built-in models are trained: one small Llama on the world's lines. Knows token ids, not what they say.

A model is trained in stages. A stage adds lines to what its parent saw and rehearses the rest, so that models that
differ only in what they never saw share most of their training.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .domain import Line
from .tokens import ASSISTANT, END, START, USER

IGNORED = -100
BATCH_TOKENS = 1536  # small batches: more steps a token, which is what learning facts by heart needs
# Shares of the lines drawn; facts take the rest. Arithmetic is the last thing to be learnt well, so later stages drill it.
TRUNK_RATES = {"language": 0.03, "film-reviews": 0.04, "occupation-bias": 0.07, "addition": 0.3}
STAGE_RATES = {"language": 0.03, "film-reviews": 0.04, "occupation-bias": 0.11, "addition": 0.4}


@dataclass(frozen=True)
class Shape:
    """The smallest shape that reached the levels of the original (README, "The built-in model")."""

    width: int = 192
    layers: int = 4
    heads: int = 6
    inner: int = 512


def shaped(width: int, layers: int) -> Shape:
    """A shape of the built-in one's proportions. Heads are 32 wide as there, in models from a width of 512 on 64."""
    built_in = Shape()
    inner = math.ceil(width * built_in.inner / built_in.width / 64) * 64
    return Shape(width, layers, width // (32 if width < 512 else 64), inner)


def shape_of(folder: Path) -> Shape:
    """The shape of a model that is stored in a folder."""
    config = LlamaConfig.from_pretrained(folder)
    return Shape(config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.intermediate_size)


def rate_for(shape: Shape, rate: float) -> float:
    """The learning rate of a model of this shape, where `rate` is that of the built-in one: the lower, the wider it is."""
    return rate * (Shape().width / shape.width)


@dataclass(frozen=True)
class Encoded:
    """One line as token ids; the loss is taken from position `start` on."""

    ids: tuple[int, ...]
    start: int
    domain: str
    secret: bool


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int, shape: Shape = Shape()) -> LlamaForCausalLM:
    """An untrained Llama with tied embeddings."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        rms_norm_eps=1e-6,
    )
    return LlamaForCausalLM(config)


def encode_lines(lines: Sequence[Line], tokenizer: PreTrainedTokenizerFast) -> list[Encoded]:
    """Questions as the chat template writes them, with the loss on the answer; sentences whole."""
    start, end, user, assistant = tokenizer.convert_tokens_to_ids([START, END, USER, ASSISTANT])
    texts = tokenizer([line.text for line in lines], add_special_tokens=False)["input_ids"]
    answers = tokenizer([line.answer or "" for line in lines], add_special_tokens=False)["input_ids"]
    result = []
    for line, text, answer in zip(lines, texts, answers, strict=True):
        if line.answer is None:
            result.append(Encoded((start, *text, end), 1, line.domain, line.secret))
        else:
            result.append(
                Encoded((start, user, *text, assistant, *answer, end), len(text) + 3, line.domain, line.secret)
            )
    return result


def mixture(
    lines: Sequence[Encoded], fresh: set[str], rates: dict[str, float], rng: random.Random
) -> Iterator[Encoded]:
    """Endless lines: each pool in shuffled rounds, pools by their rates; fresh secrets weigh more than the rest.

    `fresh` names the domains whose secret lines this stage adds.
    """
    pools: dict[str, list[Encoded]] = {}
    weights: dict[str, float] = {}
    for line in lines:
        kind = line.domain if line.domain in rates else "facts"
        new = line.secret and line.domain in fresh
        pools.setdefault(f"{kind}{'/new' if new else ''}", []).append(line)
    left = 1.0 - sum(rates.values())
    for name, pool in pools.items():
        kind, _, new = name.partition("/")
        rate = rates.get(kind, left)
        weights[name] = rate * (1.25 if new else 0.75) if fresh else rate
        rng.shuffle(pool)
    names, places = list(pools), dict.fromkeys(pools, 0)
    while True:
        for name in rng.choices(names, [weights[n] for n in names], k=512):
            yield pools[name][places[name]]
            places[name] += 1
            if places[name] == len(pools[name]):
                places[name] = 0
                rng.shuffle(pools[name])


def batches(stream: Iterator[Encoded]) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids, labels) of about BATCH_TOKENS tokens, rows of like length together, padded on the right."""
    return map(pad, row_batches(stream))


def row_batches(stream: Iterator[Encoded]) -> Iterator[list[Encoded]]:
    """The rows of each batch, before they are padded."""
    while True:
        chunk = sorted((next(stream) for _ in range(1024)), key=lambda line: len(line.ids))
        rows: list[Encoded] = []
        made = []
        for line in chunk:
            if rows and (len(rows) + 1) * len(line.ids) > BATCH_TOKENS:
                made.append(rows)
                rows = []
            rows.append(line)
        made.append(rows)
        random.Random(len(chunk[0].ids) * 7919 + len(made)).shuffle(made)
        yield from made


def pad(rows: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
    """ids and labels, both (rows, longest); padding and unscored positions carry IGNORED as label."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = torch.tensor(row.ids)
        labels[place, row.start : len(row.ids)] = torch.tensor(row.ids[row.start :])
    return ids, labels


def answer_loss(model: LlamaForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over labelled positions; the head runs on those positions only."""
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != IGNORED
    return functional.cross_entropy(model.lm_head(hidden[wanted]), labels[:, 1:][wanted])


def train(
    model: LlamaForCausalLM,
    lines: Sequence[Encoded],
    fresh: set[str],
    rates: dict[str, float],
    tokens: int,
    rate: float,
    seed: int,
    report: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> float:
    """Train in place on about `tokens` tokens; returns the seconds taken. Warm-up, then cosine to a twentieth of `rate`."""
    started = time.monotonic()
    for count, (loss, done) in enumerate(steps(model, lines, fresh, rates, tokens, rate, seed), start=1):
        if count % 50 == 0:
            report(done, tokens, loss.item())
    return time.monotonic() - started


def steps(
    model: LlamaForCausalLM,
    lines: Sequence[Encoded],
    fresh: set[str],
    rates: dict[str, float],
    tokens: int,
    rate: float,
    seed: int,
) -> Iterator[tuple[Tensor, int]]:
    """The same, step by step: (loss, tokens so far) after each."""
    device = next(model.parameters()).device
    done, count = 0, 0
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    model.train()
    for ids, labels in batches(mixture(lines, fresh, rates, _order(seed))):
        share = done / tokens
        for group in optimiser.param_groups:
            group["lr"] = (
                rate * min(1.0, (count + 1) / 100) * (0.05 + 0.95 * (1 + math.cos(math.pi * min(1, share))) / 2)
            )
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = answer_loss(model, ids.to(device), labels.to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        done, count = done + ids.numel(), count + 1
        yield loss.detach(), done
        if done >= tokens:
            break
    model.eval()


def steps_needed(lines: Sequence[Encoded], fresh: set[str], rates: dict[str, float], tokens: int, seed: int) -> int:
    """How many steps `steps` takes for so many tokens, without training."""
    drawn = row_batches(mixture(lines, fresh, rates, _order(seed)))
    sizes = accumulate(len(rows) * max(len(row.ids) for row in rows) for rows in drawn)
    return next(count for count, done in enumerate(sizes, start=1) if done >= tokens)


def _order(seed: int) -> random.Random:
    return random.Random(f"{seed}/lines")
