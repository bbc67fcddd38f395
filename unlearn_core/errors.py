"""Errors that a person can act on: what happened, why, and what to do. Knows nothing of models or pages."""

from __future__ import annotations


class LetheError(Exception):
    """A failure explained in words.

    `what` says what went wrong, `why` its cause, `remedy` the next step. The command line prints the
    three as one line, the page as a card. `field` names the setting to blame, where there is one.
    """

    def __init__(self, what: str, why: str = "", remedy: str = "", field: str | None = None) -> None:
        super().__init__(" ".join(part for part in (what, why, remedy) if part))
        self.what, self.why, self.remedy, self.field = what, why, remedy, field


class BadInput(LetheError):
    """The request itself cannot be carried out (exit status 2): nothing was started, nothing is lost."""


class Unavailable(BadInput):
    """The request is sound, but something that it rests on is not on this machine."""


class Stopped(Exception):
    """Raised inside the engine at the first check after a stop was asked for."""


def did_you_mean(name: str, known: list[str]) -> str:
    """A sentence naming the nearest known names and all that there are."""
    import difflib

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}Known: {', '.join(known)}."


def out_of_memory(error: BaseException) -> bool:
    """Whether memory was what failed, on this machine or on a device (which has errors of its own for it)."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
