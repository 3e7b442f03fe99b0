"""Recipes: what a found network was trained as, in a YAML file that needs no workspace.

::

    recipe: 1
    evaluator: {name: ktg, options: {}}
    unit: epochs
    budget: 8
    objective: accuracy:max
    dataset: {name: digits, options: {}}
    description:
      nodes: [{model: resnet8}, {model: resnet14}]
      edges:
        - {source: 0, destination: 1, gate: through}
        - {source: 2, destination: 1, gate: linear}
    trainer: {batch: 64, lr: 0.1}
    provenance: {study: ...}

``recipe`` is the number of the format; it, ``evaluator``, ``budget`` and ``description`` must be there. The data set is
that of the training, and can be replaced by another one, since networks are built for the images that they get. What
stands under ``provenance`` is for people, but that it names a retraining's study.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import automl_core
from automl_core.errors import RequestError, unknown
from automl_core.interfaces import Description, Evaluator
from automl_core.options import REQUIRED, describe, validate
from automl_core.plugins import get_registry
from automl_core.records import TrialRow, plain
from automl_core.spec import Part, StudySpec
from automl_core.types import Json
from automl_core.yaml_files import read_mapping

if TYPE_CHECKING:
    from automl_core.study import Study

FILE = "recipe.yaml"
RECIPE = "recipe"
"""The key that tells a recipe's file, the name of its search space, and that of the preset that adds nothing to it."""

SPACES = "name a registered space ('automl plugins' lists them) or another file"

FORMAT = 1
LONGEST_LINE = 8
"""Entries that are written in one line; the settings of a trainer stand one below the other."""

NEEDED = (RECIPE, "evaluator", "budget", "description")
KEYS = (*NEEDED, "unit", "objective", "dataset", "trainer", "provenance")


@dataclass(frozen=True)
class TrainingRecipe:
    """What was trained, and how.

    Args:
        evaluator: What trains, with its options.
        budget: How far, in the evaluator's unit.
        description: What is trained, as the evaluator's ``parse`` reads it.
        unit: The evaluator's unit, for people.
        objective: What is measured: ``metric:max|min``; empty for the evaluator's first metric.
        dataset: What it was trained on; None where nothing says it.
        trainer: Settings of the trainer.
        provenance: Where this comes from.
    """

    evaluator: Part
    budget: int
    description: Json
    unit: str = ""
    objective: str = ""
    dataset: Part | None = None
    trainer: Mapping[str, Json] = field(default_factory=dict)
    provenance: Json = None

    @classmethod
    def from_json(cls, data: Json, where: str = "") -> Self:
        """Reads what :meth:`to_json` gave; ``where`` says in errors where it stands.

        Raises:
            RequestError: For an unknown or missing key, another format, or a value that is none for its key.
        """
        subject = f"a recipe ({where})" if where else "a recipe"
        if not isinstance(data, Mapping) or RECIPE not in data:
            raise RequestError(
                f"{subject} must map 'recipe' to the number of its format, but does not; write 'recipe: 1'"
            )
        if type(data[RECIPE]) is not int or data[RECIPE] != FORMAT:
            raise RequestError(
                f"{subject} must be of format {FORMAT}, but is of {data[RECIPE]!r}; export it again with automl-graph "
                f"{automl_core.__version__}, or train it with the release that wrote it"
            )
        for key in data:
            if key not in KEYS:
                raise unknown(f"key in {subject.removeprefix('a ')}", str(key), KEYS)
        for key in NEEDED:
            if data.get(key) is None:
                raise RequestError(f"{subject} must have the key {key!r}, but has not; add it")
        if type(data["budget"]) is not int or data["budget"] < 1:
            raise RequestError(
                f"'budget' of {subject} must be a whole number above 0, but is {data['budget']!r}; mend it"
            )
        for key in ("unit", "objective"):
            if not isinstance(data.get(key) or "", str):
                raise RequestError(f"{key!r} of {subject} must be text, but is {data[key]!r}; mend it")
        dataset = data.get("dataset")
        return cls(
            evaluator=_part(data["evaluator"], "evaluator", subject),
            budget=data["budget"],
            description=data["description"],
            unit=data.get("unit") or "",
            objective=data.get("objective") or "",
            dataset=None if dataset is None else _part(dataset, "dataset", subject),
            trainer=_mapping(data.get("trainer"), "trainer", subject),
            provenance=data.get("provenance"),
        )

    def to_json(self) -> dict[str, Json]:
        told = {
            RECIPE: FORMAT,
            "evaluator": {"name": self.evaluator.name, "options": self.evaluator.options},
            "unit": self.unit,
            "budget": self.budget,
            "objective": self.objective,
            "dataset": self.dataset and {"name": self.dataset.name, "options": self.dataset.options},
            "description": self.description,
            "trainer": self.trainer,
            "provenance": self.provenance,
        }
        return {name: one for name, one in plain(told).items() if one not in (None, "")}

    @property
    def part(self) -> Part:
        """The recipe's search space as a part of a study."""
        return Part(RECIPE, {RECIPE: json.dumps(replace(self, provenance=None).to_json(), sort_keys=True)})

    def on(self, dataset: str | None, options: Mapping[str, Json]) -> Part | None:
        """Gives the data set to train on: the one named, or else the recipe's, whose options hold for it alone."""
        if self.dataset is None or dataset not in (None, "", self.dataset.name):
            return Part(dataset or "", options) if dataset or options else None
        return Part(self.dataset.name, {**self.dataset.options, **options})

    def write(self, path: Path) -> None:
        """Writes the file."""
        import yaml

        head = (
            "# What was trained, and how. Another data set: automl retrain recipe.yaml --dataset NAME\n"
            "# What stands here may be changed; 'provenance' says where it comes from.\n"
        )

        class Dumper(yaml.SafeDumper):
            """Writes what holds no further content, such as an edge, in one line."""

            def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
                deep = any(isinstance(one, (dict, list)) and one for one in mapping.values())
                return super().represent_mapping(tag, mapping, flow_style=not deep and len(mapping) <= LONGEST_LINE)

        text = yaml.dump(self.to_json(), Dumper=Dumper, sort_keys=False, default_flow_style=None, width=110)
        path.write_text(head + text, encoding="utf-8")


