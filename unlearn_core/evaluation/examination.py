"""All metrics of a model, or of its edited self, on one topic: one shared teacher-forced pass, one generation pass.

Knows models, topics and edits through their interfaces; every formula is in likelihood, memorisation, membership or text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, fsum

import torch
from torch import Tensor

from ..batching import Cancelled, never
from ..edits.attach import attached
from ..edits.edit import Edit, Turn
from ..models.loading import LoadedModel
from ..models.prompts import encode_answer, encode_prompt
from ..scoring import AnswerScore, EndStates, Pair, Trace, answer_traces, moved_traces
from ..topics.topic import Question, Topic
from ..training import continuations, encode_rows, without_ends
from . import depth, likelihood, membership, memorisation, text
from .gradients import gradient_norms
from .imprint import Imprint
from .measure import Measurement
from .metric import About, Metric, unmeasured
from .patching import Donor, drops

KEPT = ("neighbor", "retain", "general")
UTILITY = tuple(f"{part}, {split}" for split in KEPT for part in ("probability", "ROUGE-L", "truth ratio"))
N_GRAM = 3  # of the extraction likelihood: short answers have no ten tokens
NO_WRONG = "The topic has no other plausible answers to compare with."
NO_REFERENCE = "It compares with a model that never saw the topic, and none is at hand for this one."
NO_TEXT = "The topic brings no running text."
NO_CONTEXT = "The context stands before questions alone; running text is read without it."
COMBINED = "Its answers come out of two rows put together, of which none is the answer's own."
NO_IMPRINT = ("It compares layer by layer with a model that never saw the topic; neither that model nor what it showed is at "
              "hand for these weights. `demo.build` with `--references TOPIC` makes both for a topic of a world that it builds.")
NO_OTHERS = "It needs answers of the same kind that the model never saw; the topic names none."

_ROUGE = text.ABOUT["rouge_recall"]
ABOUT: dict[str, About] = {
    **likelihood.ABOUT,
    **memorisation.ABOUT,
    **membership.ABOUT,
    **depth.ABOUT,
    "rouge1_recall": _ROUGE,
    "rougeL_recall": _ROUGE,
    "repetition": text.ABOUT["repetition"],
    "perplexity": About(
        judges="How many tokens the model hesitates between on everyday sentences that no method sees.",
        better="Near the original's: it rises as language itself is damaged.",
        misleads="A model can keep its sentences and have lost every fact.",
        source="Jelinek et al. 1977; exp of the mean negative log-likelihood a token.",
    ),
    "kl_to_original": About(
        judges="How far the answers to kept questions have moved from the original's, in nats a token.",
        better="Low: what is kept is answered as before.",
        misleads="It says that something moved, not whether answers became wrong.",
        source="Kullback and Leibler 1951; KL(original || model) over answer tokens.",
    ),
}


@dataclass(frozen=True)
class Pass:
    """What one teacher-forced pass found, by prompt and answer: expected answers and other plausible ones. `moved`: how far each
    kept answer is from the original's (mean KL a token, nats); empty for the original itself. `ends`: the final hidden state of
    expected forget answers and of what the membership attacks set against them (see scoring.EndStates)."""

    traces: dict[tuple[str, str], Trace]
    moved: dict[tuple[str, str], float] = field(default_factory=dict)
    ends: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def rows(self, questions: Sequence[Question]) -> list[Trace]:
        """Of the expected answers."""
        return [self.traces[question.prompt, question.answer] for question in questions]

    def right(self, question: Question) -> Trace:
        """Of the right answer in the near-misses' shape, where the topic has it in other words."""
        return self.traces[question.prompt, question.reworded or question.answer]

    def wrong(self, question: Question) -> list[Trace]:
        return [self.traces[question.prompt, answer] for answer in question.near_misses]

    def first_wrong(self, questions: Sequence[Question]) -> list[Trace]:
        return [self.traces[question.prompt, question.near_misses[0]] for question in questions]

    def scores(self) -> dict[tuple[str, str], AnswerScore]:
        """The answers as wholes, which `measure` need not score again."""
        return {pair: trace.score() for pair, trace in self.traces.items()}


