"""Puts a facade of SMAC3 together."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import joblib
from ConfigSpace import Configuration
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, MultiFidelityFacade
from smac.facade.abstract_facade import AbstractFacade
from smac.multi_objective.parego import ParEGO
from smac.runhistory.enumerations import StatusType
from smac.scenario import Scenario

from automl_core.errors import RequestError
from automl_core.interfaces import Problem
from automl_smac.parts import BoundedHyperband, Encoder, LogScaledEncoder, Proposals, order_search

FacadeName = Literal["black-box", "hyperparameter-optimization", "multi-fidelity"]

FACADES: Mapping[FacadeName, tuple[type[AbstractFacade], type[Encoder] | type[LogScaledEncoder]]] = {
    "black-box": (BlackBoxFacade, Encoder),
    "hyperparameter-optimization": (HyperparameterOptimizationFacade, LogScaledEncoder),
    "multi-fidelity": (MultiFidelityFacade, LogScaledEncoder),
}
"""Name to SMAC3's facade and the kind of its encoder."""


def build_facade(
    name: FacadeName,
    problem: Problem,
    trials: int,
    *,
    eta: int,
    initial: int | None,
    admit: Callable[[Configuration], bool],
    draw: Callable[[], Configuration | None],
    left: Callable[[], int],
) -> AbstractFacade:
    """Builds SMAC3 for asking and telling: silent, without files, and with the parts of :mod:`automl_smac.parts`.

    Args:
        name: Which facade.
        problem: What is to be solved; its ConfigurationSpace is left untouched.
        trials: How many configurations are expected; the size of the initial design follows from it.
        eta: Reduction factor of the multi-fidelity facade.
        initial: Size of the initial design; None leaves it to SMAC3.
        admit: As in :class:`~automl_smac.parts.Proposals`.
        draw: As there.
        left: As in :class:`~automl_smac.parts.BoundedHyperband`.

    Raises:
        RequestError: When SMAC3 does not take the search space.
    """
    kind, encoder = FACADES[name]
    parts: dict[str, Any] = {}
    try:
        # SMAC3 writes into its directory when it is built, and later only on request.
        with contained(), tempfile.TemporaryDirectory() as directory:
            scenario = _scenario(name, problem, trials, Path(directory))
            if initial is not None:
                parts["initial_design"] = kind.get_initial_design(scenario, n_configs=initial, max_ratio=1.0)  # type: ignore[call-arg]
            if name == "multi-fidelity":
                # Incumbents are not looked at here, and of different budgets SMAC3 cannot compare several objectives.
                parts["intensifier"] = BoundedHyperband(
                    scenario=scenario, eta=eta, left=left, incumbent_selection="highest_budget"
                )
            if len(problem.objectives) > 1:
                parts["multi_objective_algorithm"] = ParEGO(scenario)
            selector = kind.get_config_selector(scenario).meta
            del selector["name"]
            return kind(
                scenario,
                config_selector=Proposals(scenario, admit, draw, **selector),
                acquisition_maximizer=order_search(kind.get_acquisition_maximizer(scenario), scenario),  # type: ignore[arg-type]
                runhistory_encoder=encoder(scenario, lower_budget_states=[StatusType.CRASHED]),
                logging_level=False,
                overwrite=True,
                **parts,
            )
    except (ValueError, TypeError) as error:
        raise RequestError(
            f"SMAC3's facade {name!r} must be able to model the search space {problem.space.name!r}, but says: "
            f"{error}; use another facade (--set searcher.facade=...) or another --searcher"
        ) from error


@contextmanager
def contained() -> Iterator[None]:
    """Keeps SMAC3 to itself: no remarks, unless its logger has been given a level, no warnings, and one thread.

    Its forests are small, and would take the threads that trainings need.
    """
    logger = logging.getLogger("smac")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), joblib.parallel_config(backend="sequential"):
        warnings.simplefilter("ignore")
        yield


def _scenario(name: FacadeName, problem: Problem, trials: int, directory: Path) -> Scenario:
    objectives = [str(objective) for objective in problem.objectives]
    staged = name == "multi-fidelity"
    return Scenario(
        copy.copy(problem.space.config_space),  # SMAC3 seeds it; a copy shares the hyperparameters alone
        output_directory=directory,
        deterministic=True,
        objectives=objectives if len(objectives) > 1 else objectives[0],
        n_trials=trials,
        seed=problem.seed % 2**31,
        min_budget=problem.min_budget if staged else None,
        max_budget=problem.max_budget if staged else None,
    )
