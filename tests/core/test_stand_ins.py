"""Altered copies of questions: what may change in them, what must not, and where the new tokens come from."""

from __future__ import annotations

from unlearn_core.models.loading import LoadedModel
from unlearn_core.stand_ins import (
    foreign_tokens,
    names_of,
    own_names,
    prompt_tokens,
    proper_names,
    renamed,
    scrambled,
    template_marks,
)
from unlearn_core.training import Row

BEGIN, ASK, ANSWER = 1, 2, 3
POOL = (90, 91, 92)
# Twenty questions of one wording (10, 11) about twenty things (20 to 39), each with an answer of its own.
ROWS = [Row((BEGIN, 10, 11, 20 + place, ANSWER, 50 + place), 5) for place in range(20)]
MARKS = {BEGIN, ANSWER}


def test_a_name_is_what_only_forget_questions_call_somebody() -> None:
    asked = ["Where does Ada Byron live?", "What is the job of Ada Byron?", "Whose friend is Ada Byron?"]
    assert proper_names(asked, ["Where does Ada Pike live?", "What is the job of Tom Byron?"]) == {"Ada Byron"}
    assert proper_names(asked, ["Who met Ada Byron?"]) == set()


def test_words_that_begin_sentences_are_no_names() -> None:
    asked = ["Add 3 and 5. Now say it.", "What is 3 plus 5?", "¿Cuánto es 3 más 5?", "Tell me: How much is it?", "add 3 and 5", ""]
    assert proper_names(asked, []) == set()
    assert proper_names(["What do Crurmont and Bly O'Hara share?"], []) == {"Crurmont", "Bly O", "Hara"}


def test_renamed_exchanges_what_is_asked_about_and_keeps_how_it_is_asked() -> None:
    for before, after in zip(ROWS, renamed(ROWS, 1.0, POOL, MARKS, 0), strict=True):
        assert after.ids[:3] == before.ids[:3] and after.ids[4:] == before.ids[4:]
        assert after.ids[3] in POOL
        assert after.start == before.start


def test_scrambled_exchanges_anything_but_the_template_and_the_answer() -> None:
    for before, after in zip(ROWS, scrambled(ROWS, 1.0, POOL, MARKS, 0), strict=True):
        assert after.ids[0] == BEGIN and after.ids[4:] == before.ids[4:]
        assert set(after.ids[1:4]) <= set(POOL)


def test_the_share_is_the_share_and_none_changes_nothing() -> None:
    assert renamed(ROWS, 0.0, POOL, MARKS, 0) == ROWS
    many = [Row((BEGIN, *range(1000 + 50 * place, 1050 + 50 * place), ANSWER, 5), 52) for place in range(40)]
    changed = sum(token in POOL for row in scrambled(many, 0.3, POOL, MARKS, 0) for token in row.ids)
    assert abs(changed / 2000 - 0.3) < 0.05  # five standard deviations


def test_the_same_seed_gives_the_same_copies_and_another_gives_others() -> None:
    assert scrambled(ROWS, 0.5, POOL, MARKS, 4) == scrambled(ROWS, 0.5, POOL, MARKS, 4)
    assert scrambled(ROWS, 0.5, POOL, MARKS, 4) != scrambled(ROWS, 0.5, POOL, MARKS, 5)


def test_the_options_of_one_forced_choice_keep_one_prompt() -> None:
    forced = [Row((BEGIN, 10, 20 + place, ANSWER, option), 4, 2) for place in range(20) for option in (60, 61)]
    copies = scrambled(forced, 0.9, POOL, MARKS, 0)
    assert [row.ids[4] for row in copies] == [60, 61] * 20 and {row.options for row in copies} == {2}
    assert all(one.ids[:4] == other.ids[:4] for one, other in zip(copies[::2], copies[1::2], strict=True))
    assert prompt_tokens(forced) == [token for row in forced[::2] for token in row.ids[:4]]


def test_the_marks_of_the_template_are_the_tokens_of_every_prompt() -> None:
    assert template_marks([*ROWS, Row((BEGIN, 70, ANSWER, 8), 3)]) == MARKS
    assert template_marks([]) == set()


def test_own_names_are_what_only_forget_prompts_have_and_few_of_them() -> None:
    kept = [Row((BEGIN, 10, 11, 80 + place, ANSWER, 8), 5) for place in range(4)]
    assert own_names(ROWS, kept) == set(range(20, 40))
    assert own_names([*ROWS, *(Row((BEGIN, 12, ANSWER, 8), 3) for _ in range(20))], kept) == set(range(20, 40))  # 12: half
    assert own_names(ROWS, [*kept, *ROWS[:5]]) == set(range(25, 40))


def test_foreign_tokens_are_all_but_special_ones_and_those_of_forget_prompts_alone(tiny: LoadedModel) -> None:
    plain = foreign_tokens(tiny, [], [])
    special = set(tiny.tokenizer.all_special_ids)
    assert special and not special & set(plain) and plain == sorted(set(plain))
    own, shared, kept = plain[:3]
    forget, keep = Row((own, shared, 9), 2), Row((shared, kept, 9), 2)
    assert set(plain) - set(foreign_tokens(tiny, [forget], [keep])) == {own}


def test_the_names_of_forget_prompts_are_their_own_tokens_and_the_rare_ones() -> None:
    """Each thing (20 to 39) is in one of twenty prompts, each family (60 to 64) in four; a kept prompt has 20 and 61 too."""
    asked = [Row((BEGIN, 10, 11, 20 + place, 60 + place % 5, ANSWER, 50), 6) for place in range(20)]
    kept = [Row((BEGIN, 10, 12, 20, 61, ANSWER, 50), 6)]
    assert names_of(asked, kept) == set(range(20, 40)) | {60, 62, 63, 64}
