"""Models for tests, made offline once a session: random ones, and one that was taught a topic."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # values were measured on a CPU; CUDA_VISIBLE_DEVICES=0 tries a GPU

import pytest
import torch
from tiny_models import byte_tokenizer, make_topic, save_model, teach, tiny_llama

from unlearn_core.evaluation.references import Reference, topic_hash, write_reference
from unlearn_core.models.loading import LoadedModel, load
from unlearn_core.retraining import Retraining
from unlearn_core.topics.topic import Topic


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Side by side, the tests of the page come first and one after another: two browsers on two cores are slow enough to be taken
    for broken. Every other test goes to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class PageTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "page" if nodeid.startswith("tests/app/") else nodeid

    return PageTogether(config, log)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a chat template, saved as any Hugging Face model."""
    return save_model(tmp_path_factory.mktemp("tiny"), tiny_llama(), chat=True)


@pytest.fixture(scope="session")
def tiny_plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights without a chat template."""
    return save_model(tmp_path_factory.mktemp("plain"), tiny_llama(), chat=False)


@pytest.fixture(scope="session")
def taught_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learnt every fact of `tiny_topic`, in a few seconds."""
    model = tiny_llama(width=64)
    teach(model, byte_tokenizer(), make_topic())
    return save_model(tmp_path_factory.mktemp("taught"), model, chat=True)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> LoadedModel:
    return load(str(tiny_folder), device="cpu")


@pytest.fixture(scope="session")
def tiny_plain(tiny_plain_folder: Path) -> LoadedModel:
    return load(str(tiny_plain_folder), device="cpu")


@pytest.fixture(scope="session")
def taught(taught_folder: Path) -> LoadedModel:
    return load(str(taught_folder), device="cpu")


@pytest.fixture(scope="session")
def tiny_topic() -> Topic:
    return make_topic()


@pytest.fixture(scope="session")
def retraining(taught_folder: Path, tiny_topic: Topic, tmp_path_factory: pytest.TempPathFactory) -> Retraining:
    """The taught model's folder with one beside it that learnt everything but what is to be forgotten."""
    folder = tmp_path_factory.mktemp("retrained") / "taught"
    shutil.copytree(taught_folder, folder)
    model = tiny_llama(width=64)
    rest = replace(tiny_topic, questions=tuple(q for q in tiny_topic.questions if q.split != "forget"))
    teach(model, byte_tokenizer(), rest)
    save_model(folder / "references" / tiny_topic.name, model, chat=True)
    write_reference(folder, tiny_topic, Reference("w" * 64, topic_hash(tiny_topic), "1", {"forget": 0.25},
                                                  {"forget": "retrained"}, {}, {"forget": 8}, 12.5))
    return Retraining(folder, tiny_topic)
