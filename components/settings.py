"""What the command line decides for the whole page. Knows no widget and opens no file."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from unlearn_core.config import AuditConfig, RaceConfig, RunConfig, SequenceConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """`port` None means the first free one from 7860 on. `model` is what the sidebar offers first."""

    runs_dir: Path = Path("runs")
    host: str = "127.0.0.1"
    port: int | None = None
    model: str = "demo"
    trust_remote_code: bool = False

    def command(self, config: RunConfig | RaceConfig | SequenceConfig | AuditConfig) -> str:
        """The headless command that repeats what was asked for, among the same runs and with the same permission."""
        parts = [config.command()]
        if self.runs_dir != Path("runs"):
            parts.append(f"--runs-dir {shlex.quote(str(self.runs_dir))}")
        if self.trust_remote_code:
            parts.append("--trust-remote-code")
        return " ".join(parts)
