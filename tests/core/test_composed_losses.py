"""What methods with several terms report as their losses, step by step, against numpy on the logits of every row read alone: each
term with its weight, on answers and prompts of mixed lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from unlearn_core import training
from unlearn_core.edits.attach import attached
from unlearn_core.edits.edit import Edit
from unlearn_core.events import Loss
from unlearn_core.methods import Context, Snapshot, find_method, nsru, settings_of
from unlearn_core.models.loading import LoadedModel
from unlearn_core.topics.topic import Question, Topic
from unlearn_core.training import Row, encode_rows, without_ends

CLOSE = {"rel": 2e-4, "abs": 2e-5}


@pytest.fixture(scope="module")
def uneven(tiny_topic: Topic) -> Topic:
    """The hats with prompts and answers of very different lengths, among those to keep too."""

    def longer(question: Question) -> Question:
        number = int(question.id.split("-")[1])
        prompt = " ".join([question.prompt] * (1 + number % 3))
        return replace(question, prompt=prompt, answer="-".join([question.answer] * (1 + number // 3)))

    return replace(tiny_topic, questions=tuple(map(longer, tiny_topic.questions)))


def steps_of(loaded: LoadedModel, topic: Topic, name: str, **settings: Any) -> list[tuple[Loss, Edit | None]]:
    """The losses of every step, each with the edit that the model had when they were taken; the first with none."""
    method, found, edit = find_method(name), [], None
    for item in method.fit(Context(loaded, topic.given(), 0), settings_of(method, settings)):
        if isinstance(item, Loss):
            found.append((item, edit))
        elif isinstance(item, Snapshot):
            edit = item.edit
    return found


def rows_of(loaded: LoadedModel, topic: Topic) -> tuple[list[Row], list[Row]]:
    """The given questions to forget and those to keep."""
    given = topic.given()
    rows = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    assert all(len({len(row.ids) - row.start for row in part}) > 2 < len({row.start for row in part}) for part in rows)
    return rows


# numpy


@torch.no_grad()
def logprobs(loaded: LoadedModel, edit: Edit | None, rows: Iterable[Row], heat: float = 1.0) -> list[np.ndarray]:
    """Log-probabilities at each row's answer tokens, every row in a pass of its own: (tokens, vocabulary) each."""
    with attached(loaded.model, edit):
        logits = [loaded.model(input_ids=torch.tensor([row.ids])).logits[0, row.start - 1 : -1] for row in rows]
    return [log_softmax(each.double().numpy() / heat, axis=1) for each in logits]


def nlls(found: Sequence[np.ndarray], rows: Sequence[Row]) -> list[np.ndarray]:
    """The NLL of each answer token, row by row."""
    return [-each[range(len(each)), row.ids[row.start :]] for each, row in zip(found, rows, strict=True)]


