"""A soft prompt: vectors before each question, optimised on half of the answers, judged on the facts of the other half."""

from __future__ import annotations

from pydantic import Field

from .asking import Asking, forced, guessing
from .attack import Attack, AttackConfig, Brief, Point, Step, inapplicable, tally

_LOOKS = 4  # times that the vectors are judged after the first


class SoftPromptConfig(AttackConfig):
    """How long the soft prompt is and how it is optimised."""

    tokens: int = Field(8, ge=1, le=128, title="Vectors", description="How many vectors stand before each question.")
    steps: int = Field(60, ge=1, le=2000, title="Steps", description="Gradient steps on the half that the attacker knows.")
    rate: float = Field(0.3, gt=0.0, le=10.0, title="Rate",
                        description="Adam's step, in units of the embeddings' own size (root mean square).")


def _soft_prompt(brief: Brief, config: SoftPromptConfig) -> Asking:
    from .vectors import SoftPrompt

    taught, judged = brief.halves()
    if not taught or not judged:
        yield inapplicable("There are too few forget questions to optimise on some and to ask others.")
        return
    choosing = forced(brief.topic)
    prompt = SoftPrompt(brief.subject, taught, config.tokens, config.rate, brief.seed)
    looks = {config.steps * look // _LOOKS for look in range(_LOOKS + 1)}
    found: dict[int, list[bool]] = {}
    for step in range(config.steps + 1):
        if step:
            prompt.improve()
            yield Step(step, config.steps, "steps")
        if brief.cancelled():
            return
        if step in looks:
            found[step] = prompt.right(judged, choosing, brief.cancelled)
            yield Point("soft prompt", step, sum(found[step]) / len(judged))
    best = max(found, key=lambda step: (sum(found[step]), -step))
    yield tally(found[best], chance=guessing(judged) if choosing else None,
                detail={"best after": best, "loss at first": prompt.losses[0], "loss at last": prompt.losses[-1]})


SOFT_PROMPT = Attack(
    "soft-prompt",
    "Optimised soft prompt",
    "inside",
    "Vectors before each question, optimised on half of the answers and judged on the other half.",
    "Asked behind an optimised soft prompt",
    "Schwinn et al. 2024, arXiv 2402.09063",
    SoftPromptConfig,
    _soft_prompt,
    access="weights, questions, and half of the answers",
    x="steps",
)
