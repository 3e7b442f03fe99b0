"""Optuna's samplers by name, and Optuna without its remarks."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import optuna
from optuna.samplers import BaseSampler

from automl_core.errors import RequestError, unknown
from automl_core.types import Value

GRID = "which the searcher grid does: --searcher grid"
REFUSED = {
    "BruteForceSampler": f"it goes through all configurations, {GRID}",
    "GridSampler": f"it goes through a grid, {GRID}",
    "PartialFixedSampler": "it wraps another sampler; restrict the search space instead",
}
"""Samplers that cannot work here, with the reason."""


def sampler_kinds() -> dict[str, type[BaseSampler]]:
    """Gives Optuna's samplers by name, those that cannot work here included."""
    public = {name: getattr(optuna.samplers, name) for name in optuna.samplers.__all__}
    return {
        name: kind
        for name, kind in public.items()
        if isinstance(kind, type) and issubclass(kind, BaseSampler) and not inspect.isabstract(kind)
    }


def make_sampler(name: str, arguments: Mapping[str, Value], seed: int) -> BaseSampler:
    """Builds a sampler; one that draws random numbers is given the seed.

    Raises:
        RequestError: For an unknown sampler or argument, one that the sampler refuses, or a package that is missing.
    """
    kinds = sampler_kinds()
    if name not in kinds:
        raise unknown("sampler of Optuna", name, set(kinds) - set(REFUSED))
    if name in REFUSED:
        raise RequestError(f"a sampler must choose among all configurations, but {name} cannot: {REFUSED[name]}")
    known = inspect.signature(kinds[name]).parameters
    seeds = {"seed": seed % 2**32} if "seed" in known else {}
    for argument in arguments:
        if argument in seeds:
            raise RequestError(f"the sampler's seed is the study's, but {argument!r} was given as well; use --seed")
        if argument not in known:
            raise unknown(f"argument of {name}", argument, set(known) - {"seed"})
    try:
        with quiet():
            return kinds[name](**arguments, **seeds)
    except ImportError as error:
        raise lacking(name, error) from error
    except (TypeError, ValueError, AssertionError) as error:
        given = ", ".join(f"{argument}={value!r}" for argument, value in arguments.items()) or "no arguments"
        raise RequestError(f"{name} must be built, but with {given} it refuses: {error}") from error


def lacking(name: str, error: ImportError) -> RequestError:
    """Builds the error for a sampler that needs a package which cannot be imported."""
    cause = error if error.name is not None or not isinstance(error.__cause__, ImportError) else error.__cause__
    if cause.name is None:
        return RequestError(f"{name} needs a package that cannot be imported: {error}; install it")
    package = cause.name.partition(".")[0]
    if isinstance(cause, ModuleNotFoundError):
        return RequestError(f"{name} needs the package {package}, but it is not installed; pip install {package}")
    return RequestError(
        f"{name} needs the package {package}, but it cannot be imported: {cause}; pip install --upgrade {package}"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what Optuna logs and warns about within a ``with`` block."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
