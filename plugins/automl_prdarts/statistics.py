"""What the candidates of a cell are made of, in numbers.

Source: Laube and Zell, "Prune and Replace NAS" (2019), section IV-B and figure 2.
"""

from __future__ import annotations

from statistics import fmean

from automl_prdarts.plan import KINDS, Cycle, Pools
from automl_spaces.operations import kind_of, pool_similarity

SHARES = ("pool", "skip", "convolution")
"""Kinds of operations whose shares are told."""


def pool_statistics(cycle: Cycle) -> dict[str, float]:
    """Gives the metrics of a cycle's candidates, which are the same in each of its epochs.

    Returns:
        For the normal cell, and likewise for ``reduction``: ``pool_share_normal``, ``skip_share_normal`` and
        ``convolution_share_normal``, the shares of such operations among the candidates of all edges, and
        ``similarity_normal``, the mean over all edges of how much their candidates are alike. All are in [0, 1].
    """
    found: dict[str, float] = {}
    for kind in KINDS:
        pools: Pools = getattr(cycle, kind)
        kinds: list[str] = [kind_of(candidate) for pool in pools for candidate in pool]
        found |= {f"{share}_share_{kind}": kinds.count(share) / len(kinds) for share in SHARES}
        found[f"similarity_{kind}"] = fmean(map(pool_similarity, pools))
    return found
