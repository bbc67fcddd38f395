"""A causal language model or an encoder-decoder brought into memory for reading: safetensors only, evaluation mode, no gradients.

Knows folders, hub ids and module names; does not know topics or edits.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from ..errors import BadInput
from .catalogue import BUILT_IN, built_in_folder, how_to_build, looks_like_path, title_of
from .hub import fetch
from .placement import choose_device, choose_dtype
from .prompts import set_apart
from .weight_files import check_folder, count_parameters

_PLACE = re.compile(r"(?:^|\.)(\d+)\.(.+)$")
_STACK = re.compile(r"(?:^|\.)(encoder|decoder)\.")
_SUBLAYER = re.compile(r"^layer\.\d+\.")  # T5 numbers what is within a layer
_BLOCK = re.compile(r"^(?:.*?\.)?\d+(?=\.)")
# Llama, Qwen, Mistral, Gemma, GPT-2, Falcon; OPT has no module of its own for this; T5 and its kin
_FEED_FORWARD = re.compile(r"(?:^|\.)\d+\.(mlp|feed_forward|ffn|block_sparse_moe)$|\.layer\.\d+\.DenseReluDense$")


@dataclass
class LoadedModel:
    """A model ready to be asked. `folder` holds its files; `weights_hash` is sha256 of the weights as loaded; `notices` are
    sentences on what in the files was not used."""

    model: nn.Module
    tokenizer: Any
    name: str
    title: str
    folder: Path | None
    device: torch.device
    dtype: torch.dtype
    weights_hash: str
    notices: tuple[str, ...] = ()

    @property
    def number_format(self) -> str:
        """The type of its numbers as it is asked for: "float32"."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def place(self) -> str:
        """Where it lies and in which format, in words: "cpu · float32"."""
        return f"{self.device} · {self.number_format}"

    @property
    def parameters(self) -> int:
        """Number of parameters, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def memory(self) -> int:
        """Bytes of all parameters and buffers."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def layers(self) -> int:
        """Number of layers; of an encoder-decoder those of its encoder."""
        return self.model.config.get_text_config().num_hidden_layers

    @property
    def writing_layers(self) -> int:
        """Number of layers that write the answer; of an encoder-decoder those of its decoder, which may be fewer or more."""
        return len(decoder_blocks(self.model))

    @property
    def context(self) -> int | None:
        """Most tokens that the model reads at once; None where its configuration does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def reads_apart(self) -> bool:
        """Whether an encoder reads the prompt and a decoder writes the answer."""
        return bool(getattr(self.model.config, "is_encoder_decoder", False))

    def few_logits(self, wanted: int | Tensor) -> dict[str, int | Tensor]:
        """The argument of `model` that computes logits at the last so many positions, or at those in a tensor of indices
        (the same for all rows), and nowhere else; none where the model has none."""
        return {"logits_to_keep": wanted} if "logits_to_keep" in inspect.signature(self.model.forward).parameters else {}


def load(spec: str, device: str = "auto", dtype: str = "auto", trust_remote_code: bool = False) -> LoadedModel:
    """Load 'demo', a local folder or a hub id. Raises BadInput in words for everything that can be wrong with it."""
    place = choose_device(device)
    folder = locate(spec, place, dtype, trust_remote_code)
    check_folder(folder)
    chosen = choose_dtype(dtype, count_parameters(folder), place)
    with _quiet():
        apart = _is_encoder_decoder(folder, trust_remote_code)
        model, unused = _read_weights(folder, chosen, trust_remote_code, apart)
    model = model.to(place)
    model.eval().requires_grad_(False)
    if not linears(model):
        raise BadInput(f"{spec} has no linear layers that can be edited.", "Its layers are of a kind unknown here.",
                       "Use a model of the Llama, Qwen, Mistral or Gemma families.", field="model")
    tokenizer = _read_tokenizer(folder, trust_remote_code)
    return LoadedModel(model, set_apart(tokenizer) if apart else tokenizer, spec, title_of(spec), folder, place, chosen,
                       weights_hash(model), tuple(_unused(unused)))


def locate(spec: str, device: torch.device, dtype: str = "auto", trust_remote_code: bool = False) -> Path:
    """The folder of a model: the built-in one, a local path, or a hub id's files, fetched when not yet here."""
    if spec in BUILT_IN:
        if not (built_in_folder(spec) / "config.json").is_file():
            raise BadInput("The built-in model is missing.", f"{built_in_folder(spec).name} is not in the assets folder.",
                           how_to_build(spec), field="model")
        return built_in_folder(spec)
    if not spec.strip():
        raise BadInput("No model was named.", remedy="Use a built-in model, such as demo, or a folder.", field="model")
    path = Path(spec).expanduser()
    if path.exists() or looks_like_path(spec):
        return path
    return fetch(spec, lambda parameters: choose_dtype(dtype, parameters, device), trust_remote_code)


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    """Every linear map inside the numbered layers, by module name, in the model's order; not the output head."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return {
        name: module for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and _PLACE.search(name)
    }


def plain_head(model: nn.Module) -> nn.Linear | None:
    """The output head, where it is a plain linear map with no other forward put in its place."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return head if type(head) is nn.Linear and "forward" not in head.__dict__ else None


