"""Lethe's engine: unlearn, measure and look. Knows nothing of pages; importing it loads no torch."""

from .config import RunConfig
from .errors import BadInput, LetheError
from .runner import AskUpdate, Busy, Runner
from .store import RECORDED, RunRecord, Store
from .version import __version__, code_version

__all__ = ["RECORDED", "AskUpdate", "BadInput", "Busy", "LetheError", "RunConfig", "RunRecord", "Runner", "Store",
           "__version__", "code_version"]
