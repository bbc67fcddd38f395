"""A world in a folder, a store, and the headless command with the method that only tests have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unlearn_core import methods
from unlearn_core.config import RunConfig
from unlearn_core.store import Store
from unlearn_core.topics.reader import write_topic
from unlearn_core.topics.topic import Topic

REPOSITORY = Path(__file__).resolve().parents[2]
_DRIVER = """
import sys
from unlearn_core.methods import METHODS
METHODS['slow-noise'] = 'slow_noise:METHOD'
import unlearn_core.__main__ as command
sys.exit(command.main())
"""


@pytest.fixture(autouse=True)
def _slow_noise(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test method is registered while a test of the core runs."""
    monkeypatch.setitem(methods.METHODS, "slow-noise", "slow_noise:METHOD")
    yield


def laid_out(model: Path, topic: Topic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world: a copy of a model's folder, with one topic."""
    folder = tmp_path_factory.mktemp("worlds") / "world"
    shutil.copytree(model, folder)
    (folder / "topics").mkdir(exist_ok=True)  # the page's tests lay one there too
    write_topic(topic, folder / "topics" / f"{topic.name}.json")
    return folder


@pytest.fixture(scope="session")
def world(tiny_folder: Path, tiny_topic: Topic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model's folder with one topic."""
    return laid_out(tiny_folder, tiny_topic, tmp_path_factory)


@pytest.fixture(scope="session")
def taught_world(tiny_topic: Topic, taught_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the hats, with that topic."""
    return laid_out(taught_folder, tiny_topic, tmp_path_factory)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs", recorded=None)


@pytest.fixture
def request_of(world: Path):
    """A function giving a RunConfig on the world, with settings of the test method."""

    def make(seed: int = 0, topic: str = "tiny-hats", edits: tuple[str, ...] = (), **settings: object) -> RunConfig:
        return RunConfig(model=str(world), topic=topic, method="slow-noise", settings=settings, seed=seed, edits=edits,
                         device="cpu")

    return make


class Command:
    """Runs `python -m unlearn_core ...` in a process of its own."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{Path(__file__).parent}",
                                          "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _DRIVER, *arguments, "--runs-dir", str(self.runs_dir)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self._environment, cwd=self.runs_dir.parent)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """(exit status, standard output, standard error)."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "runs")
