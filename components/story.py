"""What runs, races and audits have in common as the page knows them: how they stand, and what they are about. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unlearn_core.events import Failed, Finished, Measured, Phase, Progress, TopicReady


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that has been said so far of a piece of work. `at`: seconds since its start, of the latest event; `before`: the
    original's measurements by split."""

    config: dict[str, Any] = field(default_factory=dict)
    started_at: str = ""
    topic: TopicReady | None = None
    phase: Phase | None = None
    progress: Progress | None = None
    before: dict[str, Measured] = field(default_factory=dict)
    end: Finished | Failed | None = None
    at: float = 0.0
    interrupted: bool = False  # said by whoever knows that nobody is at it any more

    @property
    def name(self) -> str:
        """Its id, "" before it has begun."""
        raise NotImplementedError

    @property
    def status(self) -> str:
        """empty | running | interrupted | done | stopped | failed. Events alone cannot tell the second from the third."""
        if isinstance(self.end, Failed):
            return "failed"
        if isinstance(self.end, Finished):
            return "stopped" if self.end.status == "stopped" else "done"
        if self.interrupted:
            return "interrupted"
        return "running" if self.name else "empty"

    @property
    def over(self) -> bool:
        return self.end is not None

    @property
    def topic_title(self) -> str:
        """As it reads in a sentence: "the Vale books"."""
        return self.topic.title if self.topic else str(self.config.get("topic") or "the topic")