def kls(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> list[np.ndarray]:
    """KL(first || second) of each answer token, row by row."""
    return [(np.exp(one) * (one - other)).sum(axis=1) for one, other in zip(first, second, strict=True)]


def row_means(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([part.mean() for part in parts])


def token_mean(parts: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(parts).mean())


def check_kept(loss: Loss, weight: float, drift: float) -> None:
    """The retain loss is the weighted distance from the original; there is none where it weighs nothing."""
    assert loss.retain == (pytest.approx(weight * drift, **CLOSE) if weight else None)


# EUL


SWITCHED: list[dict[str, Any]] = [
    {},
    {"width": 0},
    {"temperature": 2.5},
    {"limit": 6.3},
    {"kl": False},
    {"task": 0.0},
    {"lm": 0.0},
    {"kl": False, "lm": 0.0},
    {"kl": False, "task": 0.0},
]


@pytest.mark.parametrize("switched", SWITCHED, ids=repr)
def test_eul_adds_up_the_terms_that_are_on(switched: dict[str, Any], tiny: LoadedModel, uneven: Topic) -> None:
    settings = {"kl": True, "alpha": 3.0, "task": 0.7, "lm": 0.4, "limit": 60.0, "temperature": 1.0} | switched
    kl, alpha, task, lm, limit, heat = (settings[name] for name in ("kl", "alpha", "task", "lm", "limit", "temperature"))
    steps = steps_of(tiny, uneven, "eul", **settings, epochs=3, rate=0.05)
    forget, kept = rows_of(tiny, uneven)
    forget, close, near = without_ends(tiny, forget), [], []
    texts = [Row(row.ids, 1) for row in forget]  # all but the first token is to be predicted
    before = logprobs(tiny, None, forget, heat), logprobs(tiny, None, kept, heat)
    for loss, edit in steps:
        if loss.forget is None:
            close.append(row_means(kls(before[1], logprobs(tiny, edit, kept, heat))).mean())
            expected = (alpha * close[-1] if kl else 0.0) + task * row_means(nlls(logprobs(tiny, edit, kept), kept)).mean()
            assert loss.retain == pytest.approx(expected, **CLOSE)
        else:
            far = np.maximum(0, limit - row_means(kls(before[0], logprobs(tiny, edit, forget, heat)))).mean()
            strange = np.maximum(0, limit - row_means(nlls(logprobs(tiny, edit, texts), texts)))
            near.append(np.count_nonzero(strange))
            assert loss.forget == pytest.approx((far if kl else 0.0) + lm * strange.mean(), **CLOSE)
    assert close[0] == pytest.approx(0.0, abs=1e-6) and close[-1] > 1e-3 and len(near) == len(close) == 3
    assert near[0] == len(texts) if limit == 60.0 else 0 < near[0] < len(texts)


@pytest.mark.parametrize(("whole", "turns"), [(False, "KFKFKFKFKFKF"), (True, "KKKFFFKKKFFF")])
def test_eul_takes_kept_and_forget_batches_in_turn_or_epochs_where_they_are_to_stay_whole(
    whole: bool, turns: str, tiny: LoadedModel, tiny_topic: Topic
) -> None:
    many = tuple(
        replace(question, id=f"{question.id}-{turn}") for turn in range(9) for question in tiny_topic.questions
    )
    topic = replace(tiny_topic, questions=many)  # 72 of either kind: three batches to forget, two to keep
    steps = steps_of(tiny, topic, "eul", epochs=2, whole=whole, kl=False)
    assert "".join("K" if loss.forget is None else "F" for loss, _ in steps) == turns
    assert all((loss.forget is None) != (loss.retain is None) for loss, _ in steps)


# NSRU


def huber(distance: np.ndarray) -> np.ndarray:
    """Quadratic below half a nat."""
    return np.where(np.abs(distance) < 0.5, distance**2, np.abs(distance) - 0.25)


@pytest.mark.parametrize("switched", [{}, {"limit": 5.5}, {"suppress": 0.0}, {"refuse": 0.0}, {"keep": 0.0}], ids=repr)
def test_nsru_suppresses_refuses_and_keeps_each_at_its_weight(
    switched: dict[str, float], tiny: LoadedModel, uneven: Topic
) -> None:
    settings = {"suppress": 0.6, "refuse": 0.3, "keep": 3.0, "limit": 20.0} | switched
    suppress, refuse, keep, limit = (settings[name] for name in ("suppress", "refuse", "keep", "limit"))
    forced = tuple(
        replace(q, options=(q.answer, "mauve", "an ecru one")) if q.id in ("forget-2", "forget-5") else q
        for q in uneven.questions
    )
    topic = replace(uneven, questions=forced)
    steps = steps_of(tiny, topic, "nsru", **settings, energy=0.9, steps=4, rate=0.05)
    asked = [question for question in topic.given().forget if not question.options]
    answers = encode_rows(tiny, asked)
    refusals = encode_rows(tiny, [replace(question, answer=nsru.REFUSAL) for question in asked])
    choices = [
        encode_rows(tiny, [replace(question, answer=option) for option in sorted(question.options)])
        for question in topic.given().forget
        if question.options
    ]
    kept = rows_of(tiny, topic)[1]
    before = logprobs(tiny, None, kept)
    assert len(choices) == 2 and len(answers) == 6
    for loss, edit in steps:
        each = [
            -np.log1p(-np.exp(-part)) + np.log1p(-np.exp(-limit))
            for part in nlls(logprobs(tiny, edit, answers), answers)
        ]
        unlikely = row_means([np.maximum(0, part[:-1]) for part in each]).mean()  # the end of an answer is not pushed
        apart = []
        for options in choices:
            chances = np.array([-part.sum() for part in nlls(logprobs(tiny, edit, options), options)])
            wanted = chances.mean() + nsru.LEAN * (np.array([1, 0, 0]) - 1 / 3)
            apart += [*huber(chances - wanted)]
        refused = row_means(nlls(logprobs(tiny, edit, refusals), refusals)).mean()
        expected = suppress * (np.mean(apart) + unlikely) + refuse * refused
        assert loss.forget == pytest.approx(expected, **CLOSE)
        drift = token_mean(kls(before, logprobs(tiny, edit, kept)))
        check_kept(loss, keep, drift)
    assert drift > 1e-3


# KGA


@pytest.mark.parametrize("keep", [3.0, 0.0])
def test_kga_measures_the_gap_of_a_helper_that_knows_unseen_text(
    keep: float, tiny: LoadedModel, uneven: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers: list[tuple[Any, list[Row]]] = []
    train = training.train

    def seen(context: Context, change: Any, plan: Any, rows: list[Row], *rest: Any) -> Any:
        helpers.append((change, rows))
        return train(context, change, plan, rows, *rest)

    monkeypatch.setattr(training, "train", seen)
    steps = steps_of(tiny, uneven, "kga", keep=keep, steps=4, helper_steps=8, rate=0.02)
    forget, kept = rows_of(tiny, uneven)
    (knowing, own), (newer, unseen) = [(change.edit(), rows) for change, rows in helpers]
    assert own == forget and not {row.ids for row in unseen} & {row.ids for row in (*forget, *kept)}
    gap = token_mean(kls(logprobs(tiny, None, unseen), logprobs(tiny, newer, unseen)))
    taught, before = logprobs(tiny, knowing, forget), logprobs(tiny, None, kept)
    for loss, edit in steps:
        expected = abs(token_mean(kls(taught, logprobs(tiny, edit, forget))) - gap)
        assert loss.forget == pytest.approx(expected, **CLOSE)
        drift = token_mean(kls(before, logprobs(tiny, edit, kept)))
        check_kept(loss, keep, drift)
    assert gap > 0.1 and drift > 1e-3


# RMU


@torch.no_grad()
def outputs(loaded: LoadedModel, edit: Edit | None, rows: Iterable[Row]) -> list[np.ndarray]:
    """Outputs of the first layer where answer tokens are predicted, every row in a pass of its own: (tokens, dimensions) each."""
    seen: list[torch.Tensor] = []
    hook = loaded.model.get_submodule("model.layers.0").register_forward_hook(
        lambda module, inputs, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    with attached(loaded.model, edit):
        for row in rows:
            loaded.model(input_ids=torch.tensor([row.ids]))
    hook.remove()
    return [
        states.reshape(len(row.ids), -1)[row.start - 1 : -1].double().numpy()
        for states, row in zip(seen, rows, strict=True)
    ]


def test_rmu_sends_forget_text_as_many_lengths_of_kept_states_as_asked_for(tiny: LoadedModel, uneven: Topic) -> None:
    """|h − c·u|² = |h|² − 2c·(h·u) + c², for a u that nobody here knows but that does not change with c."""
    forget, kept = rows_of(tiny, uneven)
    states = outputs(tiny, None, forget)
    size = row_means([(each**2).mean(axis=1) for each in states]).mean()
    length = np.linalg.norm(np.concatenate(outputs(tiny, None, kept)), axis=1).mean()
    lost = {c: steps_of(tiny, uneven, "rmu", steering=c, steps=1)[0][0].forget for c in (0.5, 1.5, 4.0)}
    sides = {c: (found - size) / c for c, found in lost.items()}
    for c in (1.5, 4.0):
        assert (sides[c] - sides[0.5]) / (c - 0.5) == pytest.approx(length**2 / states[0].shape[1], rel=1e-3)
    along = (0.5 * length**2 / states[0].shape[1] - sides[0.5]) * states[0].shape[1] / 2 / length  # h·u
    assert abs(along) < np.linalg.norm(np.mean([each.mean(axis=0) for each in states], axis=0))


def test_rmu_holds_the_states_of_kept_text_where_the_originals_were(tiny: LoadedModel, uneven: Topic) -> None:
    kept = rows_of(tiny, uneven)[1]
    before = outputs(tiny, None, kept)
    for loss, edit in steps_of(tiny, uneven, "rmu", retain_weight=3.0, steps=4, rate=0.05):
        moved = [((now - old) ** 2).mean(axis=1) for now, old in zip(outputs(tiny, edit, kept), before, strict=True)]
        assert loss.retain == pytest.approx(3 * row_means(moved).mean(), **CLOSE)
    assert loss.retain > 1e-2


# drawn answers


def alike(drawn: Row, true: Row) -> float:
    """The F1 of the tokens of two answers."""
    first, second = drawn.ids[drawn.start :], true.ids[true.start :]
    return 2 * (Counter(first) & Counter(second)).total() / (len(first) + len(second))


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Row], list[Row]]]:
    """Every draw of a method's own answers: the rows that were asked, and those with the answers. Every other answer is the true
    one, as a model that knows it would give it."""
    found: list[tuple[list[Row], list[Row]]] = []
    own_answers = training.own_answers

    def noted(context: Context, change: Any, rows: list[Row], *how: Any) -> list[Row]:
        drawn = own_answers(context, change, rows, *how)
        drawn[1::2] = rows[1::2]
        found.append((list(rows), drawn))
        return drawn

    monkeypatch.setattr(training, "own_answers", noted)
    return found


@pytest.mark.parametrize("switched", [{}, {"beta": 0.0}, {"keep": 0.0}], ids=repr)
def test_demem_rewards_what_is_unlike_the_answer_and_as_likely_as_before(
    switched: dict[str, float], tiny: LoadedModel, uneven: Topic, draws: list[tuple[list[Row], list[Row]]]
) -> None:
    weights = {"beta": 0.8, "keep": 3.0} | switched
    heat, clip = 1.5, 0.1
    steps = steps_of(tiny, uneven, "demem", **weights, temperature=heat, clip=clip, reuse=2, steps=6, rate=0.05)
    kept = rows_of(tiny, uneven)[1]
    before, running, clipped = logprobs(tiny, None, kept), 0.0, 0
    for number, (loss, edit) in enumerate(steps):
        asked, drawn = draws[number // 2]
        chances = [-part for part in nlls(logprobs(tiny, edit, drawn, heat), drawn)]
        if number % 2 == 0:
            old = chances
            first = [-part for part in nlls(logprobs(tiny, None, drawn, heat), drawn)]
            drift = row_means([now - then for now, then in zip(old, first, strict=True)])
            rewards = -np.array([alike(*pair) for pair in zip(drawn, asked, strict=True)]) - weights["beta"] * drift
            gains, running = rewards - running, 0.9 * running + 0.1 * rewards.mean()
        ratios = [np.exp(now - then) for now, then in zip(chances, old, strict=True)]
        clipped += sum(np.count_nonzero(abs(ratio - 1) > clip) for ratio in ratios)
        each = [
            -np.minimum(ratio * gain, ratio.clip(1 - clip, 1 + clip) * gain)
            for ratio, gain in zip(ratios, gains, strict=True)
        ]
        assert loss.forget == pytest.approx(row_means(each).mean(), **CLOSE)
        moved = token_mean(kls(before, logprobs(tiny, edit, kept)))
        check_kept(loss, weights["keep"], moved)
    assert len(draws) == 3 and clipped and abs(drift.mean()) > 1e-2


@pytest.mark.parametrize("switched", [{}, {"closeness": 0.0}, {"entropy": 0.0}, {"keep": 0.0}], ids=repr)
def test_quark_learns_its_pool_near_the_original_and_undecided(
    switched: dict[str, float],
    tiny: LoadedModel,
    uneven: Topic,
    draws: list[tuple[list[Row], list[Row]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = {"closeness": 0.8, "entropy": 0.6, "keep": 3.0} | switched
    batches: list[list[Row]] = []
    score = training.score
    monkeypatch.setattr(training, "score", lambda loaded, rows: batches.append(list(rows)) or score(loaded, rows))
    steps = steps_of(tiny, uneven, "quark", **weights, every=2, steps=4, rate=0.05)
    forget, kept = rows_of(tiny, uneven)
    before, used = logprobs(tiny, None, kept), {token for row in (*forget, *kept) for token in row.ids}
    for number, (loss, edit) in enumerate(steps):
        pool = [row for _, drawn in draws[: 1 + number // 2] for row in drawn]
        rows = batches[number][: -len(kept)]
        plain = [row if row in pool else Row(row.ids[1:], row.start - 1) for row in rows]  # without what says its worth
        marked = {bare: row.ids[0] for row, bare in zip(rows, plain, strict=True) if row != bare}
        assert Counter(plain) == Counter(pool)
        assert marked.keys() >= set(forget[1::2]) and used.isdisjoint(marked.values())
        now = logprobs(tiny, edit, rows)
        drift = token_mean(kls(logprobs(tiny, None, plain), now))
        doubt = token_mean([-(np.exp(each) * each).sum(axis=1) for each in now])
        expected = row_means(nlls(now, rows)).mean() + weights["closeness"] * drift - weights["entropy"] * doubt
        assert loss.forget == pytest.approx(expected, **CLOSE)
        moved = token_mean(kls(before, logprobs(tiny, edit, kept)))
        check_kept(loss, weights["keep"], moved)
    assert len(draws) == 2 and moved > 1e-3
