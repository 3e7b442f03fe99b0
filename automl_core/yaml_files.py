"""Reading YAML files that people write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError
from automl_core.types import Json

if TYPE_CHECKING:
    from yaml import MappingNode, SafeLoader

EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


@cache
def loader() -> type[SafeLoader]:
    """Gives PyYAML's safe loader, that takes 1e-3 for a number as YAML 1.2 does and PyYAML does not."""
    import yaml

    class Loader(yaml.SafeLoader):
        """A class of its own, since resolvers belong to classes."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("+-0123456789."))
    return Loader


def load(text: str) -> Any:
    """Reads YAML; numbers as :func:`loader` does. Raises ``yaml.YAMLError``."""
    import yaml

    return yaml.load(text, loader())  # noqa: S506 - derived from SafeLoader


def read_mapping(path: Path, kind: str, way_out: str = "name another file") -> Mapping[str, Json]:
    """Reads a YAML file that holds a mapping; gives an empty one for a file that holds something else.

    Args:
        path: The file.
        kind: What it is to be, for errors: "design space".
        way_out: What to do where it cannot be read.

    Raises:
        RequestError: When it cannot be read, or is no YAML.
    """
    import yaml

    numbers: Any = loader()

    class Loader(numbers):  # type: ignore[misc]
        """Refuses a key that is written twice, of which YAML's own loader silently takes the last."""

        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            doubled = [key for place, key in enumerate(keys) if key in keys[:place]]
            if doubled:
                raise RequestError(
                    f"a key must stand once in {kind} {str(path)!r}, but {doubled[0]!r} stands twice; join them"
                )
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - derived from SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RequestError(
            f"a {kind} must be a readable YAML file, but {str(path)!r} is not: {reason}; {way_out}"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise RequestError(f"{kind} {str(path)!r} must be YAML, but is not{where}; mend it") from None
    return data if isinstance(data, Mapping) else {}
