"""Layers added after the feed-forward blocks of a frozen model (EUL's unlearning layers): y becomes y + f(y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..activations import Asked
from ..batching import by_length
from ..errors import BadInput
from ..models.loading import LoadedModel, feed_forward_blocks
from ..models.passes import Masks, read_texts
from ..subspace.fusion import fuse
from .edit import Edit, Forward, Wrap, foreign, misfit

KIND = "layers"
Layer = tuple[Tensor, ...]  # (W (d, d),) or (down (k, d), up (d, k))


@dataclass(frozen=True, eq=False)
class LayerEdit(Edit):
    """`layers`: block name -> (W (d, d),) for a linear layer, or (down (k, d), up (d, k)) with a ReLU between the two.

    `grams`: block name -> Xᵀ X of what each matrix of the layer read on the texts it was made for, where that was kept: what
    fusing needs.
    """

    layers: Mapping[str, Layer]
    grams: Mapping[str, Layer] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)
    kind = KIND

    @property
    def parameters(self) -> int:
        """Numbers held by all layers."""
        return sum(matrix.numel() for layer in self.layers.values() for matrix in layer)

    def scaled(self, strength: float) -> LayerEdit:
        """The layers' outputs times `strength`."""
        return replace(self, layers={name: (*layer[:-1], layer[-1] * strength) for name, layer in self.layers.items()})

    def check(self, model: nn.Module) -> None:
        """Raise BadInput unless every block exists; sizes show when a text is read."""
        blocks = feed_forward_blocks(model)
        width = getattr(model.config.get_text_config(), "hidden_size", None)
        for name, layer in self.layers.items():
            if name not in blocks:
                raise misfit(f"this model has no block {name}")
            if width is not None and layer[-1].shape[0] != width:
                raise misfit(f"the model is {width} wide, the layer {layer[-1].shape[0]}")

    def wraps(self, model: nn.Module, strength: float, rows: slice | None) -> list[Wrap]:
        """y + strength * f(y) on the chosen rows."""
        blocks = feed_forward_blocks(model)
        like = next(model.parameters())
        return [(blocks[name], _added(tuple(matrix.detach().to(like.device, like.dtype) for matrix in layer), strength, rows))
                for name, layer in self.layers.items()]

    def tensors(self) -> dict[str, Tensor]:
        """Every matrix, numbered within its layer."""
        return {f"{name}.{mark}{place}": matrix for mark, kind in (("", self.layers), ("G", self.grams))
                for name, layer in kind.items() for place, matrix in enumerate(layer)}

    def head(self) -> dict[str, str]:
        """The names of the blocks, in order."""
        return {"names": "\n".join(self.layers)}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], head: dict[str, str], path: str) -> LayerEdit:
        """See Edit."""
        layers, grams = {}, {}
        for name in filter(None, head.pop("names", "").split("\n")):
            layer = tuple(tensors[key] for key in (f"{name}.0", f"{name}.1") if key in tensors)
            if not layer or any(matrix.dim() != 2 for matrix in layer) or layer[0].shape[-1] != layer[-1].shape[0]:
                raise foreign(path, f"the layer at {name} is missing or does not fit together")
            layers[name] = layer
            if all(f"{name}.G{place}" in tensors for place in range(len(layer))):
                grams[name] = tuple(tensors[f"{name}.G{place}"] for place in range(len(layer)))
        return cls(layers, grams, head)

    def with_meta(self, meta: Mapping[str, str]) -> LayerEdit:
        """The same edit with other notes."""
        return replace(self, meta=meta)


