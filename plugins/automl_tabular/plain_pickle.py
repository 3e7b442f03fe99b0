"""Reads pickles of plain containers and of nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NoReturn

from automl_core.errors import RequestError

DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,  # of a length that is none
)
"""What reading a damaged pickle can raise: its bytes are instructions, so it is whatever these come to."""


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every name of a class or function, so nothing that a pickle says can be called.

    What is left can only be None, truth values, numbers, text, bytes, lists, tuples, dictionaries and sets.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, identifier: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for something outside of it, {identifier!r}")


def read_plain_pickle(path: Path) -> Any:
    """Reads a pickle that holds plain containers.

    Raises:
        RequestError: When it asks for anything else, or is damaged, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except OSError as error:
        raise RequestError(
            f"{path} must be there to be read, but {error.strerror or error}; install it again"
        ) from error
    except DAMAGE as error:
        raise RequestError(
            f"{path} must hold plain containers of numbers and text, and nothing else is read out of a pickle, but "
            f"{error or type(error).__name__}; install what brought it again"
        ) from error
