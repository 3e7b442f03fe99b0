"""Design-space refinement: which choices go with small errors, and smaller and smaller spaces made of them.

This module is loaded as a plugin at start-up, so it imports nothing heavy; ``refine`` is loaded at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl_core.hookspecs import Register, hookimpl

if TYPE_CHECKING:
    from automl_refine.refining import Refinement, go_on, refine

__all__ = ["Refinement", "go_on", "refine"]


@hookimpl
def automl_searchers(register: Register) -> None:
    register(
        "refine", "automl_refine.searcher:RefineSearcher", summary="narrows the space step by step, then all of it"
    )


@hookimpl
def automl_stages(register: Register) -> None:
    register("refinement", "automl_refine.stage:RefinementStage", summary="tables, design spaces and pictures of it")


@hookimpl
def automl_commands(register: Register) -> None:
    package = "automl_refine.commands"
    register("areas", f"{package}.areas:command", summary="which choices go with small errors, from any study")
    register(
        "refinement", f"{package}.refinement:command", summary="tables, design spaces and pictures of a refinement"
    )


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'automl_refine' has no attribute {name!r}")
    from automl_refine import refining

    return getattr(refining, name)
