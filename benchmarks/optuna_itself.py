"""Searches done by Optuna itself, as its own documentation does them, on the same problems and the same clock."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ConfigSpace.hyperparameters import CategoricalHyperparameter, FloatHyperparameter, OrdinalHyperparameter
from virtual import Truth

from automl_core.engine.state import trial_key
from automl_core.interfaces import Context, Evaluator, NamedDataset
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Job

if TYPE_CHECKING:
    import optuna

ETA = 3


def search(truth: Truth, sampler: str, pruned: bool, seed: int) -> dict[str, Any]:
    """Searches until the budget is spent, one trial after another.

    A configuration that comes again costs again: Optuna keeps no results by configuration. What it sees of one is what
    a study of ours with the same seed sees.

    Args:
        truth: The problem.
        sampler: Name of Optuna's sampler.
        pruned: Whether its successive-halving pruner stops trials at the rungs.
        seed: Of the sampler, and of what is seen of a configuration.
    """
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    pruner = (
        optuna.pruners.SuccessiveHalvingPruner(min_resource=truth.min_budget, reduction_factor=ETA)
        if pruned
        else optuna.pruners.NopPruner()
    )
    study = optuna.create_study(
        sampler=getattr(optuna.samplers, sampler)(seed=seed),
        pruner=pruner,
        direction="maximize" if truth.objective.direction == "max" else "minimize",
    )
    evaluator = truth.evaluator()
    evaluator.dataset_names(truth.instance)  # makes it look for the table
    rungs = list(_rungs(truth)) if pruned else [truth.max_budget]
    clock, best, incumbents = 0.0, (0, math.inf), []
    while True:
        trial = study.ask()
        configuration = suggest(trial, truth)
        for budget, value, seconds in evaluations(truth, evaluator, configuration, rungs, seed, trial.number):
            clock += seconds
            if clock > truth.budget:
                return {"incumbents": incumbents, "trials": len(study.trials), "spent": clock - seconds}
            loss = truth.objective.loss(value)
            if (-budget, loss) < best:
                best = -budget, loss
                incumbents.append((clock, configuration))
            trial.report(value, budget)
            if budget < truth.max_budget and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)


def suggest(trial: optuna.Trial, truth: Truth) -> dict[str, Any]:
    """Asks for a configuration: ordinal values as whole numbers, whose order Optuna uses."""
    configuration: dict[str, Any] = {}
    for name, one in truth.instance.config_space.items():
        if isinstance(one, CategoricalHyperparameter):
            configuration[name] = trial.suggest_categorical(name, _plain(one.choices))
        elif isinstance(one, OrdinalHyperparameter):
            configuration[name] = _plain(one.sequence)[trial.suggest_int(name, 0, len(one.sequence) - 1)]
        elif isinstance(one, FloatHyperparameter):
            configuration[name] = trial.suggest_float(name, one.lower, one.upper)
        else:
            raise TypeError(f"{name} is a {type(one).__name__}, which no problem here has")
    return configuration


def evaluations(
    truth: Truth, evaluator: Evaluator, configuration: Configuration, rungs: list[int], seed: int, number: int
) -> Iterator[tuple[int, float, float]]:
    """Yields budget, value and seconds of each rung, up to where the caller stops."""
    key = trial_key(truth.instance, configuration)
    context = Context(
        seed=derive_seed(seed, key),
        max_budget=truth.max_budget,
        dataset=None if truth.dataset is None else NamedDataset(truth.dataset),
    )
    evaluation = evaluator.start(truth.instance.decode(configuration), context)
    reached = 0
    for budget in rungs:
        for observation in evaluation.advance(Job(number, configuration, reached, budget)):
            yield budget, observation.metrics[truth.objective.metric], observation.seconds or 0.0
        reached = budget


def _rungs(truth: Truth) -> Iterator[int]:
    budget = truth.min_budget
    while budget < truth.max_budget:
        yield budget
        budget *= ETA
    yield truth.max_budget


def _plain(values: Any) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in values]
