"""Requests to unlearn, one after another on one base: who asks, what is kept, a table of requests and steps, undo.

Four modes. *stack*: each edit is trained on top of the earlier ones. *fuse*: each request's added layers are trained on the
base and fused in closed form (EUL, arXiv 2310.20150, section 3.3). *apart*: each edit is trained on the base and kept off the
earlier requests; their given forget text joins the given text to keep, both in the statistics and in the loss, so that an edit
leaves alone what earlier ones change, and the edits are added up (our reading). *joint*: one run over all given questions.

Undo of a request is the stack, sum or fusion of the other requests' own edits; nothing is trained again. Imports no torch.
"""

from __future__ import annotations

from .requests import APART, FUSE, JOINT, MODES, MOST, STACK, Plan, Request, planned, single_requests, topic_requests
from .table import table, unexpected

__all__ = ["APART", "FUSE", "JOINT", "MODES", "MOST", "STACK", "Plan", "Request", "planned", "single_requests", "table",
           "topic_requests", "unexpected"]  # fmt: skip
