"""Whether a request can be carried out, looked at before anything starts. Imports no torch and loads no model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import methods
from .config import EvaluationConfig, RunConfig
from .errors import BadInput
from .models.catalogue import BUILT_IN, built_in_folder, how_to_build, looks_like_path
from .models.weight_files import check_folder, is_encoder_decoder
from .retraining import Retraining
from .store import Store
from .topics.catalogue import completed, find_topic
from .topics.reader import shorten

WEIGHTS = ".safetensors"


def problems(config: RunConfig, store: Store) -> dict[str, BadInput]:
    """What is wrong with a request, by field (model, topic, method, edits, device, or the name of a setting); {} if nothing."""
    found: dict[str, BadInput] = {}
    for field, check in _checks(config, store).items():
        try:
            check()
        except BadInput as error:
            found[error.field or field] = error
    return found


def refuse(config: RunConfig, store: Store, passing: tuple[type[BadInput], ...] = ()) -> None:
    """Raise the first BadInput of `problems`, if there is one that is none of the `passing` kinds."""
    for error in problems(config, store).values():
        if not isinstance(error, passing):
            raise error


def own_settings(pairs: Sequence[tuple[str, Any]], kind: str, example: str,
                 find: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """("name.key", value) pairs as settings by name, where there are several of a `kind` ("method", "attack") that `find` knows.
    `example` is a setting of one. Raises BadInput."""
    own: dict[str, dict[str, Any]] = {}
    for key, value in pairs:
        name, dot, setting = key.partition(".")
        if not dot or not setting:
            raise BadInput(f"--set {key} is not understood.", f"Here a setting is written {kind}.key=value.",
                           f"As in --set {example}.", field="settings")
        find(name)
        own.setdefault(name, {})[setting] = value
    return own


def refuse_evaluation(config: EvaluationConfig, store: Store) -> None:
    """Raise BadInput for what is wrong with a request to measure."""
    check_model(config.model)
    find_topic(config.topic, model_folder(config.model), store.uploads)
    for spec in config.edits:
        edit_file(spec, store)
    check_device(config.device)


def method_problem(config: RunConfig) -> BadInput | None:
    """Why the method of a request cannot run, whatever the model and the topic are made of; None where it can."""
    try:
        _check_method(config)
    except BadInput as error:
        return error
    return None


def model_folder(spec: str) -> Path | None:
    """The local folder of a model, which may hold topics and references; None for a hub id."""
    if spec in BUILT_IN:
        return built_in_folder(spec)
    path = os.path.expanduser(spec)
    return Path(path) if os.path.isdir(path) else None


def edit_file(spec: str, store: Store) -> Path:
    """The file of an earlier run's edit, by run or by path; raises BadInput where there is none."""
    path = os.path.expanduser(spec)
    if spec.endswith(WEIGHTS) and os.path.isfile(path):
        return Path(path)
    record = store.find(spec)
    if record.edit_path is None:
        raise BadInput(f"The run {record.run_id} has no edit.", f"It was {record.status} before one was saved.",
                       "Pick another run.", field="edits")
    return record.edit_path


def _checks(config: RunConfig, store: Store) -> dict[str, Callable[[], object]]:
    return {
        "model": lambda: check_model(config.model),
        "method": lambda: _check_method(config),
        "topic": lambda: find_topic(config.topic, model_folder(config.model), store.uploads),
        "edits": lambda: [edit_file(spec, store) for spec in config.edits],
        "device": lambda: check_device(config.device),
        "retraining": lambda: check_retraining(config, store),
    }


def check_suited(method: methods.Method, model: str, apart: bool) -> None:
    """Raise BadInput where a method cannot work on an encoder-decoder; `apart` says whether the model is one."""
    if apart and method.causal_only:
        raise BadInput(f"{method.title} does not work on {shorten(model, 200)}, an encoder-decoder.", method.causal_only,
                       "Pick another method, or a causal model.", field="method")


def _check_method(config: RunConfig) -> None:
    method = methods.find_method(config.method)
    methods.settings_of(method, config.settings)
    check_suited(method, config.model, is_encoder_decoder(model_folder(config.model)))


def check_retraining(config: RunConfig, store: Store) -> None:
    """Raise Unavailable where the method rests on a model without the topic that is not at hand, BadInput where it cannot
    stand on earlier runs' edits."""
    method = methods.find_method(config.method)
    need = method.needs(methods.settings_of(method, config.settings))
    if not need:
        return
    if config.edits:
        raise BadInput(f"'{method.name}' cannot stand on an earlier run's edit.", "It exchanges the whole model.",
                       "Leave the edits out.", field="edits")
    folder = model_folder(config.model)
    topic = completed(find_topic(config.topic, folder, store.uploads), folder).topic
    also = "train it in this run with `--set fresh=true`" if "fresh" in method.config.model_fields else ""
    Retraining(folder, topic).check(need, also)


def check_device(device: str) -> None:
    """Raise BadInput where this machine has no such device; PyTorch is imported only for one that may be missing."""
    if device not in ("auto", "cpu"):
        from .models.placement import choose_device

        choose_device(device)


def check_model(spec: str) -> None:
    """Raise BadInput where a model's files are certain not to work; a hub id is only looked up when it is loaded."""
    if spec in BUILT_IN and not (built_in_folder(spec) / "config.json").is_file():
        raise BadInput("The built-in model is missing.", "It is not in the assets folder.",
                       how_to_build(spec), field="model")
    if not spec.strip():
        raise BadInput("No model was named.", "", "Use a built-in model, such as demo, or a folder.", field="model")
    path = os.path.expanduser(spec)
    if spec in BUILT_IN:
        check_folder(built_in_folder(spec))
    elif os.path.exists(path):
        check_folder(Path(path))
    elif looks_like_path(spec):
        raise BadInput(f"There is no model folder '{shorten(spec, 200)}'.", "Nothing exists at that path.",
                       "Check the path, or use a built-in model, such as demo.", field="model")
