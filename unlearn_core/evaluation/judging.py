"""Whether an answer counts as known. Pure text; knows no model.

Normalisation and the two readings (containment for the forget splits, equality for all that is to be kept) are the
project's own: on the forget side a right answer inside a longer one still is knowledge.
"""

from __future__ import annotations

import re
import unicodedata

from ..topics.topic import Question

_ARTICLES = {"a", "an", "the"}
_APOSTROPHES = re.compile(r"['\u2018\u2019\u02bc`\u00b4]")
_GROUPING = re.compile(r"(?<=\d),(?=\d{3}\b)")  # 12,345
_INSIDE_NUMBER = re.compile(r"(?<=\d)\.(?=\d)")
_MINUS = re.compile(r"(?<!\S)[-\u2212](?=\d)")
_POINT_MARK, _MINUS_MARK = "\0", "\1"  # stand-ins while punctuation is stripped


def normalise(text: str) -> str:
    """NFKC, casefold, first non-empty line, punctuation and English articles stripped, single spaces.

    A minus before a number and a decimal point stay, because they change it. An answer that consists of nothing but
    articles ("A" as a choice) keeps them.
    """
    words = _words(text)
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def same(first: str, second: str) -> bool:
    """Whether two texts are equal once normalised."""
    return normalise(first) == normalise(second)


def contains(answer: str, expected: str) -> bool:
    """Whether `expected` appears anywhere in `answer` as whole words, with or without articles."""
    pairs = ((normalise(answer), normalise(expected)), (" ".join(_words(answer)), " ".join(_words(expected))))
    return any(part and f" {part} " in f" {whole} " for whole, part in pairs)


def known(question: Question, answer: str) -> bool:
    """Forget splits: the expected answer appears anywhere, as whole words. Every other split: equality."""
    if question.split.startswith("forget"):
        return contains(answer, question.answer)
    return same(answer, question.answer)


def answered(question: Question, answer: str) -> bool:
    """Whether an answer is one of the question's options."""
    return any(same(answer, option) for option in question.options)


def _words(text: str) -> list[str]:
    lines = unicodedata.normalize("NFKC", text).casefold().strip().splitlines()
    line = _GROUPING.sub("", _APOSTROPHES.sub("", lines[0] if lines else ""))
    line = _INSIDE_NUMBER.sub(_POINT_MARK, _MINUS.sub(_MINUS_MARK, line))
    kept = "".join(letter if _counts(letter) else " " for letter in line)
    return kept.replace(_POINT_MARK, ".").replace(_MINUS_MARK, "-").split()


def _counts(letter: str) -> bool:
    return letter in (_POINT_MARK, _MINUS_MARK) or unicodedata.category(letter)[0] in "LNM"
