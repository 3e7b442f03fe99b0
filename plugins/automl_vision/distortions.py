"""What AutoAugment and RandAugment do to images, each as tensor work on a whole batch.

All take uint8 images and give new ones. Where an operation is known from Pillow, it gives what Pillow gives, up to
rounding to the nearest.

Shapes: B images, C channels, H rows, W columns.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256
"""Values that a pixel can have."""

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue contribute to brightness (ITU-R BT.601)."""


def autocontrast(images: Tensor) -> Tensor:
    """Stretches each channel so that its darkest pixel becomes 0 and its brightest 255; a flat channel stays."""
    low, high = images.amin((2, 3), keepdim=True).float(), images.amax((2, 3), keepdim=True).float()
    # A product of whole numbers below 2^24 and one division: what is whole in theory is whole here as well.
    stretched = (images.float() - low).mul_(LEVELS - 1).div_((high - low).clamp_(min=1.0))
    return torch.where(high > low, stretched.to(torch.uint8), images)


def equalize(images: Tensor) -> Tensor:
    """Makes all levels of each channel about equally frequent.

    Pixels are counted in steps of a 255th of those that are not of the brightest level. So a channel with fewer than
    255 such pixels stays as it is: images of 8x8 do.
    """
    pixels = images.flatten(2).long()
    histogram = pixels.new_zeros((*pixels.shape[:2], LEVELS)).scatter_add_(2, pixels, torch.ones_like(pixels))
    brightest = histogram.gather(2, pixels.amax(2, keepdim=True))
    step = (pixels.shape[2] - brightest).div_(LEVELS - 1, rounding_mode="floor")
    darker = histogram.cumsum(2).sub_(histogram)
    level = darker.add_(step // 2).div_(step.clamp(min=1), rounding_mode="floor").clamp_(max=LEVELS - 1)
    return torch.where(step > 0, level.gather(2, pixels), pixels).to(torch.uint8).view_as(images)


def posterize(images: Tensor, bits: int | Tensor) -> Tensor:
    """Keeps the highest ``bits`` of each pixel's eight; a tensor, shape (B, 1, 1, 1), has some for each image."""
    return images.bitwise_and(LEVELS - 2 ** (8 - bits)).to(torch.uint8)


def solarize(images: Tensor, threshold: float | Tensor) -> Tensor:
    """Inverts the pixels from ``threshold`` on; a tensor, shape (B, 1, 1, 1), has one for each image."""
    return torch.where(images >= threshold, 255 - images, images)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Mixes each image with black; ``factor``, shape (B, 1, 1, 1), is 1 where nothing changes, as in all that mix."""
    return _rounded(images * factor)


def color(images: Tensor, factor: Tensor) -> Tensor:
    """Mixes each image with its grey version; what is not red, green and blue has no colour and stays."""
    if images.shape[1] != len(LUMA):
        return images.clone()
    return _mixed(images, _grey(images), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Mixes each image with its mean brightness."""
    return _mixed(images, _grey(images).mean((1, 2, 3), keepdim=True), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Mixes each image with a smoother one: its 3x3 means, in which the centre counts five times. The border stays."""
    if min(images.shape[2:]) < 3:
        return images  # nothing but border
    smooth = images.float()
    inner = smooth[..., 1:-1, 1:-1]
    inner.copy_(F.avg_pool2d(smooth, 3, stride=1).mul_(9).add_(inner, alpha=4).div_(13).round_())
    return _mixed(images, smooth, factor)


def _grey(images: Tensor) -> Tensor:
    """Gives the brightness of each pixel in whole levels, float32, (B, 1, H, W); the channels' mean of other images."""
    if images.shape[1] != len(LUMA):
        return images.float().mean(1, keepdim=True).floor_()
    red, green, blue = (images[:, place : place + 1] for place in range(len(LUMA)))
    return red.mul(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).floor_()


def _mixed(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return _rounded(torch.lerp(other.expand(images.shape), images.float(), factor))


def _rounded(levels: Tensor) -> Tensor:
    return levels.clamp_(0, LEVELS - 1).round_().to(torch.uint8)


def warp(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    """Moves pixels: each output pixel shows the pixel at the place that the image's matrix maps it to, the nearest.

    Args:
        images: Shape (B, C, H, W), uint8.
        matrices: Shape (B, 2, 3), float32: x_from = m00 x + m01 y + m02 and y_from = m10 x + m11 y + m12, in pixels
            from the image's top left corner; a pixel's place is its centre.
        fill: What shows where nothing comes from; shape (C,) or (1,), uint8.
    """
    count, channels, height, width = images.shape
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device).unsqueeze(1) + 0.5
    places = matrices[:, :, None, None]  # (B, 2, 1, 1, 3)
    columns = torch.floor(places[:, 0, ..., 0] * x + places[:, 0, ..., 1] * y + places[:, 0, ..., 2])
    rows = torch.floor(places[:, 1, ..., 0] * x + places[:, 1, ..., 1] * y + places[:, 1, ..., 2])
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    # What comes from outside comes from one more pixel, which is the fill: faster than a choice for each channel.
    source = torch.where(inside, rows * width + columns, float(height * width)).long().view(count, 1, -1)
    pixels = torch.cat([images.flatten(2), fill.view(1, -1, 1).expand(count, channels, 1)], dim=2)
    return pixels.gather(2, source.expand(-1, channels, -1)).view_as(images)
