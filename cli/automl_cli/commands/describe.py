"""``automl describe``: what a part is and which options it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from automl_cli.requests import parse_settings
from automl_cli.settings import Settings
from automl_core.errors import RequestError, unknown
from automl_core.restricting import Restriction
from automl_core.spec import PARTS, Part

if TYPE_CHECKING:
    from automl_core.interfaces import Dataset, SearchSpace
    from automl_core.plugins import Registry

TRAINER = "trainer"
_NOT_OPTIONS: Mapping[str, frozenset[str]] = {
    "evaluator": frozenset({"trainer"}),
    "model": frozenset({"channels", "classes"}),
}
"""Keyword arguments that a kind of part is given by the engine."""

_RESTRICT: Mapping[str, Any] = {
    "name": "restrict",
    "type": "mapping",
    "required": False,
    "default": None,
    "meaning": (
        "What is left of the space: {fixed: {NAME: VALUE}, narrowed: {NAME: [VALUES] or {min: NUMBER, max: NUMBER}}, "
        "any_of: [[{NAME: VALUE}, ...]]}; every space has it."
    ),
}


@click.command("describe")
@click.argument("kind")
@click.argument("name", required=False)
@click.option(
    "--set", "settings_given", metavar="PART.OPTION=VALUE", multiple=True, help="Describe it with this option."
)
@click.option("--load", is_flag=True, help="Read a data set, too, and say what is in it; may download it.")
@click.pass_obj
def command(settings: Settings, kind: str, name: str | None, settings_given: tuple[str, ...], load: bool) -> None:
    """Describe the part NAME of a KIND: options with types, defaults and meaning.

    For a space also its hyperparameters and size; NAME may be a design space's YAML file. "describe trainer EVALUATOR"
    gives the settings of an evaluator's trainer. Without NAME, the parts of that kind are listed.
    """
    from automl_cli.output import print_json
    from automl_core.plugins import KINDS, get_registry

    registry = get_registry()
    if kind not in KINDS and kind != TRAINER:
        raise unknown("kind of part", kind, (*KINDS, TRAINER))
    if name is None:
        _list(registry, kind, settings)
        return
    options = parse_settings(settings_given)
    for part in options:
        if part != kind:
            raise RequestError(f"--set must set an option of what is described, {kind}, but got one of {part!r}")
    chosen = options.get(kind, {})
    document = _trainer(registry, name) if kind == TRAINER else _describe(registry, kind, name, chosen)
    if load:
        if kind != "dataset":
            raise RequestError(f"--load reads a data set, but {kind} {name!r} is none; leave it out")
        document["contents"] = _contents(registry.create(kind, name, chosen))
    if settings.json:
        print_json(document)
    else:
        _print(document)


def _list(registry: Registry, kind: str, settings: Settings) -> None:
    from automl_cli.output import print_json, table

    entries = registry.entries("evaluator" if kind == TRAINER else kind)
    if settings.json:
        print_json({"kind": kind, "parts": [{"name": one.name, "summary": one.summary} for one in entries]})
    elif not entries:
        click.echo(f"No {kind} is installed.")
    else:
        title = "evaluator" if kind == TRAINER else kind
        click.echo(table((title, "what it is"), [(one.name, one.summary) for one in entries]))
        click.echo(f"\nMore about one: automl describe {kind} NAME")


def _describe(registry: Registry, kind: str, name: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    from automl_core.building import build_space
    from automl_core.design_files import named_or_read

    part = Part(name, chosen)
    if kind == "space":
        part = named_or_read(part)
    entry = registry.entry(kind, part.name)
    factory = entry.load()
    document: dict[str, Any] = {"kind": kind, "name": part.name, "summary": entry.summary, "plugin": entry.plugin}
    if part.name != name:
        document["file"] = name
    if kind == "command":
        return document
    document["options"] = _options(factory, _NOT_OPTIONS.get(kind, frozenset()))
    if kind == "space":
        lacking = [one for one in document["options"] if one["required"] and one["name"] not in part.options]
        document["options"].append(dict(_RESTRICT))
        if not lacking:  # there is no space without them
            document |= _space(build_space(part, {}, registry))
    elif kind == "evaluator":
        document |= {
            "unit": factory.unit,
            "metrics": dict(factory.metrics),
            "datasets": sorted(factory.dataset_kinds),
            "trainer": factory.settings is not None,
        }
    return document


def _trainer(registry: Registry, evaluator: str) -> dict[str, Any]:
    settings = registry.load("evaluator", evaluator).settings
    if settings is None:
        raise RequestError(
            f"evaluator {evaluator!r} has no trainer with options; 'automl describe evaluator {evaluator}'"
        )
    summary = (settings.__doc__ or "").strip().splitlines()[0]
    plugin = registry.entry("evaluator", evaluator).plugin
    return {"kind": TRAINER, "name": evaluator, "summary": summary, "plugin": plugin, "options": _options(settings)}


def _options(factory: Any, given: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    from automl_core.options import REQUIRED, describe

    return [
        {
            "name": one.name,
            "type": one.type_name,
            "required": one.default is REQUIRED,
            "default": None if one.default is REQUIRED else one.default,
            "meaning": one.meaning,
        }
        for one in describe(factory, given)
    ]


def _space(space: SearchSpace) -> dict[str, Any]:
    hyperparameters = [
        {"name": one.name, "type": _type(one), "values": _values(one)} for one in space.config_space.values()
    ]
    return {
        "hyperparameters": hyperparameters,
        "conditions": [str(one) for one in space.config_space.conditions],
        "restriction": space.restriction.to_json(),
        "size": space.size(),
        "size_whole": space.whole.size(),
        "orbits": space.orbits() if space.symmetries() else space.size(),
        "evaluator": space.default_evaluator,
    }


def _type(hyperparameter: Any) -> str:
    name = type(hyperparameter).__name__.removesuffix("Hyperparameter")
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def _values(hyperparameter: Any) -> Any:
    """Gives the choices of a hyperparameter, or its bounds."""
    for attribute in ("choices", "sequence"):
        if hasattr(hyperparameter, attribute):
            return [getattr(one, "item", lambda one=one: one)() for one in getattr(hyperparameter, attribute)]
    if hasattr(hyperparameter, "lower"):
        bounds = f"{hyperparameter.lower} to {hyperparameter.upper}"
        return bounds + (", logarithmic" if getattr(hyperparameter, "log", False) else "")
    return str(getattr(hyperparameter, "value", hyperparameter))


def _contents(dataset: Dataset) -> Any:
    dataset.load()
    return dataset.describe()


def _print(document: Mapping[str, Any]) -> None:
    from automl_cli.output import facts, heading, table, value_text

    click.echo(heading(f"{document['kind']} {document['name']}") + f": {document['summary']}")
    known = [
        ("plugin", document["plugin"]),
        ("file", document.get("file", "")),
        ("restricted to", str(Restriction.from_json(document["restriction"])) if document.get("restriction") else ""),
        ("size", _size(document)),
        ("unit", document.get("unit", "")),
        ("metrics", ", ".join(f"{name}:{way}" for name, way in document.get("metrics", {}).items())),
        ("data", ", ".join(document.get("datasets", ()))),
        ("evaluator", document.get("evaluator", "")),
        ("trainer", f"automl describe trainer {document['name']}" if document.get("trainer") else ""),
    ]
    click.echo(facts(known))
    if document["kind"] == "command":
        click.echo(f"\nIts options: automl {document['name']} --help")
        return
    if document["options"]:
        how = f", set with --set {document['kind']}.OPTION=VALUE" if document["kind"] in PARTS else ""
        click.echo(f"\n{heading('options')}{how}")
        click.echo(_option_table(document["options"]))
    if document.get("hyperparameters"):
        click.echo("\n" + heading("hyperparameters"))
        rows = [(one["name"], one["type"], _one_line(one["values"])) for one in document["hyperparameters"]]
        click.echo(table(("name", "type", "values"), rows))
    for condition in document.get("conditions", ()):
        click.echo(f"  where {condition}")
    if document.get("contents"):
        click.echo("\n" + heading("contents"))
        click.echo(facts((name, value_text(value)) for name, value in document["contents"].items()))


def _size(document: Mapping[str, Any]) -> str:
    """Writes how many configurations a space holds, in what counts them; nothing for another kind of part."""
    if "size" not in document:
        return ""
    size, orbits, whole = document["size"], document["orbits"], document["size_whole"]
    if size is None:
        return "infinite"
    alike = f", {orbits:,} up to symmetries" if orbits != size else ""
    return f"{size:,} configurations{alike}" + (f"; of {whole:,} in all" if whole not in (None, size) else "")


def _option_table(options: Iterable[Mapping[str, Any]]) -> str:
    """Lists options: name, type and default in a line, the meaning indented below it."""
    from automl_cli.output import facts, value_text

    pairs = []
    for one in options:
        default = "required" if one["required"] else f"default {value_text(one['default'])}"
        pairs.append((one["name"], f"{one['type']}, {default}. {one['meaning']}".rstrip().replace("``", "")))
    return facts(pairs)


def _one_line(values: Any) -> str:
    return ", ".join(str(one) for one in values) if isinstance(values, list) else str(values)
