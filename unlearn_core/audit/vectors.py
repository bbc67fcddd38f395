"""Vectors in place of tokens: put before questions, optimised by gradient, judged. Weights stay frozen, an edit attached.

The vectors go by ids beyond the vocabulary, which the embedding answers with them. So all that takes token ids (scoring,
training rows, generation, edits of every kind) takes vectors too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

import torch
from torch import Tensor, nn

from .. import objectives
from ..edits.attach import Attachment
from ..edits.edit import Turn
from ..models.loading import LoadedModel
from ..models.prompts import encode_answer, encode_prompt
from ..topics.topic import Question
from ..training.rows import Row, rounds, score
from .asking import turns_of
from .choosing import likeliest
from .sampling import written
from .subject import Subject

_BATCH = 12


def embedding_of(loaded: LoadedModel) -> nn.Embedding:
    """What turns the prompt's ids into vectors; of an encoder-decoder the encoder's."""
    return (loaded.model.get_encoder() if loaded.reads_apart else loaded.model).get_input_embeddings()


def prompt_with_vectors(loaded: LoadedModel, question: str, turns: tuple[Turn, ...], count: int) -> list[int]:
    """The ids of a prompt with `count` vectors right before its question."""
    ids, *others = (encode_prompt(loaded.tokenizer, text, turns) for text in (question, "A?", "b?"))
    place = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(ids, *others, strict=False)))
    first = embedding_of(loaded).num_embeddings
    return [*ids[:place], *range(first, first + count), *ids[place:]]


@contextmanager
def answering(loaded: LoadedModel, vectors: Tensor) -> Iterator[None]:
    """Inside the block the embedding gives `vectors` (count, width) for the ids right beyond its own. An edit attached outside
    the block changes the embedding's own answers as ever, and no vector."""
    embedding = embedding_of(loaded)
    inner, before = embedding.forward, embedding.__dict__.get("forward")
    count = embedding.num_embeddings

    def forward(ids: Tensor) -> Tensor:
        own = ids < count
        found = inner(torch.where(own, ids, 0))
        mine = vectors.to(found.device, found.dtype)[(ids - count).clamp(0, len(vectors) - 1)]
        return torch.where(own[..., None], found, mine)

    embedding.__dict__["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del embedding.__dict__["forward"]
        else:
            embedding.__dict__["forward"] = before


class SoftPrompt:
    """`count` vectors before the questions of one subject, at first the embeddings of random tokens. `losses`: of every step,
    on its own batch, in nats a token."""

    def __init__(self, subject: Subject, taught: Sequence[Question], count: int, rate: float, seed: int) -> None:
        self._subject, self._count = subject, count
        embedding = embedding_of(subject.loaded)
        drawn = torch.randint(embedding.num_embeddings, (count,), generator=torch.Generator().manual_seed(seed))
        self.vectors = embedding.weight.detach()[drawn.to(embedding.weight.device)].float().requires_grad_(True)
        size = float(embedding.weight.detach().float().square().mean().sqrt())
        self._optimizer = torch.optim.Adam([self.vectors], lr=rate * size)
        self._rows = [Row((*prompt, *answer), len(prompt)) for prompt, answer in map(self._pair, taught)]
        self._batches = rounds(self._rows, min(_BATCH, len(self._rows)), seed)
        self._switched_on = Attachment(subject.loaded.model, subject.edit)
        self.losses: list[float] = []

    def improve(self) -> None:
        """One gradient step on a batch of the taught questions."""
        rows = [self._rows[place] for place in next(self._batches)]
        with torch.enable_grad(), self._switched_on, answering(self._subject.loaded, self.vectors):
            scored = score(self._subject.loaded, rows)
            loss = objectives.answer_nll(scored.logits, scored.labels, scored.rows, scored.count)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.losses.append(float(loss.detach()))

    def right(self, questions: Sequence[Question], choosing: bool, cancelled: Callable[[], bool]) -> list[bool]:
        """Which questions are answered as expected behind the vectors: greedily, or by the likeliest option. Raises Stopped."""
        with self._switched_on, answering(self._subject.loaded, self.vectors.detach()):
            if choosing:
                return likeliest(self._subject.loaded, questions, self._prompt, cancelled)
            return written(self._subject.loaded, questions, self._prompt, cancelled)

    def _prompt(self, question: str) -> list[int]:
        return prompt_with_vectors(self._subject.loaded, question, turns_of(self._subject), self._count)

    def _pair(self, question: Question) -> tuple[list[int], list[int]]:
        return self._prompt(question.prompt), encode_answer(self._subject.loaded.tokenizer, question.answer)
