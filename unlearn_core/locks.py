"""Files that are locked while a process lives, so that a dead one is known. Knows nothing of runs."""

from __future__ import annotations

from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows has no advisory locks: nothing then counts as locked
    fcntl = None


def locked(path: Path) -> IO[str] | None:
    """The file, opened and locked until it is closed or the process dies; None where the system has no such locks."""
    if fcntl is None:
        return None
    lock = path.open("w", encoding="utf-8")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock. The lock taken to look is shared: two readers do not see each other."""
    if fcntl is None or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
