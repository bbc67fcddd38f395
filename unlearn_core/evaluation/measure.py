"""All that a topic measures, in one shared pass: accuracy, forced choice, log-probability and perplexity.

Knows models, topics and edits through their interfaces; does not know what a method did.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..batching import Cancelled, never
from ..config import KEEP_SPLITS
from ..edits.attach import attached
from ..edits.edit import Edit, Turn
from ..generation import AnswerEnds, check_length, generate
from ..models.loading import LoadedModel
from ..models.prompts import encode_answer, encode_prompt, encode_text, masked_words
from ..scoring import AnswerScore, answer_logprobs
from ..topics.topic import Question, Topic
from .intervals import wilson
from .judging import answered, contains, known
from .removal import CHANCE

OnProgress = Callable[[int, int], None]
Scores = Mapping[tuple[str, str], AnswerScore]  # by prompt and answer
_SHORTEST = 24  # tokens that an answer may take at least
_SPARE = 4  # tokens beyond the expected answer
LIVE = {"forget": 24, "neighbor": 24, "retain": 24}


@dataclass(frozen=True, slots=True)
class Judged:
    """One question under one model. `logprob`: of the expected answer and its end (nats). `choice`: the option scored
    highest, where the split is judged by forced choice. `answered`: the greedy answer is an option; None without."""

    split: str
    answer: str
    ok: bool
    logprob: float
    choice: str | None = None
    answered: bool | None = None


@dataclass(frozen=True, slots=True)
class SplitScore:
    """Accuracy of one split with its 95 % Wilson interval; `answered` is a share, None where no options count."""

    accuracy: float
    correct: int
    n: int
    low: float
    high: float
    answered: float | None = None


@dataclass(frozen=True)
class Measurement:
    """Answers by question id, and the perplexity of the topic's general texts (None where it has none); `text_nlls`: of each of
    these texts the mean negative log-likelihood a token, in nats."""

    answers: dict[str, Judged]
    perplexity: float | None = None
    text_nlls: tuple[float, ...] = ()

    def splits(self) -> list[str]:
        """The splits with at least one answer, in order of appearance."""
        return list(dict.fromkeys(judged.split for judged in self.answers.values()))

    def texts(self) -> dict[str, str]:
        """What was answered, by question id."""
        return {key: judged.answer for key, judged in self.answers.items()}

    def split(self, name: str) -> SplitScore | None:
        """One split's score; None when nothing was measured there."""
        rows = [judged for judged in self.answers.values() if judged.split == name]
        if not rows:
            return None
        correct, n = sum(judged.ok for judged in rows), len(rows)
        marks = [judged.answered for judged in rows if judged.answered is not None]
        return SplitScore(correct / n, correct, n, *wilson(correct, n), sum(marks) / len(marks) if marks else None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-plain, for keeping."""
        return {"answers": {key: asdict(judged) for key, judged in self.answers.items()}, "perplexity": self.perplexity,
                "text_nlls": list(self.text_nlls)}

    @staticmethod
    def from_dict(body: Mapping[str, Any]) -> Measurement:
        """What `to_dict` gave."""
        return Measurement({key: Judged(**judged) for key, judged in body["answers"].items()}, body["perplexity"],
                           tuple(body["text_nlls"]))


def measure(loaded: LoadedModel, topic: Topic, edit: Edit | None = None, strength: float = 1.0,
            questions: Sequence[Question] | None = None, cancelled: Cancelled = never,
            on_progress: OnProgress | None = None, known: Scores | None = None) -> Measurement:
    """Answer and judge every scored question (or those given) under the model, or under the edited model.

    Expected answers and options are teacher-forced first; where greedy agrees with the expected answer throughout,
    that is the answer, and only the others are generated, from the token where they part. `known`: scores of (prompt,
    answer) that a pass over this very model has given already. Where all that an edit does is to put a context before every
    question, there is no perplexity: running text is read without it. Raises Stopped.
    """
    chosen = [q for q in topic.questions if q.scored] if questions is None else list(questions)
    progress = on_progress or (lambda done, total: None)
    with attached(loaded.model, edit, strength):
        turns = edit.turns(strength) if edit is not None else ()
        sheet = _Sheet(loaded, chosen, topic.floors, turns, known)
        sheet.score(cancelled, progress)
        texts = _greedy_answers(loaded, sheet, cancelled, progress)
        unread = questions is not None or (turns and not edit.wraps(loaded.model, strength, None))
        read = [] if unread else text_nlls(loaded, topic.texts, cancelled)
    progress(len(chosen), len(chosen))
    judged = {q.id: _judge(q, text, sheet) for q, text in zip(chosen, texts, strict=True)}
    return Measurement(judged, perplexity_of(read), tuple(nll / tokens for nll, tokens in read))


def among_other_words(topic: Topic, measurement: Measurement) -> tuple[int, int]:
    """Of the scored questions about what is to be kept, how many count as wrong though the answer holds the expected one as
    whole words among others; and how many questions there are. Forced choices are not judged by the answer and left out."""
    asked = [(q, judged) for split in KEEP_SPLITS for q in topic.scored(split)
             for judged in (measurement.answers[q.id],) if judged.choice is None]
    return sum(not judged.ok and contains(judged.answer, q.answer) for q, judged in asked), len(asked)


def perplexity(loaded: LoadedModel, texts: Sequence[str], cancelled: Cancelled = never) -> float | None:
    """exp of the mean negative log-likelihood per token over running texts; None without texts. See `text_nlls`."""
    return perplexity_of(text_nlls(loaded, texts, cancelled))


def perplexity_of(read: Sequence[tuple[float, int]]) -> float | None:
    """exp of the mean over all tokens of what `text_nlls` gives; None where it gives nothing."""
    return math.exp(min(700.0, sum(nll for nll, _ in read) / sum(tokens for _, tokens in read))) if read else None


def text_nlls(loaded: LoadedModel, texts: Sequence[str], cancelled: Cancelled = never) -> list[tuple[float, int]]:
    """Of each running text its negative log-likelihood (nats) and the tokens that this is summed over; without any it is left out.

    The first token of a text (the begin token where there is one) is given, not scored. An encoder-decoder is asked for
    hidden words instead, every fourth by itself.
    """
    parts = [masked_words(loaded.tokenizer, text) if loaded.reads_apart else _whole(encode_text(loaded.tokenizer, text))
             for text in texts]
    found = iter(answer_logprobs(loaded, [pair for part in parts for pair in part], cancelled))
    return [(-sum(next(found).logprob for _ in part), sum(len(tail) for _, tail in part)) for part in parts if part]


def _whole(row: list[int]) -> list[tuple[list[int], list[int]]]:
    """A text to be read as a whole from its first token on; nothing where it has no second."""
    return [(row[:1], row[1:])] if len(row) > 1 else []


def live_sample(topic: Topic, seed: int = 0) -> list[Question]:
    """The fixed sample shown while a method runs: up to 24 scored questions each of forget, neighbor and retain."""
    sample: list[Question] = []
    for split, size in LIVE.items():
        scored = topic.scored(split)
        picked = set(random.Random(f"{seed} {split}").sample(range(len(scored)), min(size, len(scored))))
        sample += [question for place, question in enumerate(scored) if place in picked]
    return sample


def quick_accuracy(loaded: LoadedModel, questions: Sequence[Question], floors: Mapping[str, str] | None = None,
                   cancelled: Cancelled = never, turns: tuple[Turn, ...] = ()) -> dict[str, tuple[int, int]]:
    """split -> (correct, n) by teacher forcing alone: greedy gives exactly the expected answer, or the right option
    wins where the split's floor is chance. Stricter than `measure` on forget questions, and many times faster.

    Without `floors` a forget question with options counts as a forced choice. `turns` stand before every question. Draws no
    random numbers.
    """
    if floors is None:
        floors = {q.split: CHANCE for q in questions if q.options and q.split.startswith("forget")}
    sheet = _Sheet(loaded, list(questions), floors, turns)
    sheet.score(cancelled, lambda done, total: None)
    found: dict[str, tuple[int, int]] = {}
    for question in questions:
        correct, n = found.get(question.split, (0, 0))
        choice = sheet.choice(question)
        ok = sheet.expected(question).greedy_equal if choice is None else choice == question.answer
        found[question.split] = (correct + ok, n + 1)
    return found


class _Sheet:
    """Encoded questions and the scores of their expected answers and options; equal pairs are scored once."""

    def __init__(self, loaded: LoadedModel, questions: list[Question], floors: Mapping[str, str],
                 turns: tuple[Turn, ...] = (), known: Scores | None = None) -> None:
        self.questions, self._turns = questions, turns
        self._loaded, self._floors = loaded, floors
        self._scores: dict[tuple[str, str], AnswerScore] = dict(known or {})

    def prompt(self, question: Question) -> list[int]:
        return encode_prompt(self._loaded.tokenizer, question.prompt, self._turns)

    def forced(self, question: Question) -> bool:
        return bool(question.options) and self._floors.get(question.split) == CHANCE

    def score(self, cancelled: Cancelled, on_progress: OnProgress) -> None:
        """Teacher-force everything; that is half of each question's work, as progress counts it."""
        wanted = [pair for pair in dict.fromkeys(self._wanted()) if pair not in self._scores]
        pairs = [(encode_prompt(self._loaded.tokenizer, prompt, self._turns), encode_answer(self._loaded.tokenizer, text))
                 for prompt, text in wanted]
        check_length(self._loaded, max((len(prompt) + len(answer) for prompt, answer in pairs), default=1))
        total = len(self.questions)
        scores = answer_logprobs(self._loaded, pairs, cancelled,
                                 lambda done, all_: on_progress(done * total // max(1, 2 * all_), total))
        self._scores |= dict(zip(wanted, scores, strict=True))

    def expected(self, question: Question) -> AnswerScore:
        return self._scores[question.prompt, question.answer]

    def choice(self, question: Question) -> str | None:
        """The likeliest option by total log-probability with its end; a tie goes against the right one."""
        if not self.forced(question):
            return None
        return max(question.options, key=lambda text: (self._scores[question.prompt, text].logprob,
                                                       text != question.answer))

    def _wanted(self) -> Iterable[tuple[str, str]]:
        for question in self.questions:
            yield question.prompt, question.answer
            if self.forced(question):
                yield from ((question.prompt, option) for option in question.options)


def _greedy_answers(loaded: LoadedModel, sheet: _Sheet, cancelled: Cancelled, on_progress: OnProgress) -> list[str]:
    """Each question's greedy answer as text, generated only from where it leaves the expected answer."""
    tokenizer, ends = loaded.tokenizer, AnswerEnds(loaded)
    prompts, begun, starts, limits, rows = [], [], [], [], []
    for row, question in enumerate(sheet.questions):
        expected = encode_answer(tokenizer, question.answer)
        start = _agreed_start(expected, sheet.expected(question))
        end = ends.within(start)
        starts.append(start[:end])
        if end is None:
            rows.append(row)
            prompts.append(sheet.prompt(question))
            begun.append(start)
            limits.append(max(_SHORTEST, len(expected) + _SPARE) - len(start))
    total, settled = len(starts), len(starts) - len(rows)
    tails = generate(loaded, prompts, limits, cancelled=cancelled, begun=begun,
                     on_batch=lambda done, _: on_progress(min(total - 1, (total + settled + done) // 2), total))
    for row, tail in zip(rows, tails, strict=True):
        starts[row] = starts[row] + tail
    return [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in starts]


def _agreed_start(expected: list[int], score: AnswerScore) -> list[int]:
    """The greedy answer as far as teacher forcing shows it, up to the first token that is not the expected one."""
    return expected if score.greedy_equal else [*expected[:score.agreed], score.instead]


def _judge(question: Question, text: str, sheet: _Sheet) -> Judged:
    choice = sheet.choice(question)
    if choice is None:
        return Judged(question.split, text, known(question, text), sheet.expected(question).logprob)
    return Judged(question.split, text, choice == question.answer, sheet.expected(question).logprob, choice,
                  answered(question, text))