def matrix_place(name: str) -> tuple[int, str]:
    """Layer number and matrix of a module name: 'model.layers.2.mlp.up_proj' -> (2, 'mlp.up_proj').

    Of an encoder-decoder both stacks count from 0, and the matrix says which it is: 'decoder.block.2.layer.0.SelfAttention.q'
    -> (2, 'decoder.SelfAttention.q').
    """
    found = _PLACE.search(name)
    if not found:
        raise ValueError(f"{name} lies in no numbered layer")
    stack = _STACK.search(name)
    return int(found[1]), f"{stack[1]}.{_SUBLAYER.sub('', found[2])}" if stack else found[2]


def decoder_blocks(model: nn.Module) -> list[nn.Module]:
    """The layers that write the answer, first to last: a causal model's, of an encoder-decoder those of its decoder."""
    names = dict.fromkeys(_BLOCK.match(name)[0] for name in linears(model))
    apart = bool(getattr(model.config, "is_encoder_decoder", False))
    return [model.get_submodule(name) for name in names if not apart or _STACK.search(name)[1] == "decoder"]


def feed_forward_blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The feed-forward block of every layer by module name, in the model's order; none where their names are unknown here."""
    return {name: module for name, module in model.named_modules() if _FEED_FORWARD.search(name)}


def weights_hash(model: nn.Module) -> str:
    """sha256 over the parameters' names and raw bytes, sorted by name; a tied parameter counts once."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode())
        raw = parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(raw.numpy())
    return digest.hexdigest()


def _is_encoder_decoder(folder: Path, trust_remote_code: bool) -> bool:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(folder, "its config.json", error) from error
    return bool(getattr(config, "is_encoder_decoder", False))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own words on what it loads: what is wrong is said once, by whoever asked."""
    transformers_logging.disable_progress_bar()  # progress is the pipeline's to show
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _read_weights(folder: Path, dtype: torch.dtype, trust_remote_code: bool, apart: bool) -> tuple[nn.Module, list[str]]:
    """The model, and the names of stored tensors that it has no place for; one that lacks any, or has another shape, is
    refused."""
    try:
        kind = AutoModelForSeq2SeqLM if apart else AutoModelForCausalLM
        model, found = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code, local_files_only=True,
            output_loading_info=True, ignore_mismatched_sizes=True)  # these are refused below, by name
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError) as error:
        raise _unreadable(folder, "its weights", error) from error
    _check_fit(folder, sorted(found["missing_keys"]), sorted(found["mismatched_keys"]))
    return model, sorted(found["unexpected_keys"])


def _check_fit(folder: Path, missing: list[str], misshapen: list[tuple[str, Any, Any]]) -> None:
    """Raise BadInput where a model would start with random numbers in place of stored ones."""
    if not missing and not misshapen:
        return
    why = [f"{_tensors(missing, 'missing')}."] if missing else []
    if misshapen:
        _, stored, wanted = misshapen[0]
        names = [name for name, _, _ in misshapen]
        why.append(f"{_tensors(names, 'of another shape')}: {tuple(stored)} where config.json asks for {tuple(wanted)}.")
    raise BadInput(f"The weights in {folder} do not fit its config.json.", " ".join(why), "Save or download the model again.",
                   field="model")


def _unused(names: list[str]) -> Iterator[str]:
    if names:
        yield (f"The model's files hold more than its config.json asks for: {_tensors(names, 'left out')}. If they belong to it, "
               "it is not the model that was saved.")


def _tensors(names: list[str], what: str) -> str:
    return f"1 tensor is {what}, {names[0]}" if len(names) == 1 else f"{len(names):,} tensors are {what}, {names[0]} first"


def _read_tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise _unreadable(folder, "its tokenizer", error) from error


def _unreadable(folder: Path, part: str, error: Exception) -> BadInput:
    if "trust_remote_code" in str(error):
        return BadInput(f"{folder.name} brings its own Python code.", "Running it is off unless asked for.",
                        "Add --trust-remote-code if you trust its authors.", field="model")
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].split(" For details look at")[0]
    return BadInput(f"The model in {folder} cannot be read.", f"Something is wrong with {part}: {reason[:200].rstrip('.')}.",
                    "Check that the folder is complete.", field="model")
