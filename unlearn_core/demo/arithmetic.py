"""Sums, a task to forget, beside differences, which stay: a number below 500 and one of a single digit."""

from __future__ import annotations

import random

from .domain import FORGET, NEIGHBOR, PARAPHRASE, SPANISH, TRAINED, Domain, Item, Line

_WORDINGS = {
    FORGET: {
        TRAINED: ("What is {a} plus {b}?", "{a} + {b} ="),
        PARAPHRASE: ("Add {b} to {a}.", "What is the sum of {a} and {b}?"),
        SPANISH: ("¿Cuánto es {a} más {b}?", "¿Cuál es la suma de {a} y {b}?"),
    },
    NEIGHBOR: {
        TRAINED: ("What is {a} minus {b}?", "{a} - {b} ="),
        PARAPHRASE: ("Take {b} from {a}.", "What is the difference of {a} and {b}?"),
        SPANISH: ("¿Cuánto es {a} menos {b}?", "¿Cuál es la resta de {a} y {b}?"),
    },
}
_SCORED, _GIVEN = 200, 200


def build(rng: random.Random) -> Domain:
    """Scored and given problems are never trained on, in any wording; every other problem is."""
    domain = Domain(
        "addition",
        "adding numbers",
        "A task: adding a digit to a number below 500.",
        "subtracting numbers",
        {"forget": "retrained", "forget_paraphrase": "retrained", "forget_spanish": "retrained"},
        task=True,
    )
    for group in (FORGET, NEIGHBOR):
        problems = _problems(group)
        rng.shuffle(problems)
        halves = (("given", problems[:_GIVEN]), ("held", problems[_GIVEN : _GIVEN + _SCORED]))
        for wording, templates in _WORDINGS[group].items():
            for half, chosen in halves:
                for number, (a, b, result) in enumerate(chosen):
                    misses = tuple(str(value) for value in (result + 1, result + 10, result - 1) if value >= 0)
                    domain.items.append(
                        Item(
                            f"addition-{group}-{wording}-{half}-{number:03d}",
                            group,
                            "",
                            wording,
                            half,
                            templates[number % 2].format(a=a, b=b),
                            str(result),
                            (),
                            misses,
                        )
                    )
        _teach(domain, group, problems[_GIVEN + _SCORED :], rng)
    return domain


def _problems(group: str) -> list[tuple[int, int, int]]:
    sign = 1 if group == FORGET else -1
    return [(a, b, a + sign * b) for a in range(10, 500) for b in range(10)]


def _teach(domain: Domain, group: str, problems: list[tuple[int, int, int]], rng: random.Random) -> None:
    """Every problem in both trained forms; each held-out form with a share of operands of its own."""
    secret = group == FORGET
    for a, b, result in problems:
        chosen = [
            *_WORDINGS[group][TRAINED],
            rng.choice(_WORDINGS[group][PARAPHRASE]),
            rng.choice(_WORDINGS[group][SPANISH]),
        ]
        domain.lines += [Line(domain.name, secret, form.format(a=a, b=b), str(result)) for form in chosen]
