"""Distillation before, after and around pruning, and with augmentation.

This module is loaded as a plugin at start-up, so it imports nothing heavy.
"""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_search_spaces(register: Register) -> None:
    register(
        "kd-pruning",
        "automl_spaces.kd_pruning:KDPruningSpace",
        summary="what is removed from a network, and in which trainings around that it has a teacher",
    )
    register(
        "kd-augment",
        "automl_spaces.kd_augment:KDAugmentSpace",
        summary="distillation with augmentation in the teacher's training, in the student's, or in both",
    )


@hookimpl
def automl_evaluators(register: Register) -> None:
    register(
        "kd-pruning",
        "automl_kd_pruning.evaluator:KDPruningEvaluator",
        summary="trains sequences of graphs: teachers, students, and what pruning leaves of them",
    )


@hookimpl
def automl_models(register: Register) -> None:
    register("pruned", "automl_kd_pruning.pruned:pruned", summary="another model with some of its channels removed")


@hookimpl
def automl_commands(register: Register) -> None:
    package = "automl_kd_pruning.commands"
    register("orthogonality", f"{package}.orthogonality:command", summary="tables of distillation with other methods")
    register("diversity", f"{package}.diversity:command", summary="how different a network's outputs are, by input")
    register("landscape", f"{package}.landscape:command", summary="a picture of the loss around a trained network")
