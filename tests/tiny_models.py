"""A random two-layer Llama, a byte tokenizer, a tiny topic and a random edit: made offline, seeds explicit."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from unlearn_core.edits.low_rank import LowRankEdit
from unlearn_core.models.loading import LoadedModel, linears
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.topics.topic import Question, Topic

CHAT_TEMPLATE = (
    "<s>{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}"
    "{% else %}<|assistant|>{{ message['content'] }}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|user|>", "<|assistant|>"]
_NAMES = ("Ada", "Bo", "Cy", "Dee", "Eli", "Fay", "Gus", "Hal")
_COLORS = ("red", "blue", "green", "black")
_KINDS = {"forget": "hat", "neighbor": "cap", "retain": "dog", "general": "sky"}


def byte_tokenizer(chat: bool = True) -> PreTrainedTokenizerFast:
    """Every byte is a token; four special tokens in front."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate(SPECIAL + letters)}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>",
                                   additional_special_tokens=["<|user|>", "<|assistant|>"])
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_llama(seed: int = 0, width: int = 32) -> LlamaForCausalLM:
    """Two layers, grouped-query attention, weights large enough for distinct logits."""
    config = LlamaConfig(vocab_size=260, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0,
                         eos_token_id=1, pad_token_id=1, tie_word_embeddings=True, initializer_range=0.2)
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).eval()
    torch.random.set_rng_state(state)
    return model


def make_topic() -> Topic:
    """Eight invented names with a color in each split; half of neighbor and retain is given."""
    questions = []
    for place, (split, thing) in enumerate(_KINDS.items()):
        for number, name in enumerate(_NAMES):
            part = "both" if split == "forget" else "held" if split == "general" or number % 2 else "given"
            color = _COLORS[(number * 3 + place + number // 4) % 4]
            questions.append(Question(f"{split}-{number}", split, f"{name} {thing}?", color, part, (), name, "plain"))
    return Topic("tiny-hats", "the hats", "Who wears which hat.", "caps", tuple(questions),
                 ("Ada saw a dog.", "The sky was blue."), {"forget": "retrained"}, ("Ada hat?",))


def random_edit(loaded: LoadedModel, rank: int = 3, seed: int = 0, scale: float = 0.3) -> LowRankEdit:
    """A change of every linear map, large enough to change the answers."""
    stream = torch.Generator().manual_seed(seed)
    return LowRankEdit({
        name: (torch.randn(linear.out_features, rank, generator=stream) * scale,
               torch.randn(rank, linear.in_features, generator=stream) * scale)
        for name, linear in linears(loaded.model).items()
    }, {"method": "random"})


def save_model(folder: Path, model: LlamaForCausalLM, chat: bool) -> Path:
    """An ordinary Hugging Face folder."""
    model.save_pretrained(folder)
    byte_tokenizer(chat).save_pretrained(folder)
    return folder


def teach(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, topic: Topic, steps: int = 300) -> None:
    """Train the model on every question until it knows the answers by heart."""
    rows = []
    for question in topic.questions:
        prompt, answer = encode_prompt(tokenizer, question.prompt), encode_answer(tokenizer, question.answer)
        rows.append((prompt + answer, [-100] * len(prompt) + answer))
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [1] * (width - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 2e-3:
            break
    model.eval()
