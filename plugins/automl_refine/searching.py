"""The command that searches a refinement's last design space with the refinement's evaluator, data and budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from automl_core.types import Json

if TYPE_CHECKING:
    from automl_refine.refining import Refinement

PRESET = "quick"
"""The preset that ``automl run`` takes by itself."""


def search_command(refinement: Refinement, directory: str = "") -> list[str]:
    """Gives the words of the command, without ``automl``.

    What comes by itself is left out, and what no command line can name. Options of the trainer are left out, too: they
    are many, and ``automl show`` lists them.

    Args:
        refinement: The refinement.
        directory: Where its files are, if not where the command is given.
    """
    last = f"{refinement.letters[-1]}.yaml"
    words = ["run", "--space", f"{directory}/{last}" if directory else last]
    words += ["--searcher", "grid"] if last == "X.yaml" else []
    return [*words, *_settings(refinement)]


def _settings(refinement: Refinement) -> Iterator[str]:
    spec, assembly = refinement.source.spec, refinement.source.assembly
    evaluator = spec.evaluator
    if not evaluator.given:
        if evaluator.name != assembly.space.whole.default_evaluator:
            yield from ("--evaluator", evaluator.name)
        usual = next(iter(assembly.evaluator.metrics.items()), ())
        if spec.objectives[0] != ":".join(usual):
            yield from ("--objective", spec.objectives[0])
    if spec.preset != PRESET:
        yield from ("--preset", spec.preset)
    if spec.dataset is not None and not spec.dataset.given:
        yield from ("--dataset", spec.dataset.name)
        for name, value in spec.dataset.options.items():
            yield from ("--set", f"dataset.{name}={_written(value)}")
    yield from ("--max-budget", str(spec.max_budget))


def _written(value: Json) -> str:
    """Writes a value as ``--set`` reads it: plain text as it is, all else as JSON, which is YAML."""
    import yaml

    try:
        plain = isinstance(value, str) and yaml.safe_load(value) == value
    except yaml.YAMLError:
        plain = False
    return str(value) if plain else json.dumps(value)
