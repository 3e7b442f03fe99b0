"""What a supernet takes over from the one of the cycle before.

Shared layers and candidates that stay keep all they have learnt. A new candidate begins with what its parent has learnt
where the two agree, so its weights follow from the shapes of both alone:

- *grow* pads kernels with zeros, *shrink* takes their centre, *dilate* and *undilate* copy them;
- *widen* leaves the new channels as they were initialised, and takes none of them into account at first: the columns of
  the next 1x1 convolution that they come into are zero;
- *insert* copies the blocks there were, and lets a last one follow whose convolutions change nothing.

Growing and widening keep the function. The others change it: an inserted block still rectifies and normalises.

Source: Laube and Zell, "Prune and Replace NAS" (2019), section III-B; grow, insert and widen after Chen et al.,
"Net2Net: Accelerating Learning via Knowledge Transfer" (ICLR 2016), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_prdarts.candidates import Block, Candidate
from automl_prdarts.plan import Origin
from automl_prdarts.supernet import Supernet


@torch.no_grad()
def inherit(child: Supernet, parent: Supernet, origins: Sequence[Origin]) -> None:
    """Copies what stays into a newly built supernet, and initialises its new candidates from their parents.

    Nothing is drawn: what a new candidate does not inherit stays as it was built. So do architecture weights. The two
    networks share no memory afterwards.

    Args:
        child: The supernet of this cycle.
        parent: That of the cycle before, of as many cells and channels.
        origins: The new candidates of this cycle; their parents need not be among its candidates.

    Raises:
        RequestError: For a candidate that neither was in the cycle before nor has an origin there, or a parent that
            the candidate is no morphism of.
    """
    parents = {(one.kind, one.edge, one.child): one.parent for one in origins}
    _copy(child.stem, parent.stem)
    _copy(child.head, parent.head)
    for cell, old_cell in zip(child.mixed_cells, parent.mixed_cells, strict=True):
        _copy(cell.inputs, old_cell.inputs)
        for place, (edge, old_edge) in enumerate(zip(cell.mixed_edges, old_cell.mixed_edges, strict=True)):
            old = old_edge.candidates
            for name, candidate in edge.candidates.items():
                origin = parents.get((cell.kind, place, name), name)
                if origin not in old:
                    raise RequestError(
                        f"a candidate must come from one of the cycle before, but {name} on edge {place} of the "
                        f"{cell.kind} cell would come from {origin}, and there were {list(old)}; name its parent"
                    )
                if origin == name:
                    _copy(candidate, old[name])
                else:
                    morph(candidate, old[origin])


def _copy(new: nn.Module, old: nn.Module) -> None:
    new.load_state_dict(old.state_dict())


@torch.no_grad()
def morph(child: Candidate, parent: Candidate) -> None:
    """Initialises a convolution from one that it is a morphism of.

    Args:
        child: The new convolution, as it was built.
        parent: The trained one, of as many channels.

    Raises:
        RequestError: When one of them is no convolution, or the child has fewer blocks than its parent.
    """
    blocks, old_blocks = child.blocks, parent.blocks
    if not 0 < len(old_blocks) <= len(blocks):
        raise RequestError(
            f"a new candidate must be a convolution made of another by a morphism, which takes no block away, but "
            f"{len(old_blocks)} blocks would become {len(blocks)}; pools and skip connections have no morphisms"
        )
    for block, old in zip(blocks, old_blocks, strict=False):
        _inherit(block, old)
    for block in blocks[len(old_blocks) :]:
        nn.init.dirac_(block.depthwise.weight, groups=block.depthwise.groups)
        nn.init.dirac_(block.pointwise.weight)


def _inherit(block: Block, old: Block) -> None:
    """Copies what two blocks have in common; an input that is new counts for nothing, an output stays as it is."""
    kernels = _centred(old.depthwise.weight, block.depthwise.kernel_size[0])
    block.depthwise.weight[: len(kernels)] = kernels
    outputs, inputs = old.pointwise.weight.shape[:2]
    block.pointwise.weight[:, inputs:] = 0
    block.pointwise.weight[:outputs, :inputs] = old.pointwise.weight
    for name in ("running_mean", "running_var"):
        block.norm.get_buffer(name)[:outputs] = old.norm.get_buffer(name)


def _centred(kernels: Tensor, size: int) -> Tensor:
    """Gives kernels of another size with the same centre: padded with zeros, or cut (padding below 0)."""
    margin = (size - kernels.shape[-1]) // 2
    return F.pad(kernels, (margin,) * 4)
