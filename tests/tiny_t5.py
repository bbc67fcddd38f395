"""A random encoder-decoder of two layers a side, with a byte tokenizer that has no chat template."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_models import byte_tokenizer
from transformers import T5Config, T5ForConditionalGeneration

from unlearn_core.models.loading import LoadedModel, load
from unlearn_core.models.prompts import encode_answer, encode_prompt, set_apart
from unlearn_core.topics.topic import Topic

START = 0


def tiny_t5(seed: int = 0, width: int = 32) -> T5ForConditionalGeneration:
    """Weights large enough for distinct logits."""
    config = T5Config(vocab_size=260, d_model=width, d_kv=8, d_ff=2 * width, num_layers=2, num_decoder_layers=2, num_heads=4,
                      dropout_rate=0.0, pad_token_id=1, eos_token_id=1, decoder_start_token_id=START, initializer_factor=2.0)
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(config).eval()
    torch.random.set_rng_state(state)
    return model


def save_t5(folder: Path, topic: Topic | None = None) -> Path:
    """An ordinary Hugging Face folder; taught the topic where one is given."""
    model, tokenizer = tiny_t5(), set_apart(byte_tokenizer(chat=False))
    if topic is not None:
        _teach(model, tokenizer, topic)
    model.save_pretrained(folder)
    byte_tokenizer(chat=False).save_pretrained(folder)
    return folder


def load_t5(folder: Path) -> LoadedModel:
    """As the engine reads it."""
    return load(str(folder), "cpu", "float32")


def _teach(model: T5ForConditionalGeneration, tokenizer, topic: Topic, steps: int = 1500) -> None:
    """Until every answer is at hand: how many steps that takes differs from processor to processor."""
    asked = [encode_prompt(tokenizer, question.prompt) for question in topic.questions]
    said = [encode_answer(tokenizer, question.answer) for question in topic.questions]
    wide, deep = max(map(len, asked)), max(map(len, said))
    ids = torch.tensor([row + [1] * (wide - len(row)) for row in asked])
    mask = torch.tensor([[1] * len(row) + [0] * (wide - len(row)) for row in asked])
    labels = torch.tensor([row + [-100] * (deep - len(row)) for row in said])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if loss.item() < 5e-3:
            break
    else:
        raise AssertionError(f"the topic was not learnt in {steps} steps: a loss of {loss.item():.3f} is left")
    model.eval()
