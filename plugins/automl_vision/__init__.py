"""Image data, models, augmentation and the collaborative trainer.

This module is loaded as a plugin at start-up, so it imports nothing heavy; names are loaded at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from automl_core.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from automl_vision.augmentation import Augmentation
    from automl_vision.data import ImageDataset, ImageSplit, RawImages
    from automl_vision.evaluator import GraphEvaluator
    from automl_vision.exporting import ExportedModel, load_exported
    from automl_vision.losses import EdgeInput, EdgeLoss, NodeOutput
    from automl_vision.models import ClassifierModule, build_model, count_parameters
    from automl_vision.trainer import CollaborativeTrainer, TrainerSettings

_HOMES = {
    "automl_vision.augmentation": ("Augmentation",),
    "automl_vision.data": ("ImageDataset", "ImageSplit", "RawImages"),
    "automl_vision.evaluator": ("GraphEvaluator",),
    "automl_vision.exporting": ("ExportedModel", "load_exported"),
    "automl_vision.losses": ("EdgeInput", "EdgeLoss", "NodeOutput"),
    "automl_vision.models": ("ClassifierModule", "build_model", "count_parameters"),
    "automl_vision.trainer": ("CollaborativeTrainer", "TrainerSettings"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Augmentation",
    "ClassifierModule",
    "CollaborativeTrainer",
    "EdgeInput",
    "EdgeLoss",
    "ExportedModel",
    "GraphEvaluator",
    "ImageDataset",
    "ImageSplit",
    "NodeOutput",
    "RawImages",
    "TrainerSettings",
    "build_model",
    "count_parameters",
    "load_exported",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'automl_vision' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


@hookimpl
def automl_search_spaces(register: Register) -> None:
    register(
        "randaugment",
        "automl_spaces.randaugment:RandAugmentSpace",
        summary="how many operations distort each image, and how strongly",
    )
    register("darts", "automl_spaces.darts:DARTSSpace", summary="a normal and a reduction cell, trained for real")
    cells = "automl_spaces.cells"
    register("cells-dl", f"{cells}:CellsDL", summary="two cells of 15 operations: kernel size, dilation, depth")
    register("cells-dr", f"{cells}:CellsDR", summary="two cells of 35 operations: an expansion of any width as well")
    register("cells-ur", f"{cells}:CellsUR", summary="two cells of 76 operations: any expansions")
    register(
        "resnet-scaling",
        "automl_spaces.resnet_scaling:ResNetScalingSpace",
        summary="depth and width of each stage of ResNet-18, within a bound on multiply-accumulates",
    )


@hookimpl
def automl_datasets(register: Register) -> None:
    data = "automl_vision.data"
    register("digits", f"{data}.digits:Digits", summary="1,797 grey 8x8 digits, installed with scikit-learn")
    register("npz", f"{data}.files:Npz", summary="arrays in the layout of MedMNIST, by path")
    register("image-folder", f"{data}.files:ImageFolder", summary="image files, one folder a class, by path")
    register("cifar10", f"{data}.cifar:Cifar10", summary="60,000 colour images of 32x32, 10 classes, downloaded")
    register("cifar100", f"{data}.cifar:Cifar100", summary="60,000 colour images of 32x32, 100 classes, downloaded")
    register("fashion-mnist", f"{data}.fashion_mnist:FashionMnist", summary="70,000 grey 28x28 images, downloaded")


@hookimpl
def automl_models(register: Register) -> None:
    for depth in (8, 14, 20, 32, 44, 56, 110):
        register(
            f"resnet{depth}",
            f"automl_vision.models.resnet:resnet{depth}",
            summary=f"residual network for small images, {depth} layers",
        )
    for depth, factor in ((10, 1), (16, 1), (16, 2), (28, 2), (28, 10)):
        register(
            f"wrn-{depth}-{factor}",
            f"automl_vision.models.wide_resnet:wrn_{depth}_{factor}",
            summary=f"wide residual network, {depth} layers, {factor} times as wide",
        )
    for depth in (11, 20, 56, 110):
        register(
            f"preresnet{depth}",
            f"automl_vision.models.preresnet:preresnet{depth}",
            summary=f"residual network of pre-activation bottlenecks for small images, {depth} layers",
        )
    for depth in (10, 22, 40):
        register(
            f"densenet{depth}",
            f"automl_vision.models.densenet:densenet{depth}",
            summary=f"densely connected network for small images, {depth} layers",
        )
    for depth, widening in ((11, 24), (110, 64), (200, 240), (200, 300)):
        register(
            f"pyramidnet-{depth}-{widening}",
            f"automl_vision.models.pyramidnet:pyramidnet_{depth}_{widening}",
            summary=f"pyramidal residual network for small images, {depth} layers, widened by {widening} channels",
        )
    for depth, convolutions in ((11, 8), (16, 13), (19, 16)):
        register(
            f"vgg{depth}",
            f"automl_vision.models.vgg:VGG{depth}",
            summary=f"{convolutions} convolutions without shortcuts, for small images",
        )
    register("mobilenetv2", "automl_vision.models.mobilenet:MobileNetV2", summary="MobileNetV2 for small images")
    for depth in (18, 34):
        register(
            f"resnet{depth}",
            f"automl_vision.models.basic_resnet:resnet{depth}",
            summary=f"residual network of ImageNet's basic blocks for small images, {depth} layers",
        )
    register(
        "nas-bench-201",
        "automl_vision.models.nas_bench_201:NASBench201Network",
        summary="stacked cells of NAS-Bench-201, each alike",
    )
    register(
        "darts", "automl_vision.models.darts:DARTSNetwork", summary="stacked cells of a genotype, by default DARTS' own"
    )


@hookimpl
def automl_losses(register: Register) -> None:
    register("cross-entropy", "automl_vision.losses:CrossEntropy", summary="cross-entropy with the label")
    register("kl", "automl_vision.losses:KLDivergence", summary="KL divergence from the source's softened output")
    register("feature", "automl_vision.losses:FeatureDistance", summary="distance from the source's last feature map")


@hookimpl
def automl_evaluators(register: Register) -> None:
    register("supervised", "automl_vision.evaluator:GraphEvaluator", summary="trains networks, each as a graph")
