"""RMU, representation misdirection (Li et al. 2024, the WMDP paper, arXiv 2403.03218): hidden states of forget text go astray.

L = mean |h_l(forget) − c·u|² + w · mean |h_l(kept) − h_l°(kept)|², means over dimensions, tokens and rows, with h_l the output
of layer l (of the last one after the model's final norm), h_l° the original's and u a fixed random unit vector with entries of
[0, 1) before scaling.

Our reading: the places are those from which answer tokens are predicted (not the whole text, so prompt templates that
all questions share are not pulled apart), and every row is divided by its own number of them. c is counted in the mean
length of the original's hidden states, so that one default serves models of any width. A LoRA change of the linear maps of
layers up to l takes the place of the paper's full training of a few; later layers stay as they are. Of an encoder-decoder the
states are the decoder's, and the maps those of both stacks up to l. The original's hidden states are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..training import Row

BLOCK = 128  # rows whose hidden states are taken together


class RmuConfig(MethodConfig):
    """Settings of RMU."""

    steering: float = Field(
        1.5, gt=0.0, le=100.0, description="How far hidden states are sent, in lengths of the original's"
    )
    depth: float = Field(0.5, gt=0.0, le=1.0, description="Which layer: this share of the layers lies at or below it")
    retain_weight: float = Field(
        4.0, ge=0.0, le=1e5, description="Weight of keeping the hidden states of given text to keep"
    )
    steps: int = Field(70, ge=1, le=5000, description="Training steps")
    rate: float = Field(3e-3, gt=0, le=1.0, description="Learning rate")
    rank: int = Field(8, ge=1, le=256, description="Rank of the change in every matrix")


def fit(context: Context, config: RmuConfig) -> Iterator[Any]:
    """Yield losses, snapshots, the edit and its spectra."""
    from ..spectra import describe
    from ..training import Change, Plan, descend, encode_rows, map_names

    loaded, given = context.loaded, context.given
    forget, kept = encode_rows(loaded, given.forget), encode_rows(loaded, given.neighbor + given.retain)
    layer = max(1, round(config.depth * loaded.writing_layers)) - 1
    names = [name for number, found in map_names(loaded.model).items() if number <= layer for name in found]
    change = Change(loaded.model, rank=config.rank, seed=context.seed, names=names)
    yield Stage("reference")
    losses = _losses(context, config, change, layer, forget, kept)
    yield Stage("train")
    yield from descend(context, change, Plan(config.steps, config.rate), forget, kept, losses)
    edit = change.edit()
    yield edit
    if not context.cancelled():
        yield Stage("describe")
        yield from describe(loaded.model, edit)


def _losses(
    context: Context, config: RmuConfig, change: Any, layer: int, forget: list[Row], kept: list[Row]
) -> Callable[[Sequence[int], Sequence[int]], list[Tensor | None]]:
    """Both losses of a step, from one pass over its forget and kept rows."""
    import torch

    from ..objectives import hidden_distance
    from ..training import hidden_states

    loaded = context.loaded
    original = _originals(context, kept or forget, layer)
    length = torch.cat(original).norm(dim=1).mean() if original else 1.0
    draw = torch.rand(loaded.model.config.get_text_config().hidden_size, generator=torch.Generator().manual_seed(context.seed))
    target = (config.steering * length * (draw / draw.norm()).to(loaded.device)).detach()

    def losses(chosen: Sequence[int], places: Sequence[int]) -> list[Tensor | None]:
        with change.active():
            hidden, rows = hidden_states(loaded, [forget[at] for at in chosen] + [kept[at] for at in places], layer)
        cut = int((rows < len(chosen)).sum())
        away = hidden_distance(hidden[:cut], target, rows[:cut], len(chosen)) if chosen else None
        if not places:
            return [away, None]
        wanted = torch.cat([original[at] for at in places])
        stay = hidden_distance(hidden[cut:], wanted, rows[cut:] - len(chosen), len(places))
        return [away, config.retain_weight * stay]

    return losses


def _originals(context: Context, rows: list[Row], layer: int) -> list[Tensor]:
    """The original's hidden states, (tokens, dimensions) for each row."""
    import torch

    from ..training import hidden_states

    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(rows), BLOCK):
            if context.cancelled():
                break
            part = rows[start : start + BLOCK]
            found += hidden_states(context.loaded, part, layer)[0].split([len(row.ids) - row.start for row in part])
    return found


METHOD = Method(
    "rmu",
    "RMU",
    "Li et al. 2024, arXiv 2403.03218",
    "representation",
    "Sends the hidden states of forget text in a random direction and holds those of given text to keep.",
    "steering",
    RmuConfig,
    (
        ("reference", "Note the original's hidden states"),
        ("train", "Misdirect the hidden states"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    access="weights, gradients and hidden states",
    cost="one short training run of the lower layers",
)
