"""What every model is: a feature extractor and a linear head; and how one is built from its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from automl_core.errors import RequestError
from automl_core.plugins import get_registry
from automl_core.types import EMPTY
from automl_vision.randomness import isolated_randomness


class ClassifierModule(nn.Module):
    """A network that classifies images: ``head(forward_features(images))``, its features pooled from its last maps.

    Losses on features and estimators need both halves, so a model must have them; deriving from this class is the
    convenient way, not the only one. A model defines ``forward_maps``, and ``pool`` where it is not the mean; one whose
    features are no pooled maps defines ``forward_features`` instead, and then losses on maps do not take it.

    A model may also define ``forward_with_auxiliary(images)``, which gives the features together with the logits of an
    auxiliary head, shape (B, classes), and takes the place of ``forward_features`` in training (what that head is made
    of belongs under the attribute ``auxiliary``, so that it is not counted among the network's parameters); and
    ``set_progress(progress)``, which is told before each epoch of training which share of the maximum budget is past.
    """

    head: nn.Linear

    kept_features: Tensor | None = None
    """Where pruning has just removed features: numbers of those that are left, rising, shape (head.in_features,)."""

    def forward_maps(self, images: Tensor) -> Tensor:
        """Turns normalised images, shape (B, channels, H, W), into the last feature maps, before any global pooling.

        Returns:
            Shape (B, maps, rows, columns); with the default pooling ``head.in_features`` maps.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward_maps (or forward_features)")

    def pool(self, maps: Tensor) -> Tensor:
        """Turns feature maps, shape (B, maps, rows, columns), into features, shape (B, ``head.in_features``)."""
        return maps.mean((2, 3))

    def forward_features(self, images: Tensor) -> Tensor:
        """Turns normalised images, shape (B, channels, H, W), into features, shape (B, ``head.in_features``)."""
        return self.pool(self.forward_maps(images))

    def forward(self, images: Tensor) -> Tensor:
        """Gives logits, shape (B, classes)."""
        return cast(Tensor, self.head(self.forward_features(images)))


def build_model(
    name: str, channels: int, classes: int, options: Mapping[str, Any] = EMPTY, seed: int = 0
) -> ClassifierModule:
    """Builds a registered model; equal arguments give bit-equal weights.

    Constructors of layers draw from torch's global generator. It is seeded for the time of building and put back, so
    that nobody else sees a difference and models that know nothing of seeds are still reproducible.

    Args:
        name: Registered name, such as ``resnet8``.
        channels: Channels of the images.
        classes: Number of classes.
        options: The model's options.
        seed: Seed of the initial weights.

    Raises:
        RequestError: For an unknown model or option, or a module without ``forward_features`` and a linear ``head``.
    """
    with isolated_randomness(seed):
        model = get_registry().create("model", name, options, channels=channels, classes=classes)
    if not callable(getattr(model, "forward_features", None)) or not isinstance(
        getattr(model, "head", None), nn.Linear
    ):
        raise RequestError(
            f"a model must be a module with forward_features and a linear head, but {name!r} built a "
            f"{type(model).__name__} without them; derive it from automl_vision.models.ClassifierModule"
        )
    return cast(ClassifierModule, model)


def initialise(model: nn.Module) -> None:
    """Draws convolutions He-normally by fan-out; batch normalisation begins as the identity.

    The head keeps torch's default. Source: He et al., "Delving Deep into Rectifiers" (2015), section 2.2.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def count_parameters(model: nn.Module) -> int:
    """Counts the trainable numbers of a model, those of an auxiliary head (under ``auxiliary``) left out."""
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not name.startswith("auxiliary.")
    )


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """Makes a convolution without bias whose padding keeps the image's size at stride 1."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


def check_width(width: int) -> None:
    """Refuses a width that gives no network.

    Raises:
        RequestError: When ``width`` is below 1.
    """
    if width < 1:
        raise RequestError(f"a model's width must be at least 1 channel, but got {width}; raise the option 'width'")