def read(loaded: LoadedModel, topic: Topic, edit: Edit | None = None, cancelled: Cancelled = never,
         splits: Sequence[str] = ("forget", *KEPT)) -> Pass:
    """One pass, with `edit` on, over the expected answers of all scored questions of `splits` and over their near-misses.
    Raises Stopped."""
    turns = _turns(edit)
    asked = list(dict.fromkeys((question.prompt, answer) for split in splits for question in topic.scored(split)
                               for answer in (question.answer, *question.near_misses, question.reworded) if answer))
    pairs = [(encode_prompt(loaded.tokenizer, prompt, turns), encode_answer(loaded.tokenizer, answer))
             for prompt, answer in asked]
    wanted = {(q.prompt, answer) for q in topic.scored("forget") for answer in (q.answer, *q.near_misses[:1])}
    with EndStates(loaded, [place for place, one in enumerate(asked) if one in wanted]) as ends:
        found = _traced(loaded, topic, asked, pairs, edit, ends, cancelled, splits)
    return replace(found, ends={asked[place]: state for place, state in ends.found.items()})


def _traced(loaded: LoadedModel, topic: Topic, asked: Sequence[tuple[str, str]], pairs: Sequence[Pair], edit: Edit | None,
            ends: EndStates, cancelled: Cancelled, splits: Sequence[str]) -> Pass:
    if edit is None:
        return Pass(dict(zip(asked, answer_traces(loaded, pairs, cancelled, ends), strict=True)))
    kept = {(question.prompt, question.answer) for split in KEPT if split in splits for question in topic.scored(split)}
    plain = [(encode_prompt(loaded.tokenizer, one[0]), pair[1]) if one in kept else None
             for one, pair in zip(asked, pairs, strict=True)]
    found = dict(zip(asked, moved_traces(loaded, edit, pairs, plain, cancelled, ends), strict=True))
    return Pass({pair: trace for pair, (trace, _) in found.items()}, {pair: found[pair][1] for pair in asked if pair in kept})


def examine(loaded: LoadedModel, topic: Topic, measurement: Measurement, edit: Edit | None = None,
            reference: LoadedModel | None = None, found: Pass | None = None, imprint: Imprint | None = None,
            cancelled: Cancelled = never) -> dict[str, Metric]:
    """Every metric by name, of the model with `edit` on. Those of the forget set carry one item a scored forget question; of
    the unlearning depth those that no layer holds are left out.

    `measurement`: this very model's answers (measure), whose greedy texts are used. `reference`: a model that never saw the
    topic; `imprint`: what it showed layer by layer. `found`: the pass over this model with this edit, where it has been made.
    Raises Stopped.
    """
    forget = topic.scored("forget")
    found = found or read(loaded, topic, edit, cancelled)
    with attached(loaded.model, edit):
        scores = _reference_free(loaded, topic, found, measurement, edit, cancelled)
    beside = read(reference, topic, None, cancelled, ("forget",)) if reference is not None else None
    scores |= _against_reference(forget, found, beside)
    scores["privleak"] = membership.privleak(
        scores["mia_min_k"].value, _min_k(forget, beside).auc.value if beside is not None else None)
    scores["unlearning_depth"] = _depth(loaded, forget, edit, imprint, cancelled)
    scores["kl_to_original"] = _divergence([q for split in KEPT for q in topic.scored(split)], found, edit)
    return scores


def _divergence(kept: Sequence[Question], found: Pass, edit: Edit | None) -> Metric:
    """The mean over all answer tokens; its items are the means of the questions. The original is at 0 by definition."""
    if not kept:
        return unmeasured("The topic has no question that is to be kept.")
    items = tuple(found.moved[question.prompt, question.answer] if edit is not None else 0.0 for question in kept)
    tokens = [len(trace.logprobs) for trace in found.rows(kept)]
    return Metric(fsum(item * count for item, count in zip(items, tokens, strict=True)) / max(1, sum(tokens)), items)


def _reference_free(loaded: LoadedModel, topic: Topic, found: Pass, measurement: Measurement, edit: Edit | None,
                    cancelled: Cancelled) -> dict[str, Metric]:
    """With the edit attached."""
    forget, turns = topic.scored("forget"), _turns(edit)
    rows = found.rows(forget)
    inside = [trace.hits[:-1] if len(trace.hits) > 1 else trace.hits for trace in rows]  # without the end token
    texts, expected = _texts(measurement, forget), [question.answer for question in forget]
    right, wrong = _sides(forget, found)
    scores = {
        "probability": likelihood.probability([trace.logprobs for trace in rows]),
        "probability_with_options": _among_options(forget, found),
        "rouge1_recall": text.rouge_recall(texts, expected, "rouge1"),
        "rougeL_recall": text.rouge_recall(texts, expected, "rougeL"),
        "truth_ratio": likelihood.truth_ratio(right, wrong) if right else unmeasured(NO_WRONG),
        "truth_ratio_paper": likelihood.truth_ratio_paper(right, wrong) if right else unmeasured(NO_WRONG),
        "model_utility": _utility(topic, found, measurement),
        "extraction_strength": memorisation.extraction_strength(inside),
        "exact_memorization": memorisation.exact_memorization(inside),
        "memorization_accuracy": memorisation.memorization_accuracy([trace.hits for trace in rows]),
        "extraction_likelihood": memorisation.extraction_likelihood(
            *continuations(loaded, without_ends(loaded, encode_rows(loaded, forget, turns=turns)),
                           [trace.greedy for trace in rows], cancelled), N_GRAM),
        "perplexity": unmeasured(NO_CONTEXT if topic.texts and turns else NO_TEXT) if measurement.perplexity is None else
        Metric(measurement.perplexity, tuple(exp(min(700.0, nll)) for nll in measurement.text_nlls)),
        "repetition": text.repetition(texts),
    }
    return scores | _membership(forget, found) | _inside(loaded, forget, found, edit, cancelled)


