"""Which rows of two sets of matrices point least alike. Pure tensors; knows no model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def least_similar_rows(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The `share` of all row vectors whose cosine between the two sets is least, as name -> (out,) of booleans.

    All matrices compete with each other; a row that is zero in either set is never chosen, and one row always is where any
    is left (PCGU, Yu et al. 2023, section 3).
    """
    names = list(first)
    cosines, alive = [], []
    for name in names:
        cosines.append(functional.cosine_similarity(first[name], second[name], dim=1, eps=1e-30))
        alive.append((first[name].norm(dim=1) > 0) & (second[name].norm(dim=1) > 0))
    every, able = torch.cat(cosines), torch.cat(alive)
    count = min(int(able.sum()), max(1, round(share * len(every))))
    order = torch.where(able, every, torch.inf).argsort(stable=True)
    chosen = torch.zeros(len(every), dtype=torch.bool, device=every.device)
    chosen[order[:count]] = True
    return dict(zip(names, chosen.split([len(part) for part in cosines]), strict=True))
