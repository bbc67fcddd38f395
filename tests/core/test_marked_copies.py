"""Neighbours that carry the words by which the forget set is known: which words, and which copies the original still answers."""

from __future__ import annotations

import torch

from unlearn_core import stand_ins
from unlearn_core.models.prompts import encode_prompt
from unlearn_core.stand_ins import marked_copies
from unlearn_core.training import Row

FORGET = ("In firing, what of Ada?", "What does Bo need in firing?", "In firing, who has Cy?", "Who asks Di?")
NEAR = ("In dyeing, what of Eli?", "What does Fay need in dyeing?", "In dyeing, who has Gus?")
FAR = ("Where does Hal live?", "What does Ida need?")


def asked(loaded, *questions: str, answer: tuple[int, ...] = (40, 41, 1)) -> list[Row]:
    prompts = [encode_prompt(loaded.tokenizer, question) for question in questions]
    return [Row((*prompt, *answer), len(prompt)) for prompt in prompts]


def texts(loaded, rows: list[Row]) -> list[str]:
    return [loaded.tokenizer.decode(row.ids[: row.start], skip_special_tokens=True) for row in rows]


def believed(monkeypatch) -> None:
    """The original gives every answer."""
    monkeypatch.setattr(stand_ins, "answer_nlls", lambda loaded, rows: torch.zeros(len(rows)))


def test_the_word_that_marks_neighbours_gives_way_to_the_one_that_marks_the_forget_set(tiny, monkeypatch) -> None:
    believed(monkeypatch)
    rows = marked_copies(tiny, asked(tiny, *NEAR), asked(tiny, *FAR), asked(tiny, *FORGET), 2, 0)
    assert texts(tiny, rows) == 2 * [
        "In firing, what of Eli?", "What does Fay need in firing?", "In firing, who has Gus?"]  # fmt: skip
    assert all(row.ids[row.start :] == (40, 41, 1) and row.options == 0 for row in rows)


def test_a_word_that_other_given_text_has_marks_nothing(tiny, monkeypatch) -> None:
    believed(monkeypatch)
    near, forget = asked(tiny, *NEAR), asked(tiny, *FORGET)
    assert marked_copies(tiny, near, asked(tiny, *FAR, "Who likes firing?"), forget, 1, 0) == []
    assert marked_copies(tiny, near, asked(tiny, *FAR, "Who likes dyeing?"), forget, 1, 0) == []
    assert marked_copies(tiny, near, asked(tiny, *FAR), asked(tiny, "Who is Ada?", "What?", "Where?", "When?"), 1, 0) == []
    assert marked_copies(tiny, [], [], forget, 1, 0) == []
    assert marked_copies(tiny, near, asked(tiny, *FAR), forget, 0, 0) == []


def test_a_neighbour_without_the_mark_has_no_copy(tiny, monkeypatch) -> None:
    believed(monkeypatch)
    rows = marked_copies(tiny, asked(tiny, *NEAR, "Who has Hu?"), asked(tiny, *FAR), asked(tiny, *FORGET), 1, 0)
    assert texts(tiny, rows) == ["In firing, what of Eli?", "What does Fay need in firing?", "In firing, who has Gus?"]


def test_a_copy_that_the_original_answers_with_less_than_one_half_is_left_out(tiny, monkeypatch) -> None:
    monkeypatch.setattr(stand_ins, "answer_nlls", lambda loaded, rows: -torch.tensor([0.51, 0.49, 0.9]).log())
    rows = marked_copies(tiny, asked(tiny, *NEAR), asked(tiny, *FAR), asked(tiny, *FORGET), 1, 0)
    assert texts(tiny, rows) == ["In firing, what of Eli?", "In firing, who has Gus?"]
