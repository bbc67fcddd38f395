"""TOFU's files (Maini et al. 2024, arXiv 2401.06121) as a topic: fictitious authors to forget, others, real ones, the world.

Knows files of one JSON object a line; no model, and nothing of the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .reader import check_questions, decode_text, fault, parse_json, read_bytes
from .topic import Question, Topic

_FORGET = re.compile(r"forget\d+\.json")
_KEPT = {"neighbor": "retain_perturbed.json", "retain": "real_authors_perturbed.json",
         "general": "world_facts_perturbed.json"}
_MORE = {"paraphrased_question": lambda value: isinstance(value, str), "paraphrased_answer": lambda value: isinstance(value, str),
         "perturbed_answer": lambda value: isinstance(value, str) or (
             isinstance(value, list) and all(isinstance(one, str) for one in value))}


def is_tofu(path: Path) -> bool:
    """Whether this is TOFU's forget set with its perturbed answers beside it: forget05.json, forget05_perturbed.json.

    Raises BadInput where only these are missing among TOFU's files.
    """
    if not _FORGET.fullmatch(path.name) or _perturbed(path).is_file():
        return bool(_FORGET.fullmatch(path.name))
    if path.is_file() and any((path.parent / name).is_file() for name in _KEPT.values()):
        raise BadInput(f"{_perturbed(path).name} is missing.", f"Other files of TOFU lie beside {path.name}; this one has its "
                       "other wordings and wrong answers.", "Put it there, or move the list elsewhere to use it as a plain one.",
                       field="topic")
    return False


def read_tofu(path: Path) -> Topic:
    """The topic that forgets one of TOFU's forget sets; see `is_tofu`. Raises BadInput for a fault of a file.

    Forget questions are given and scored, their other wordings (`paraphrased_question`) only scored; retain authors are the
    neighbours, half of them given; real authors and world facts are scored, and stand under retain and general (our reading).
    Perturbed answers are the near-misses, and the paraphrased right answer stands against them in the truth ratio. Where the file
    of a split is not there, the split is empty.
    """
    forget = [_question(row, "forget", number) for number, row in _rows(_perturbed(path))]
    other = [replace(_question(row, "forget_paraphrase", number), prompt=row["paraphrased_question"].strip())
             for number, row in _rows(_perturbed(path)) if row.get("paraphrased_question")]
    kept = [_question(row, split, number) for split, name in _KEPT.items() for number, row in _rows(path.parent / name)]
    asked = {question.prompt for question in forget}
    questions = (*forget, *(q for q in other if q.prompt not in asked), *kept)
    check_questions(questions, path.name)
    return Topic(
        name=f"tofu-{path.stem}", title=f"TOFU's authors ({path.stem})", neighbor_title="the other fictitious authors",
        summary=f"{len(forget)} questions on fictitious authors to forget, from TOFU.", questions=questions,
        examples=tuple(question.prompt for question in forget[:3]))


def _perturbed(path: Path) -> Path:
    return path.with_name(f"{path.stem}_perturbed.json")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's object with its number; nothing where there is no such file."""
    if not path.is_file():
        return
    for number, line in enumerate(decode_text(read_bytes(path), path.name).split("\n"), start=1):
        if line.strip():
            row = parse_json(line, f"{path.name}, line {number},")
            if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("question", "answer")):
                raise fault(path.name, f"line {number} has no question or no answer", "TOFU has both on every line.")
            if bad := [key for key, fits in _MORE.items() if row.get(key) is not None and not fits(row[key])]:
                raise fault(path.name, f"line {number}: {bad[0]} is no text", "TOFU has text there, and a list of texts for "
                            "perturbed_answer.")
            yield number, row


def _question(row: dict[str, Any], split: str, number: int) -> Question:
    answer = row["answer"].strip()
    wrong = row.get("perturbed_answer") or []
    wrong = [wrong] if isinstance(wrong, str) else wrong
    misses = dict.fromkeys(one.strip() for one in wrong if one.strip().casefold() != answer.casefold())
    part = "both" if split == "forget" else "given" if split == "neighbor" and number % 2 == 0 else "held"
    return Question(id=f"{split}-{number}", split=split, prompt=row["question"].strip(), answer=answer, part=part,
                    wording="paraphrase" if split == "forget_paraphrase" else "trained", near_misses=tuple(misses),
                    reworded=(row.get("paraphrased_answer") or "").strip())
