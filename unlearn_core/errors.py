"""Errors that a person can act on: what happened, why, and what to do. Knows nothing of models or pages."""

from __future__ import annotations

import re
from collections.abc import Mapping


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


def did_you_mean(name: str, known: list[str], also: Mapping[str, str] | None = None) -> str:
    """A sentence naming the nearest known names, if any is near, and all that there are. `also`: other names of theirs, in small
    letters without anything between them."""
    near = _near(name, known, also or {})
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}Known: {', '.join(known)}."


def _near(name: str, known: list[str], also: Mapping[str, str]) -> list[str]:
    """At most three known names: another spelling, else an abbreviation or a part (GradDiff, GA, negation), else a slip of the
    keys."""
    short, initials = _letters(name), "".join(word[0] for word in re.findall(r"[^\W_]+", name.lower()))
    spelt = [one for one in known if _letters(one) == short or one == also.get(short)]
    meant = spelt or [one for one in known if one == initials or _shortens(short, re.split("[-_]", one))]
    return meant[:3] or _mistyped(name.lower(), known)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _shortens(short: str, parts: list[str]) -> bool:
    """Whether `short` stands for a name of these parts: for one of them, its plural included, or for a beginning of each."""
    return (any(short in (part, f"{part}s") or (len(short) > 2 and part.startswith(short)) for part in parts)
            or (len(parts) > 1 and _in_turn(short, parts)))


def _in_turn(short: str, parts: list[str]) -> bool:
    if not parts:
        return not short
    return any(parts[0].startswith(short[:n]) and _in_turn(short[n:], parts[1:]) for n in range(1, len(short) + 1))


def _mistyped(name: str, known: list[str]) -> list[str]:
    """The nearest in spelling; one that begins otherwise has to be very near."""
    import difflib

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    sure = difflib.get_close_matches(name, known, n=3, cutoff=0.8)
    return [one for one in near if one in sure or one[:1] == name[:1]]


def out_of_memory(error: BaseException) -> bool:
    """Whether memory was what failed, on this machine or on a device (which has errors of its own for it)."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
