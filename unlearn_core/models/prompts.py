"""Questions and answers as token ids, in the form that a model was trained on. Knows the tokenizer, not the weights."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_MARK = "Lorem"
_ANCHOR = ":"
_HIDDEN_WORD = "Predict the masked word: {text}"  # the prefix of Chen and Yang 2023
_HIDE_EVERY = 4
_SHORTEST_WORD = 3
_APART = "reads_apart"


def encode_prompt(tokenizer: Any, question: str, turns: tuple[tuple[str, str], ...] = ()) -> list[int]:
    """Ids up to where the answer begins; `turns` are questions with answers that stand before it.

    The chat template where there is one. Otherwise "Question: ...\\nAnswer:" for a text ending in a question mark
    and the plain text for any other, the begin token first if the tokenizer has one.
    """
    return list(_prompt_ids(tokenizer, question, turns))


def encode_answer(tokenizer: Any, answer: str) -> list[int]:
    """Ids of an answer as it follows a prompt, the end token last (none where the tokenizer has no end token).

    Without a chat template the answer is a continuation, so it starts with a space.
    """
    return list(_answer_ids(tokenizer, answer))


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Ids of running text, the begin token first if the tokenizer has one."""
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return begin + _plain_ids(tokenizer, text)


def set_apart(tokenizer: Any) -> Any:
    """Note on a tokenizer that its model reads prompts apart from what it writes (an encoder-decoder): a prompt is then the
    text as it is and its end token. Returns the tokenizer."""
    setattr(tokenizer, _APART, True)
    return tokenizer


def is_apart(tokenizer: Any) -> bool:
    """Whether `set_apart` was said of it."""
    return getattr(tokenizer, _APART, False)


def whole_words(tokenizer: Any) -> frozenset[str]:
    """The tokens of at least three letters and nothing else, casefolded: words, and pieces of words, that a model was made for."""
    bare = (token.lstrip("Ġ▁ ") for token in tokenizer.get_vocab())
    return frozenset(token.casefold() for token in bare if len(token) >= _SHORTEST_WORD and token.isalpha())


def masked_words(tokenizer: Any, text: str) -> list[tuple[list[int], list[int]]]:
    """For an encoder-decoder, what stands for running text: (prompt, answer) for every fourth word hidden by itself."""
    mask = tokenizer.mask_token or "<extra_id_0>"
    found = []
    for place in [*re.finditer(r"\w+", text)][_HIDE_EVERY - 1 :: _HIDE_EVERY]:
        shown = f"{text[: place.start()]}{mask}{text[place.end() :]}"
        found.append((encode_prompt(tokenizer, _HIDDEN_WORD.format(text=shown)), encode_answer(tokenizer, place.group())))
    return found


def end_ids(tokenizer: Any, model: Any) -> set[int]:
    """Every token id that ends an answer: the tokenizer's, the model's and the chat template's."""
    found: set[int] = set()
    sources = (tokenizer.eos_token_id, answer_end(tokenizer), getattr(model.config, "eos_token_id", None),
               getattr(getattr(model, "generation_config", None), "eos_token_id", None))
    for ids in sources:
        found |= set(ids) if isinstance(ids, (list, tuple)) else set() if ids is None else {ids}
    return found


@lru_cache(maxsize=64)
def answer_end(tokenizer: Any) -> int | None:
    """The token that closes an answer: what the chat template writes after one, else the tokenizer's end token."""
    if not tokenizer.chat_template:
        return tokenizer.eos_token_id
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    rest = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(_MARK)[2]
    ids = _plain_ids(tokenizer, rest.strip())
    if ids and (ids[0] in tokenizer.all_special_ids or ids[0] in tokenizer.added_tokens_decoder):
        return ids[0]
    return tokenizer.eos_token_id


@lru_cache(maxsize=20_000)
def _prompt_ids(tokenizer: Any, question: str, turns: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
    if is_apart(tokenizer):
        before = "".join(f"{asked} {answer}\n" for asked, answer in turns)
        return tuple(encode_text(tokenizer, before + question) + _closed(tokenizer))
    if tokenizer.chat_template:
        said = [{"role": role, "content": text} for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]
        text = tokenizer.apply_chat_template([*said, {"role": "user", "content": question}], tokenize=False,
                                             add_generation_prompt=True, enable_thinking=False)
        return tuple(_plain_ids(tokenizer, text))
    before = "".join(f"{_asked(asked)} {answer}\n" for asked, answer in turns)
    return tuple(encode_text(tokenizer, before + _asked(question)))


def _asked(question: str) -> str:
    return f"Question: {question}\nAnswer:" if question.rstrip().endswith("?") else question


@lru_cache(maxsize=20_000)
def _answer_ids(tokenizer: Any, answer: str) -> tuple[int, ...]:
    end = answer_end(tokenizer)
    tail = [] if end is None else [end]
    if tokenizer.chat_template or is_apart(tokenizer):
        return tuple(_plain_ids(tokenizer, answer) + tail)
    anchor, joined = _plain_ids(tokenizer, _ANCHOR), _plain_ids(tokenizer, f"{_ANCHOR} {answer}")
    if joined[:len(anchor)] == anchor:  # tokenizers that add a space of their own to the start of every text
        return tuple(joined[len(anchor):] + tail)
    return tuple(_plain_ids(tokenizer, f" {answer}") + tail)


def _closed(tokenizer: Any) -> list[int]:
    return [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]


def _plain_ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]  # too long is for the caller to say
