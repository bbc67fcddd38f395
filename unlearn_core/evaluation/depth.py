"""How deep inside knowledge is gone: the unlearning depth score of layers whose states were exchanged (UDS, arXiv 2605.24614).

Knows numbers only: how much less likely an answer becomes when a layer's states are another model's. Where these come from is
`patching`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from .metric import About, Metric, mean_of

ENCODES = 0.05  # nats a token that a layer must cost to count as holding the answer

ABOUT: dict[str, About] = {
    "unlearning_depth": About(
        judges="How much of what each layer of the original holds of an answer is gone from the same layer of the model: "
               "its states are put into the original, and so are those of a model that never saw the topic.",
        better="Near 1 on what is to be forgotten: inside, the model is like one that never saw it. 0 is the original.",
        misleads="A ruined model scores high as well, so never read it alone; and a change that only turns the space the "
                 "layers write in, without removing anything, looks like removal.",
        source="Unlearning depth score, arXiv 2605.24614. Our reading: states at the places that predict the answer, its end "
               "left out; a context before the question leaves those places aligned.",
    ),
}

NO_LAYER = "No layer of the original holds these answers: with the states of a model that never saw them it knows as much."


def unlearning_depth(encoded: Sequence[Sequence[float]], moved: Sequence[Sequence[float]]) -> Metric:
    """The mean over items of `erased`; items whose answer no layer holds are left out.

    `encoded`, `moved`: (items, layers), drops of the answer's mean log-probability in the original (nats a token) when a
    layer's states are the retrained model's, and the model's in question.
    """
    shares = (erased(*item) for item in zip(encoded, moved, strict=True))
    return mean_of([share for share in shares if share is not None], NO_LAYER)


def erased(encoded: Sequence[float], moved: Sequence[float]) -> float | None:
    """Σ Δ1 · clip(Δ2 / Δ1, 0, 1) / Σ Δ1 over the layers with Δ1 > .05: 0 intact, 1 like the retrained model.

    `encoded` is Δ1 and `moved` Δ2, both (layers,). None where there is no such layer.
    """
    held = [(first, second) for first, second in zip(encoded, moved, strict=True) if first > ENCODES]
    if not held:
        return None
    return sum(min(max(second, 0.0), first) for first, second in held) / sum(first for first, _ in held)
