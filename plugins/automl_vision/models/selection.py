"""Batch normalisation at the start of a block, which can be cut without changing what the block is given.

Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming" (ICCV 2017), section 3,
"Dealing with cross layer connections": where several layers read one map, each selects the channels that it needs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automl_core.errors import RequestError


class SelectedNorm(nn.Module):
    """Selects channels, all of them at first, and normalises those.

    The paper selects after normalising; batch normalisation treats each channel by itself, so selecting before it gives
    the same function, cheaper.

    Its consumer, which must lose the same input channels, is the next convolution or linear layer in module order.

    Args:
        channels: Channels of what it is given; also there as ``.channels``.
    """

    kept: Tensor | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.norm = nn.BatchNorm2d(channels)
        self.register_buffer("kept", None)  # part of the state only once it is cut, so that uncut weights stay the same

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to (B, kept channels, H, W)."""
        if self.kept is not None:
            maps = selected(maps, self.kept)
        normalised: Tensor = self.norm(maps)
        return normalised

    def select(self, kept: Tensor) -> None:
        """Cuts to some channels; optimisers must be made afterwards.

        Args:
            kept: Which of the channels that it still has stay, rising, shape (count,), int64. All of them: nothing
                changes.

        Raises:
            RequestError: When these are none, or not rising numbers of channels that it has.
        """
        count, numbers = self.norm.num_features, kept.tolist()
        if not numbers or numbers != sorted(set(numbers)) or not 0 <= numbers[0] <= numbers[-1] < count:
            raise RequestError(
                f"kept channels must be at least one, rising, and from 0 to {count - 1}, but got {numbers[:20]}; "
                "name channels that are there"
            )
        self._cut(kept)

    def resize(self, count: int) -> None:
        """Cuts to the first channels, to make room for the weights of a cut one; works on the device ``meta`` as well.

        Args:
            count: How many stay. All of them: nothing changes.

        Raises:
            RequestError: When it is below 1 or above what it has.
        """
        if not 1 <= count <= self.norm.num_features:
            raise RequestError(
                f"a normalisation of {self.norm.num_features} channels must keep 1 to all of them, but got {count}; "
                "name a number between"
            )
        self._cut(torch.arange(count))

    def _cut(self, kept: Tensor) -> None:
        old = self.norm
        if len(kept) == old.num_features:
            return
        device, dtype = old.weight.device, old.weight.dtype
        kept = kept.to(device=device, dtype=torch.int64)
        self.norm = nn.BatchNorm2d(len(kept), old.eps, old.momentum, device=device, dtype=dtype).train(old.training)
        self.norm.load_state_dict(
            {name: value if value.dim() == 0 else value[kept] for name, value in old.state_dict().items()}
        )
        self.norm.requires_grad_(old.weight.requires_grad)
        self.kept = kept if self.kept is None else self.kept[kept]


def selected(maps: Tensor, kept: Tensor) -> Tensor:
    """Gives some channels, shape (B, kept, H, W), in the memory format that the maps have.

    Channels that lie last are gathered as columns of a matrix: three times as fast as torch's selection, which would
    also give them back channels first and slow down everything behind.
    """
    if not maps.is_contiguous(memory_format=torch.channels_last) or maps.is_contiguous():
        return maps.index_select(1, kept)
    batch, channels, height, width = maps.shape
    rows = maps.permute(0, 2, 3, 1).reshape(-1, channels).index_select(1, kept)
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)
