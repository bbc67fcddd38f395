"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) towards refusals, as in NPO's study (arXiv 2404.05868).

L = −(2/β) · mean log σ(β · (m(refusal) − m(answer))) + w · NLL(retain), with m(y) = NLL₀(y) − NLL(y), sums over tokens, NLL₀ the
original's, computed once. Each given forget question is paired with its answer as the rejected one and a refusal ("I don't
know" and the like, a short list of ours) as the preferred one; a pair is always drawn together. The factor 2/β, which keeps
the gradient's size comparable over β, the LoRA change and β 0.05 are our reading: under the usual 0.1 a long refusal that becomes
likely settles a pair before its short answer has become unlikely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import BatchLoss, Scored

PAIRED_ROWS = 32  # 16 pairs


class DpoConfig(MethodConfig):
    """Settings of direct preference optimisation."""

    beta: float = Field(0.05, ge=1e-3, le=10.0, description="How early a pair is let go once the refusal is preferred")
    retain_weight: float = Field(2.0, ge=0.0, le=100.0, description="Weight of the loss on given text to keep")
    steps: int = Field(60, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: DpoConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, the edit and its spectra."""
    from ..objectives import answer_nll
    from ..stand_ins import refused
    from ..training import Change, Plan, answer_nlls, given_rows, on_answers, paired, train, trained_edit

    answers, retain = given_rows(context)
    forget = paired(refused(context.loaded, context.given.forget, context.seed), answers)
    reference = answer_nlls(context.loaded, forget, cancelled=context.cancelled)
    if context.cancelled():
        return
    change = Change(context.loaded.model, rank=config.rank, seed=context.seed)
    yield from trained_edit(
        context,
        change,
        train(
            context,
            change,
            Plan(config.steps, config.rate, forget_rows=PAIRED_ROWS),
            forget,
            retain,
            _prefers_refusals(reference, config.beta),
            on_answers(answer_nll, weight=config.retain_weight),
        ),
    )


def _prefers_refusals(reference: Tensor, beta: float) -> BatchLoss:
    """The loss on pairs of rows, a refusal and an answer each; `reference` (rows,) are the original's NLLs."""
    from ..objectives import dpo
    from ..training import row_nlls

    def loss(part: Scored, places: Sequence[int]) -> Tensor:
        nll, original = row_nlls(part), reference[places]
        return dpo(nll[0::2], nll[1::2], original[0::2], original[1::2], beta)

    return loss


METHOD = Method(
    "dpo",
    "DPO",
    "Rafailov et al. 2023, arXiv 2305.18290",
    "preference",
    'Prefers "I don\'t know" to the forget answers.',
    "beta",
    DpoConfig,
    (("train", "Train against the topic"), ("describe", "Compare the spectra")),
    fit,
    cost="one short training run on pairs of answers",
)
