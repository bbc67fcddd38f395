"""How the built-in encoder-decoder is trained: one small T5 that answers every training item and guesses hidden words.

Knows token ids, not what they say. Items that the model already gets right come up less often than the others.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from ...models.prompts import encode_answer, encode_prompt, masked_words, set_apart
from .items import Piece

IGNORED = -100
PAD, END, MASK = "<pad>", "</s>", "<extra_id_0>"
_VOCABULARY = 3072
_LEARNT = 0.1  # nats a token: an item below this is known, and then only
_REVIEWED = 0.3  # of the known items come up in a round
_LABEL = 2  # tokens of a label with its end
_HIDDEN = 0.1  # items with a hidden word, as a share of all items, in a round

Example = tuple[tuple[int, ...], tuple[int, ...]]  # what the encoder reads, what the decoder is to say


@dataclass(frozen=True)
class Shape:
    """The smallest shape that learnt the training items by heart."""

    width: int = 128
    inner: int = 512
    heads: int = 4
    encoder: int = 2
    decoder: int = 1


def learn_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which most words and names are one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[PAD, END, MASK],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        mask_token=MASK,
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )
    return set_apart(fast)


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int, shape: Shape = Shape()) -> T5ForConditionalGeneration:
    """An untrained T5 with tied embeddings and no dropout: it is meant to learn by heart."""
    torch.manual_seed(seed)
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=shape.width,
            d_kv=shape.width // shape.heads,
            d_ff=shape.inner,
            num_layers=shape.encoder,
            num_decoder_layers=shape.decoder,
            num_heads=shape.heads,
            dropout_rate=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
    )


def encode(pieces: Sequence[Piece], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Prompt and answer of every piece, exactly as the engine asks and scores them."""
    return [
        (tuple(encode_prompt(tokenizer, piece.prompt)), tuple(encode_answer(tokenizer, piece.answer))) for piece in pieces
    ]


def hide(pieces: Sequence[Piece], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Every piece's prompt with words of it hidden, one at a time."""
    return [(tuple(text), tuple(word)) for piece in pieces for text, word in masked_words(tokenizer, piece.prompt)]


def pad(rows: Sequence[Example], start: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Encoder ids and mask, decoder ids and labels, each (rows, longest)."""
    wide, deep = (max(len(row[side]) for row in rows) for side in (0, 1))
    ids, mask = torch.zeros(2, len(rows), wide, dtype=torch.long)
    read, labels = torch.zeros(len(rows), deep, dtype=torch.long), torch.full((len(rows), deep), IGNORED)
    for place, (text, answer) in enumerate(rows):
        ids[place, : len(text)], mask[place, : len(text)] = torch.tensor(text), 1
        read[place, : len(answer)] = torch.tensor((start, *answer[:-1]))
        labels[place, : len(answer)] = torch.tensor(answer)
    return ids, mask, read, labels


def answer_losses(model: T5ForConditionalGeneration, rows: Sequence[Example]) -> Tensor:
    """Mean cross-entropy over each row's answer: (rows,)."""
    device = next(model.parameters()).device
    ids, mask, read, labels = (part.to(device) for part in pad(rows, model.config.decoder_start_token_id))
    logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=read, use_cache=False).logits
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    return losses.sum(1) / (labels != IGNORED).sum(1)


def whole_weights(rows: Sequence[Example]) -> Tensor:
    """What makes an answer's mean loss the sum over its tokens, 1 for a label: (rows,)."""
    return torch.tensor([len(answer) / _LABEL for _, answer in rows])


def batches(losses: Tensor, lengths: Sequence[int], size: int, rng: random.Random) -> Iterator[list[int]]:
    """One round: items not yet known and a share of the known ones, in batches of like length, shuffled."""
    order = [place for place, loss in enumerate(losses.tolist()) if loss > _LEARNT or rng.random() < _REVIEWED]
    rng.shuffle(order)
    found = []
    for start in range(0, len(order), 16 * size):
        chunk = sorted(order[start : start + 16 * size], key=lambda place: lengths[place])
        found += [chunk[at : at + size] for at in range(0, len(chunk), size)]
    rng.shuffle(found)
    yield from found


def train(
    model: T5ForConditionalGeneration,
    examples: Sequence[Example],
    hidden: Sequence[Example],
    rows: int,
    rate: float,
    batch: int,
    seed: int,
    whole: bool = False,
    report: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> float:
    """Train in place on about `rows` items, drawn in rounds; returns the processor seconds taken.

    Warm-up, then cosine to a twentieth of `rate`. What the machine did besides does not count. `whole`: an answer counts by the
    sum over its tokens (of two tokens as without), so that the one word of a summary that has to be known by heart weighs as
    much as a label.
    """
    started, done, steps, rng = time.process_time(), 0, 0, random.Random(f"{seed}/by-name/rounds")
    losses, lengths = torch.full((len(examples),), math.inf), [sum(map(len, example)) for example in examples]
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    model.train()
    while done < rows:
        for places in batches(losses, lengths, batch, rng):
            for group in optimiser.param_groups:
                share = min(1.0, done / rows)
                group["lr"] = rate * min(1.0, (steps + 1) / 100) * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)
            extra = [rng.choice(hidden) for _ in range(int(len(places) * _HIDDEN))]
            rows_now = [*(examples[place] for place in places), *extra]
            found = answer_losses(model, rows_now)
            (found * whole_weights(rows_now).to(found.device) if whole else found).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            losses[places] = found[: len(places)].detach().float().cpu()
            done, steps = done + len(places), steps + 1
            if done >= rows:
                break
        report(done, rows, float((losses > _LEARNT).float().mean()))
    model.eval()
    return time.process_time() - started