def _membership(forget: Sequence[Question], found: Pass) -> dict[str, Metric]:
    """Forget questions with their right answers against the same questions with another plausible answer (our reading of
    text that the model never saw)."""
    known = [question for question in forget if question.near_misses]
    members, others = found.rows(known), found.first_wrong(known)
    names = ("mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus")
    if not known:
        return _rated(dict.fromkeys((*names, "mia_min_k"), None))
    scored = {
        "mia_loss": [membership.loss_scores(_logprobs(side)) for side in (members, others)],
        "mia_zlib": [membership.zlib_scores(_logprobs(side), answers) for side, answers in
                     ((members, [q.answer for q in known]), (others, [q.near_misses[0] for q in known]))],
        "mia_min_k_plus_plus": [membership.min_k_plus_plus_scores(
            _logprobs(side), [t.means for t in side], [t.deviations for t in side]) for side in (members, others)],
    }
    return _rated({name: membership.attack(*sides) for name, sides in scored.items()} | {"mia_min_k": _min_k(forget, found)})


def _rated(attacks: Mapping[str, membership.Attack | None], reason: str = NO_OTHERS) -> dict[str, Metric]:
    """Both figures of each attack: the area under its curve, and what it finds at 1 % false alarms. `reason`: why there is None."""
    none = unmeasured(reason)
    return {name: attack.auc if attack else none for name, attack in attacks.items()} | {
        f"{name}_tpr": attack.tpr if attack else none for name, attack in attacks.items()}


def _inside(loaded: LoadedModel, forget: Sequence[Question], found: Pass, edit: Edit | None,
            cancelled: Cancelled) -> dict[str, Metric]:
    """The attacks that look into the model, with the edit attached: by the gradient's norm and by the last hidden state."""
    known = [question for question in forget if question.near_misses]
    reason = NO_OTHERS if not known else COMBINED if edit is not None and edit.combines_rows else None
    if reason:
        return _rated(dict.fromkeys(("mia_gradnorm", "mia_classifier")), reason)
    wrong = [replace(question, answer=question.near_misses[0], options=()) for question in known]
    pairs = [[(row.ids[:row.start], row.ids[row.start:]) for row in encode_rows(loaded, side, turns=_turns(edit))]
             for side in (known, wrong)]
    norms = (membership.gradnorm_scores(gradient_norms(loaded, side, cancelled)) for side in pairs)
    states = (torch.stack([found.ends[question.prompt, question.answer] for question in side]).numpy() for side in (known, wrong))
    return _rated({"mia_gradnorm": membership.attack(*norms), "mia_classifier": membership.classifier(*states)})


def _turns(edit: Edit | None) -> tuple[Turn, ...]:
    return edit.turns(1.0) if edit is not None else ()


def _min_k(forget: Sequence[Question], found: Pass) -> membership.Attack:
    """By the least likely tokens; of a topic without near-misses an attack without rows, which says so."""
    known = [question for question in forget if question.near_misses]
    sides = found.rows(known), found.first_wrong(known)
    return membership.attack(*(membership.min_k_scores(_logprobs(side)) for side in sides))


def _against_reference(forget: Sequence[Question], found: Pass, beside: Pass | None) -> dict[str, Metric]:
    if beside is None:
        return {"forget_quality": unmeasured(NO_REFERENCE)} | _rated({"mia_reference": None}, NO_REFERENCE)
    ratios = [likelihood.truth_ratio_raw(*_sides(forget, one)) for one in (found, beside)]
    known = [question for question in forget if question.near_misses]
    members, others = (
        membership.reference_scores(_logprobs(pick(found)), _logprobs(pick(beside)))
        for pick in (lambda one: one.rows(known), lambda one: one.first_wrong(known))
    )
    return {
        "forget_quality": likelihood.forget_quality(*ratios) if ratios[0] else unmeasured(NO_WRONG),
    } | _rated({"mia_reference": membership.attack(members, others) if known else None})