class TrainedLayers(nn.Module):
    """Layers in training: f is zero at first, so that the model starts as the original.

    `width`: of the bottleneck (Houlsby et al. 2019), whose inner matrix is random at first; 0 for a single linear map.
    Raises BadInput where the model's feed-forward blocks are unknown here.
    """

    def __init__(self, model: nn.Module, width: int, seed: int = 0) -> None:
        super().__init__()
        self._blocks = feed_forward_blocks(model)
        if not self._blocks:
            raise BadInput("No layers can be added to this model.", "Its feed-forward blocks have names that are unknown here.",
                           "Pick another method, or a model of the Llama, Qwen, Mistral or Gemma families.", field="method")
        size, device = model.config.get_text_config().hidden_size, next(model.parameters()).device
        generator = torch.Generator().manual_seed(seed)
        self.inner, self.outer = nn.ParameterList(), nn.ParameterList()
        for _ in self._blocks:
            if width:
                self.inner.append((torch.randn(width, size, generator=generator) / size**0.5).to(device))
            self.outer.append(torch.zeros(size, width or size, device=device))

    def _layer(self, place: int) -> Layer:
        return (self.inner[place], self.outer[place]) if len(self.inner) else (self.outer[place],)

    def edit(self, grams: Mapping[str, Layer] | None = None) -> LayerEdit:
        """The layers as they stand, as an edit that shares no memory with them."""
        return LayerEdit({name: tuple(matrix.detach().clone() for matrix in self._layer(place))
                          for place, name in enumerate(self._blocks)}, grams or {})

    @torch.no_grad()
    def grams(self, loaded: LoadedModel, rows: Sequence[Asked], batch_tokens: int = 4096) -> dict[str, Layer]:
        """Xᵀ X of what every matrix reads on prompts with their answers, with all layers on."""
        sums: dict[str, list[Tensor]] = {}
        masks: list[Masks] = []

        def gather(name: str, place: int) -> Callable:
            def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
                read = [output[masks[-1].of(name)].float()]
                if len(self.inner):
                    read.append(torch.relu(functional.linear(read[0], self.inner[place])))
                found = [each.T @ each for each in read]
                sums[name] = [one + other for one, other in zip(sums[name], found, strict=True)] if name in sums else found

            return hook

        handles = [block.register_forward_hook(gather(name, place)) for place, (name, block) in enumerate(self._blocks.items())]
        try:
            with self.active():  # its hooks come after these, which therefore see what the layers read
                for batch in by_length([len(row.ids) for row in rows], 256, batch_tokens):
                    chosen = [rows[place] for place in batch]
                    prompts = [row.ids[: row.start] for row in chosen]
                    read_texts(loaded, prompts, [row.ids[row.start:] for row in chosen], masks.append)
        finally:
            for handle in handles:
                handle.remove()
        return {name: tuple(found) for name, found in sums.items()}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside the block the model computes with the layers, with gradients for them."""
        handles = [block.register_forward_hook(self._hook(place)) for place, block in enumerate(self._blocks.values())]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, place: int) -> Callable:
        def add(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
            return output + layer_output(self._layer(place), output.float()).to(output.dtype)

        return add


def fused(edits: Sequence[LayerEdit], ridge: float = 1e-6) -> LayerEdit:
    """One set of layers for several requests (EUL section 3.3): exact for a single matrix; of two, each is fused on its own
    inputs, with the ReLU between them left as it is (our reading). `ridge` as in `subspace.fusion`.

    Raises BadInput where layers differ in shape or kept no Gram matrices.
    """
    shapes = {tuple((name, *(matrix.shape for matrix in layer)) for name, layer in edit.layers.items()) for edit in edits}
    if len(shapes) != 1 or any(edit.grams.keys() != edit.layers.keys() for edit in edits):
        raise BadInput("These edits cannot be fused.", "Their layers differ in shape, or what they read was not kept.",
                       "Fuse runs of EUL made with one width on one model.", field="edit")
    first = edits[0]
    layers = {name: tuple(fuse([edit.layers[name][place] for edit in edits], [edit.grams[name][place] for edit in edits], ridge)
                          for place in range(len(layer))) for name, layer in first.layers.items()}
    grams = {name: tuple(torch.stack([edit.grams[name][place] for edit in edits]).sum(0) for place in range(len(layer)))
             for name, layer in first.layers.items()}
    return LayerEdit(layers, grams, first.meta)


def layer_output(layer: Layer, inputs: Tensor) -> Tensor:
    """f(y) of one layer: W y, or up · relu(down · y), over the last dimension."""
    if len(layer) == 1:
        return functional.linear(inputs, layer[0])
    return functional.linear(torch.relu(functional.linear(inputs, layer[0])), layer[1])


def _added(layer: Layer, strength: float, rows: slice | None) -> Callable[[Forward], Forward]:
    return lambda forward: partial(_forward, forward, layer, strength, rows)


def _forward(forward: Forward, layer: Layer, strength: float, rows: slice | None, *inputs: object, **named: object) -> object:
    output = forward(*inputs, **named)
    if rows is None:
        return output + strength * layer_output(layer, output)
    output[rows] += strength * layer_output(layer, output[rows])
    return output
