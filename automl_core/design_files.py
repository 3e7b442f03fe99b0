"""Design spaces as YAML files.

::

    space: ktg
    options: {nodes: 3, target: resnet32, models: [resnet32, wrn-28-2], gates: [through, cutoff, linear]}
    fixed: {model_2: wrn-28-2, model_3: wrn-28-2}
    narrowed: {gate_label_1: [through, linear]}
    any_of:
      - [{gate_label_2: through, gate_label_3: linear}, {gate_label_2: linear, gate_label_3: through}]
    provenance: {study: ...}

Only ``space`` must be there. What stands under ``provenance`` is for people; nothing reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl_core.building import RESTRICT
from automl_core.errors import RequestError, unknown
from automl_core.plugins import get_registry
from automl_core.recipes import RECIPE, SPACES, is_recipe, read_recipe
from automl_core.restricting import KEYS, Restriction
from automl_core.spec import Part
from automl_core.types import Json
from automl_core.yaml_files import read_mapping

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class DesignFile:
    """What such a file holds.

    Args:
        space: Registered name of the search space.
        options: Its options.
        restriction: What is left of it.
        provenance: Where this comes from.
    """

    space: str
    options: Mapping[str, Json] = field(default_factory=dict)
    restriction: Restriction = field(default_factory=Restriction)
    provenance: Json = None

    @property
    def part(self) -> Part:
        """The design space as a part of a study."""
        restrict = {RESTRICT: self.restriction.to_json()} if self.restriction else {}
        return Part(self.space, {**self.options, **restrict})

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all. Options that were not given are written with their defaults."""
        import yaml

        data: dict[str, Any] = {"space": self.space}
        options = {**_defaults(self.space), **self.options}
        if options:
            data["options"] = _plain(options)
        data |= self.restriction.to_json()
        if self.provenance is not None:
            data["provenance"] = _plain(self.provenance)
        temporary = path.with_name(f".{path.name}.partial")
        temporary.write_text(yaml.safe_dump(data, sort_keys=False, width=110), encoding="utf-8")
        temporary.rename(path)


def named_or_read(part: Part) -> Part:
    """Gives a search space as it is named; for the path of a YAML file the one that is written there, or a recipe's.

    Options given beside the file win over those in it; restrictions of both hold.

    Raises:
        RequestError: When the file cannot be read or does not describe a design space.
    """
    if part.given or not part.name.endswith(SUFFIXES):
        return part
    path = Path(part.name)
    if is_recipe(path):
        return Part(RECIPE, {**part.options, **read_recipe(path).part.options})
    read = read_design(path)
    restriction = read.restriction
    if RESTRICT in part.options:
        restriction &= Restriction.from_json(part.options[RESTRICT])
    options = {name: value for name, value in part.options.items() if name != RESTRICT}
    return DesignFile(read.space, {**read.options, **options}, restriction).part


def read_design(path: Path) -> DesignFile:
    """Reads a design space's file; the space itself is not built.

    Raises:
        RequestError: When it cannot be read, is no YAML, or holds a key that has no meaning.
    """
    data = read_mapping(path, "design space", SPACES)
    if not isinstance(data.get("space"), str):
        raise RequestError(
            f"a design space must map 'space' to the name of a search space, but {str(path)!r} does not; write for "
            "example 'space: ktg'"
        )
    known = ("space", "options", *KEYS, "provenance")
    for key in data:
        if key not in known:
            raise unknown(f"key in design space {str(path)!r}", str(key), known)
    options = data.get("options") or {}
    if not isinstance(options, Mapping):
        raise RequestError(
            f"'options' of design space {str(path)!r} must map options to values, but is {options!r}; mend it"
        )
    if RESTRICT in options:
        raise RequestError(
            f"design space {str(path)!r} must not restrict twice, but has an option {RESTRICT!r}; write what stands "
            f"there under {', '.join(map(repr, KEYS))}"
        )
    restriction = Restriction.from_json({key: data[key] for key in KEYS if key in data})
    return DesignFile(data["space"], dict(options), restriction, data.get("provenance"))


def _defaults(space: str) -> dict[str, Json]:
    from automl_core.options import REQUIRED, describe

    return {
        option.name: option.default
        for option in describe(get_registry().load("space", space))
        if option.default is not REQUIRED
    }


def _plain(value: Any) -> Any:
    """Makes tuples lists, which is what YAML has."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
