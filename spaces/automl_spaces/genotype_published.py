"""Cells that Laube and Zell found by PR-DARTS on CIFAR-10.

Source: Laube and Zell, "Prune and Replace NAS" (2019), figure 3, and the genotypes in their published code.
"""

from __future__ import annotations

from automl_spaces.genotype import Genotype

PR_DARTS_DL1 = Genotype(
    normal=(
        (("conv_5x5_e1", 0), ("conv_3x3_e1", 1)),
        (("conv_3x3_e1", 1), ("skip_connect", 2)),
        (("conv_3x3_e1", 1), ("skip_connect", 2)),
        (("skip_connect", 0), ("skip_connect", 2)),
    ),
    reduction=(
        (("conv_3x3_e1", 0), ("skip_connect", 1)),
        (("max_pool_3x3", 0), ("conv_5x5_e1", 2)),
        (("conv_3x3_e1", 0), ("conv_3x3_e1", 1)),
        (("max_pool_3x3", 1), ("conv_3x3_e1", 4)),
    ),
)
"""Found in the space DL; 2.74 % test error on CIFAR-10."""

PR_DARTS_DL2 = Genotype(
    normal=(
        (("conv_3x3_e1", 0), ("conv_3x3", 1)),
        (("conv_3x3", 1), ("conv_7x7_e1", 2)),
        (("skip_connect", 0), ("conv_5x5_e1", 1)),
        (("conv_3x3_e1", 1), ("conv_7x7_e1", 4)),
    ),
    reduction=(
        (("conv_3x3", 0), ("conv_3x3_e1", 1)),
        (("conv_3x3_e1", 1), ("skip_connect", 2)),
        (("max_pool_3x3", 0), ("conv_3x3", 3)),
        (("conv_3x3", 0), ("skip_connect", 3)),
    ),
)
"""Found in the space DL; 2.51 % test error on CIFAR-10."""

PR_DARTS_DR = Genotype(
    normal=(
        (("conv_3x3", 0), ("conv_3x3_e3", 1)),
        (("conv_7x7_e1", 1), ("conv_5x5_e2", 2)),
        (("skip_connect", 1), ("skip_connect", 3)),
        (("skip_connect", 0), ("skip_connect", 2)),
    ),
    reduction=(
        (("conv_5x5_e2", 0), ("max_pool_3x3", 1)),
        (("max_pool_3x3", 1), ("conv_3x3_e1", 2)),
        (("max_pool_3x3", 0), ("conv_3x3_e3", 2)),
        (("max_pool_3x3", 0), ("conv_1x1_e1", 3)),
    ),
)
"""Found in the space DR; 2.55 % test error on CIFAR-10."""

PR_DARTS_UR = Genotype(
    normal=(
        (("conv_3x3_e2", 0), ("conv_1x1", 1)),
        (("conv_3x3_e1-1-1", 1), ("conv_5x5", 2)),
        (("conv_1x1_e1", 1), ("conv_3x3_e1-1", 2)),
        (("conv_1x1_e1", 3), ("conv_5x5_e1-1", 4)),
    ),
    reduction=(
        (("conv_7x7_e1", 0), ("conv_3x3", 1)),
        (("conv_3x3_e1-1", 0), ("conv_3x3_e1", 2)),
        (("skip_connect", 0), ("skip_connect", 2)),
        (("conv_7x7_e1-1", 1), ("skip_connect", 2)),
    ),
)
"""Found in the space UR; 3.79 % test error on CIFAR-10."""
