"""Linear algebra of subspaces: pure functions of tensors. Knows no model, no file and no setting."""

from .angles import overlap, principal_angles
from .discrimination import discriminate_hard, discriminate_soft, gram_schmidt, orthonormal_basis, soft_filter
from .factors import effective_rank, energy_rank, low_rank_svd, truncate

__all__ = [
    "discriminate_hard", "discriminate_soft", "effective_rank", "energy_rank", "gram_schmidt", "low_rank_svd",
    "orthonormal_basis", "overlap", "principal_angles", "soft_filter", "truncate",
]
