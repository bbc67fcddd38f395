"""What the command line decides for the whole page. Knows no widget and opens no file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`port` None means the first free one from 7860 on. `model` is what the sidebar offers first."""

    runs_dir: Path = Path("runs")
    host: str = "127.0.0.1"
    port: int | None = None
    model: str = "demo"
    trust_remote_code: bool = False