def read_recipe(path: Path) -> TrainingRecipe:
    """Reads a recipe's file; nothing of it is looked up yet.

    Raises:
        RequestError: When it cannot be read, or is no recipe.
    """
    return TrainingRecipe.from_json(read_mapping(path, "recipe"), str(path))


def is_recipe(path: Path) -> bool:
    """Whether a YAML file is meant for a recipe, and not for a design space.

    Raises:
        RequestError: When it cannot be read.
    """
    return RECIPE in read_mapping(path, "design space", SPACES)


def has_recipe(evaluator: Evaluator, spec: StudySpec) -> bool:
    """Whether what an evaluator trains can be written as a recipe."""
    return evaluator.trains and not spec.evaluator.given and type(evaluator).parse is not Evaluator.parse


def made_recipe(
    study: Study, chosen: TrialRow, description: Description, setting: Mapping[str, Json], budget: int
) -> TrainingRecipe:
    """Gives the recipe of what was trained in a study.

    Args:
        study: The study.
        chosen: The trial that it was, or that it was a retraining of.
        description: What was trained.
        setting: What differed from the study's own data set and trainer.
        budget: How far its schedules ran.
    """
    spec, registry = study.spec, get_registry()
    factory: type[Evaluator] = registry.load("evaluator", spec.evaluator.name)
    data = Part(**setting["dataset"]) if setting.get("dataset") else spec.dataset
    return TrainingRecipe(
        evaluator=Part(spec.evaluator.name, {**_defaults(factory), **spec.evaluator.options}),
        budget=budget,
        description=study.assembly.workbench(setting).evaluator.translated(description).to_json(),
        unit=spec.unit,
        objective=spec.objectives[0],
        dataset=data,
        trainer=_resolved(factory, setting.get("trainer", spec.trainer)),
        provenance={
            "study": study.name,
            "trial": chosen.number,
            **({"label": chosen.label} if chosen.label else {}),
            "seed": spec.seed,
            "space": spec.space.name,
            "searcher": spec.searcher.name,
            "metrics": dict(chosen.metrics),
            "version": automl_core.__version__,
        },
    )


def _resolved(factory: type[Evaluator], trainer: Mapping[str, Json]) -> dict[str, Json]:
    """Gives all settings of a trainer, so that later defaults change nothing."""
    if factory.settings is None or not is_dataclass(factory.settings):
        return dict(trainer)
    return asdict(factory.settings(**validate(factory.settings, trainer, "trainer")))


def _defaults(factory: type[Evaluator]) -> dict[str, Json]:
    found = describe(factory, given=frozenset({"trainer"}))
    return {option.name: option.default for option in found if option.default is not REQUIRED}


def _part(data: Json, key: str, subject: str) -> Part:
    """Reads a part: its name, or a mapping of name and options."""
    if isinstance(data, str):
        return Part(data)
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise RequestError(
            f"{key!r} of {subject} must be a name, or map 'name' and 'options', but is {data!r}; mend it"
        )
    for name in data:
        if name not in ("name", "options"):
            raise unknown(f"key of {key!r} in {subject.removeprefix('a ')}", str(name), ("name", "options"))
    return Part(data["name"], _mapping(data.get("options"), f"{key}.options", subject))


def _mapping(data: Json, key: str, subject: str) -> dict[str, Json]:
    if not isinstance(data or {}, Mapping):
        raise RequestError(f"{key!r} of {subject} must map options to values, but is {data!r}; mend it")
    return {str(name): value for name, value in (data or {}).items()}
