"""What flows into each linear map and back out of it, over chosen texts: second moments of inputs, gradients of weights.

Knows modules and rows; not what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from .batching import by_length
from .models.loading import LoadedModel, linears
from .models.passes import Masks, read_texts
from .models.placement import free_memory

ROOM = 0.25  # share of an accelerator's free memory that second moments may take


class Asked(Protocol):
    """A prompt and its answer as token ids; the answer begins at `start`."""

    ids: Sequence[int]
    start: int


def second_moments(
    loaded: LoadedModel,
    rows: Sequence[Asked],
    cancelled: Callable[[], bool] = lambda: False,
    batch_tokens: int = 4096,
    starts: Sequence[int] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Tensor]:
    """G = mean of x x^T over all tokens of `rows` (prompts and answers), for the input x of every linear map: name -> (in, in),
    float32. `starts`: the first token of each row that counts; on an encoder-decoder, which reads prompts and answers apart,
    all of them do.

    Maps that read the same tensor (query, key and value; gate and up) share one matrix. Without rows every matrix is zero.
    Stops early, with what it has, when cancelled. `on_progress` hears of rows done and of all.
    """
    done = 0
    with InputMoments(loaded.model) as moments, torch.no_grad():
        for batch in by_length([len(row.ids) for row in rows], 256, batch_tokens):
            if cancelled():
                break
            chosen = [rows[place] for place in batch]
            if starts is not None and not loaded.reads_apart:
                at = torch.arange(max(len(row.ids) for row in chosen), device=loaded.device)
                moments.count_only(at >= torch.tensor([starts[place] for place in batch], device=loaded.device)[:, None])
            read_texts(loaded, [row.ids[: row.start] for row in chosen], [row.ids[row.start :] for row in chosen])
            done += len(batch)
            on_progress(done, len(rows))
    return moments.means()


class InputMoments:
    """Second moments of what flows into every linear map: inside the block every pass of the model adds its x x^T.

    The tokens that count are those of the attention masks that the model is called with: one, or those of what an
    encoder-decoder reads and writes. A tensor that several maps read is added up once. Sums that would fill much of an
    accelerator's memory are kept in the machine's.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._places = model, linears(model)
        self._home = _home([place.weight for place in self._places.values()])
        self._sums: dict[str, Tensor] = {}
        self._same: dict[str, str] = {}
        self.count = 0  # tokens so far, of prompts and answers
        self._counts: dict[str, int] = {}
        self._masks: Masks | None = None
        self._only: Tensor | None = None
        self._last: tuple[Tensor, str] | None = None
        self._handles: list = []

    def __enter__(self) -> InputMoments:
        self._handles = [place.register_forward_pre_hook(self._hook(name)) for name, place in self._places.items()]
        self._handles.append(self._model.register_forward_pre_hook(self._begin, with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._last = None

    def count_only(self, places: Tensor) -> None:
        """Of the next pass of a causal model only the tokens count where `places` (rows, tokens) is true."""
        self._only = places

    def means(self) -> dict[str, Tensor]:
        """name -> mean outer product (in, in), float32; maps that share an input share the tensor. Zero before any pass."""
        if not self.count:
            return {
                name: torch.zeros(place.weight.shape[1], place.weight.shape[1], device=self._home or place.weight.device)
                for name, place in self._places.items()
            }
        shared = {name: total / max(1, self._counts[name]) for name, total in self._sums.items()}
        return {name: shared[self._same[name]] for name in self._places if name in self._same}

    def _begin(self, model: nn.Module, inputs: tuple, named: dict) -> None:
        written = named.get("decoder_attention_mask")
        read = named["attention_mask"].bool()
        self._masks = Masks(read if self._only is None else read & self._only, None if written is None else written.bool())
        self._last = self._only = None
        self.count += self._masks.count()

    def _hook(self, name: str) -> Callable:
        def gather(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            tensor = inputs[0]
            if self._last is not None and self._last[0] is tensor:
                self._same[name] = self._last[1]
                return
            self._last, self._same[name] = (tensor, name), name
            x = tensor.detach()[self._masks.of(name)].float()
            outer = (x.T @ x).to(self._home or x.device)
            self._counts[name] = self._counts.get(name, 0) + len(x)
            self._sums[name] = self._sums[name].add_(outer) if name in self._sums else outer

        return gather


def _home(weights: Sequence[Tensor]) -> torch.device | None:
    """Where second moments of these maps' inputs are to be kept, if not where they are made."""
    device = weights[0].device
    if device.type == "cpu":
        return None
    size = 4 * sum(weight.shape[1] ** 2 for weight in weights)
    return torch.device("cpu") if size > ROOM * free_memory(device) else None


class WeightGradients:
    """Gradients of losses by the weights of linear maps, without a weight that asks for them: inside the block every pass
    leaves what flowed in, and `of` multiplies it with what flows back, dL/dW = sum over tokens of g x^T.

    Padding on the right adds nothing where the loss leaves it out: nothing flows back there.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] | None = None) -> None:
        places = linears(model)
        self._places = {name: places[name] for name in (places if names is None else names)}
        self._passes: list[tuple[str, Tensor, Tensor]] = []
        self._handles: list = []

    def __enter__(self) -> WeightGradients:
        self._handles = [place.register_forward_hook(self._hook(name)) for name, place in self._places.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._passes = []

    def of(self, loss: Tensor, again: bool = False) -> dict[str, Tensor]:
        """name -> (out, in), float32. `again`: the same passes will be asked for another loss."""
        flows = torch.autograd.grad(loss, [output for _, _, output in self._passes], retain_graph=again, allow_unused=True)
        found = {
            name: torch.zeros(place.weight.shape, device=place.weight.device) for name, place in self._places.items()
        }
        for (name, x, _), g in zip(self._passes, flows, strict=True):
            if g is not None:
                found[name] += g.flatten(0, -2).float().T @ x.flatten(0, -2).float()
        if not again:
            self._passes = []
        return found

    def row_norms(self, loss: Tensor) -> Tensor:
        """Mean over the maps of the Frobenius norm of each row's own gradient, of a batch in one backward pass: (rows,).

        `loss` is a sum over rows of which none reads another. A row's |sum over tokens of g x^T|^2 is the sum over pairs of its
        tokens of (g.g')(x.x'), so that no gradient of the weights' size is made.
        """
        flows = torch.autograd.grad(loss, [output for _, _, output in self._passes], allow_unused=True)
        norms = [((g.float() @ g.float().mT) * (x.float() @ x.float().mT)).sum((1, 2)).clamp_min(0).sqrt()
                 for (_, x, _), g in zip(self._passes, flows, strict=True) if g is not None]
        self._passes = []
        return torch.stack(norms).mean(0)

    def _hook(self, name: str) -> Callable:
        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_()
            self._passes.append((name, inputs[0].detach(), output))

        return record
