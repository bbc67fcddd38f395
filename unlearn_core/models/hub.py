"""Files of a Hugging Face hub model, fetched once into the hub's own cache. Imports no torch; knows no tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from ..errors import BadInput
from .weight_files import weight_files

_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def fetch(name: str, check_size: Callable[[int], object], trust_remote_code: bool = False) -> Path:
    """The folder of a hub model's files, from the cache or the network.

    `check_size(parameters)` is called before anything large is downloaded and may raise BadInput. Raises BadInput
    when the model does not exist, needs a licence, has no safetensors weights, or the hub cannot be reached.
    """
    patterns = _WANTED + (["*.py"] if trust_remote_code else [])
    cached = _cached(name, patterns)
    if cached is not None:
        return cached
    try:
        check_size(_parameters(name))
        return Path(snapshot_download(name, allow_patterns=patterns))
    except BadInput:
        raise
    except GatedRepoError as error:
        raise BadInput(f"{name} may not be downloaded yet.", "Its authors ask everyone to accept a licence first.",
                       "Accept it on the hub and set HF_TOKEN.", field="model") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise BadInput(f"There is no model '{name}'.", "Neither a folder here nor a hub model has that name.",
                       "Check the spelling, or use a built-in model, such as demo.", field="model") from error
    except Exception as error:  # the network: which HTTP library raises depends on the hub client's version
        raise BadInput(f"'{name}' is no folder here, and the Hugging Face hub cannot be reached to look for it.",
                       _reason(error),
                       "Go online, or give a folder that is on this machine.", field="model") from error


def _cached(name: str, patterns: list[str]) -> Path | None:
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return folder if weight_files(folder) and (folder / "config.json").exists() else None


def _parameters(name: str) -> int:
    info = HfApi().model_info(name, timeout=20)
    if info.safetensors is None:
        raise BadInput(f"{name} has no safetensors weights on the hub.",
                       "Pickled weights are not loaded: they can run code.", "Pick a model that offers safetensors.",
                       field="model")
    return info.safetensors.total


def _reason(error: Exception) -> str:
    """Why the hub gave no answer, as a sentence; what is no fault of the connection keeps its own words."""
    name, line = type(error).__name__, _first_line(error)
    if "timeout" in name.lower() or "timed out" in line:
        return "It did not answer in time."
    if any(word in line.lower() for word in ("name or service", "name resolution", "getaddrinfo", "nodename")):
        return "This machine finds no way to it: its name cannot be looked up, as without an internet connection."
    if isinstance(error, OSError) or "connect" in name.lower():
        return f"The connection failed ({line})."
    return f"{name}: {line}."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no answer"])[0][:160].rstrip(".")
