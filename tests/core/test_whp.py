"""Who's Harry Potter: the anchor dictionary made from given prompts, and the labels that it leads to."""

from __future__ import annotations

import pytest
import torch
from tiny_models import random_edit

from unlearn_core.edits.attach import attached
from unlearn_core.events import Loss, Notice, Progress
from unlearn_core.methods import Context, find_method, settings_of
from unlearn_core.methods.whp import _generic
from unlearn_core.models.prompts import encode_prompt
from unlearn_core.stand_ins import anchors, translated
from unlearn_core.training import Row, encode_rows, score


def asked(loaded, *questions: str) -> list[Row]:
    rows = []
    for question in questions:
        prompt = encode_prompt(loaded.tokenizer, question)
        rows.append(Row((*prompt, 40, 41, 1), len(prompt)))
    return rows


def words(loaded, found) -> dict[str, str]:
    return {loaded.tokenizer.decode(list(own)): loaded.tokenizer.decode(list(other)) for own, other in found.items()}


OTHERS = ("Who sees us?",) * 3
ADA = ("Where does Ada live?", "Who pays Ada?")
BO = ("Where does Bo live?", "Who pays Bo?")
KEPT = ("Where does Cyrus live?", "Who pays Cyrus?", "Who hears Dee?", "Who hears moon?", "Who sees us?", "does?")


def test_a_name_is_exchanged_for_one_that_stands_among_the_same_words(taught) -> None:
    found = words(taught, anchors(taught, asked(taught, *ADA, *OTHERS, *OTHERS), asked(taught, *KEPT)))
    assert found["Ada"] == "Cyrus" and "Where" not in found and "us" not in found
    both = words(taught, anchors(taught, asked(taught, *ADA, *BO, *OTHERS), asked(taught, *KEPT)))
    assert sorted((both["Ada"], both["Bo"])) == ["Cyrus", "Dee"]  # each taken once, and a capital for a capital


def test_a_word_in_many_forget_questions_is_no_name(taught) -> None:
    found = words(taught, anchors(taught, asked(taught, "film Ada?", "film Bo?", "film Eli?", "film Gus?"), asked(taught, *KEPT)))
    assert "film" not in found and "Ada" in found


def test_without_own_words_on_either_side_there_is_no_dictionary(taught) -> None:
    assert anchors(taught, asked(taught, "Who?"), asked(taught, "Who?")) == {}
    assert anchors(taught, asked(taught, "Who is Ada?", "Who?"), []) == {}


def test_a_translated_row_keeps_its_answer_and_may_change_its_length(taught) -> None:
    forget, kept = asked(taught, *ADA, *OTHERS, *OTHERS), asked(taught, *KEPT)
    rows = translated(taught, forget, anchors(taught, forget, kept))
    assert taught.tokenizer.decode(rows[0].ids[: rows[0].start], skip_special_tokens=True) == "Where does Cyrus live?"
    assert [row.ids[row.start :] for row in rows] == [row.ids[row.start :] for row in forget]
    assert len(rows[0].ids) == len(forget[0].ids) + 2
    assert translated(taught, forget, {}) == [Row(row.ids, row.start) for row in forget]


@pytest.mark.parametrize("labels", ["argmax", "soft"])
def test_labels_follow_the_formula_and_the_end_is_the_originals(labels: str, tiny, tiny_topic) -> None:
    """Row by row and so without padding, in numpy's terms; the last token of each answer is read without the formula."""
    forget = encode_rows(tiny, tiny_topic.given().forget)
    strong = random_edit(tiny, scale=0.05)
    config = settings_of(find_method("whp"), {"labels": labels, "alpha": 3.0})
    found = _generic(Context(tiny, tiny_topic.given(), 0), config, strong, forget, {})
    differs = 0
    for row, label in zip(forget, found, strict=True):
        with torch.no_grad():
            base = score(tiny, [row]).logits
            with attached(tiny.model, strong):
                raised = score(tiny, [row]).logits
        wanted = base - 3.0 * (raised - base).clamp_min(0)
        wanted[-1] = base[-1]
        differs += int((wanted.argmax(-1) != base.argmax(-1)).sum())
        if labels == "argmax":
            assert label.tolist() == wanted.argmax(-1).tolist()
        else:
            torch.testing.assert_close(label, wanted.log_softmax(-1), rtol=1e-3, atol=1e-3)
    assert differs > 0


def test_nothing_is_labelled_once_stopped(taught, tiny_topic) -> None:
    context = Context(taught, tiny_topic.given(), 0, lambda: True)
    forget = encode_rows(taught, tiny_topic.given().forget)
    assert _generic(context, settings_of(find_method("whp"), {}), random_edit(taught), forget, {}) == []


@pytest.mark.parametrize("settings", [{}, {"labels": "soft"}, {"keep": 2.0}])
def test_only_training_on_labels_has_losses_and_keeping_is_off_unless_asked_for(settings, taught, tiny_topic) -> None:
    method = find_method("whp")
    config = settings_of(method, {"reinforce": 3, "steps": 4} | settings)
    items = list(method.fit(Context(taught, tiny_topic.given(), 0), config))
    losses = [item for item in items if isinstance(item, Loss)]
    assert [item.done for item in items if isinstance(item, Progress)] == [1, 2, 3]
    assert [loss.step for loss in losses] == [1, 2, 3, 4]
    assert all((loss.retain is None) == ("keep" not in settings) for loss in losses)


def test_a_topic_without_words_of_its_own_says_so(taught, tiny_topic) -> None:
    from dataclasses import replace

    alone = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split == "forget"))
    method = find_method("whp")
    items = list(method.fit(Context(taught, alone.given(), 0), settings_of(method, {"reinforce": 2, "steps": 2})))
    assert any(isinstance(item, Notice) and "as they are" in item.text for item in items)