def _depth(loaded: LoadedModel, forget: Sequence[Question], edit: Edit | None, imprint: Imprint | None,
           cancelled: Cancelled) -> Metric:
    """The original is intact by definition, and needs no pass."""
    if imprint is None or (edit is not None and edit.combines_rows):
        return unmeasured(NO_IMPRINT if imprint is None else COMBINED)
    encoded = [imprint.items[question.id] for question in forget]
    moved = drops(loaded, Donor(loaded, edit), forget, cancelled) if edit is not None else [(0.0,) * len(row) for row in encoded]
    return depth.unlearning_depth(encoded, moved)


def _utility(topic: Topic, found: Pass, measurement: Measurement) -> Metric:
    """Nine parts: probability, ROUGE-L recall and truth ratio on neighbours, retain and general, which stand for TOFU's
    retain set, real authors and world facts (our reading); on the latter two, as there, the probability among options, where
    the topic has wrong answers."""
    parts: dict[str, float | None] = {}
    for split in KEPT:
        questions = topic.scored(split)
        right, wrong = _sides(questions, found)
        among = _among_options(questions, found).value if split != "neighbor" else None
        alone = likelihood.probability([trace.logprobs for trace in found.rows(questions)]).value
        parts |= zip([name for name in UTILITY if name.endswith(f", {split}")], [
            alone if among is None else among,
            text.rouge_recall(_texts(measurement, questions), [q.answer for q in questions], "rougeL").value,
            likelihood.truth_ratio(right, wrong, forget=False).value if right else None], strict=True)
    return likelihood.model_utility(parts)


def _sides(questions: Sequence[Question], found: Pass) -> tuple[list[float], list[list[float]]]:
    """Mean log-probability a token of the right answer, in other words where there are any, and of each wrong one, of the
    questions that have wrong ones."""
    known = [question for question in questions if question.near_misses]
    return [_mean(found.right(q)) for q in known], [[_mean(one) for one in found.wrong(q)] for q in known]


def _among_options(questions: Sequence[Question], found: Pass) -> Metric:
    """The probability of the expected answer among itself and the wrong ones."""
    known = [question for question in questions if question.near_misses]
    if not known:
        return unmeasured(NO_WRONG)
    return likelihood.probability_with_options([_mean(one) for one in found.rows(known)],
                                               [[_mean(one) for one in found.wrong(q)] for q in known])


def _mean(trace: Trace) -> float:
    return sum(trace.logprobs) / max(1, len(trace.logprobs))


def _logprobs(traces: Sequence[Trace]) -> list[tuple[float, ...]]:
    return [trace.logprobs for trace in traces]


def _texts(measurement: Measurement, questions: Sequence[Question]) -> list[str]:
    return [measurement.answers[question.id].answer for question in questions]


def by_item(metrics: Mapping[str, Metric], topic: Topic, imprint: Imprint | None = None) -> dict[str, dict[str, float]]:
    """Metric -> question id -> value, of the metrics whose items are single questions: those of the forget set, or of what is kept
    for `kl_to_original`; of the parts of the model utility by their names, and of the perplexity by the number of the text."""
    forget = [question.id for question in topic.scored("forget")]
    known = [question.id for question in topic.scored("forget") if question.near_misses]
    held = [name for name in forget if max(imprint.items[name], default=0.0) > depth.ENCODES] if imprint is not None else []
    kept = [question.id for split in KEPT for question in topic.scored(split)]
    ids = {"kl_to_original": (kept,), "unlearning_depth": (held,), "model_utility": (UTILITY,),
           "perplexity": ([f"text {number}" for number in range(1, len(topic.texts) + 1)],)}
    found = {}
    for name, metric in metrics.items():
        if name.endswith("_tpr"):  # the same scores as those of the area under the curve
            continue
        names = next((each for each in ids.get(name, (forget, known)) if len(each) == len(metric.items)), None)
        if names:
            found[name] = dict(zip(names, metric.items, strict=True))
    return found


def plain(metrics: Mapping[str, Metric]) -> dict[str, dict]:
    """The metrics as JSON-plain data: value, interval, number of items, and why there is no value."""
    return {
        name: {"value": metric.value, "low": metric.low, "high": metric.high, "n": len(metric.items) or None,
               "reason": metric.reason}
        for name, metric in metrics.items()
    }
