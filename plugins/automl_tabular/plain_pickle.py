"""Reads pickles of plain containers and of nothing else."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
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
    RecursionError,
)
"""What reading a damaged pickle can raise: its bytes are instructions, so it is whatever these come to."""

_OPCODES = {opcode.name: opcode for opcode in pickletools.opcodes}
_CODES = {opcode.code: opcode.name for opcode in pickletools.opcodes}
_STOP = _OPCODES["STOP"].code

FIXED = (
    "PROTO FRAME MARK MEMOIZE BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINFLOAT EMPTY_LIST "
    "APPEND APPENDS EMPTY_DICT SETITEM SETITEMS"
)
"""Instructions, other than the last, that are followed by a fixed number of bytes."""
COUNTED = {"SHORT_BINUNICODE": 1, "BINUNICODE": 4, "SHORT_BINBYTES": 1, "BINBYTES": 4, "LONG1": 1}
"""Instructions that are followed by a count in so many bytes, and by as many bytes as it says."""


def _pattern(name: str) -> bytes:
    opcode = _OPCODES[name]
    return re.escape(opcode.code.encode("latin-1")) + b"." * (opcode.arg.n if opcode.arg else 0)


_RUN = re.compile(b"(?:" + b"|".join(map(_pattern, FIXED.split())) + b")*+", re.DOTALL)


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every name of a class or function, so nothing that a pickle says can be called."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, identifier: Any) -> NoReturn:
        raise pickle.UnpicklingError("it asks for something outside of it")


def read_plain_pickle(path: Path) -> Any:
    """Reads a pickle of lists and dictionaries of numbers, text, bytes, truth values and None.

    It must be of protocol 4 or later.

    Raises:
        RequestError: When it asks for anything else, or is damaged, or cannot be read.
    """
    try:
        content = path.read_bytes()
        _check(content)
        return _PlainUnpickler(io.BytesIO(content)).load()
    except OSError as error:
        raise RequestError(
            f"{path} must be there to be read, but {error.strerror or error}; install it again"
        ) from error
    except DAMAGE as error:
        raise RequestError(
            f"{path} must hold plain containers of numbers and text, and nothing else is read out of a pickle, but "
            f"{error or type(error).__name__}; install what brought it again"
        ) from error


def _check(content: bytes) -> None:
    """Refuses all instructions but those that plain containers need, before any of them is followed.

    Tuples and frozen sets are not among them: as keys they are hashed down to the innermost, however many levels there
    are, which ends the process. Nor are numbered places in the memory, since a large number allocates as many.

    ``pickletools.genops`` would take seconds for what runs of a pattern do in tenths.

    Raises:
        UnpicklingError: Naming the first instruction that is refused.
    """
    position = 0
    while True:
        run = _RUN.match(content, position)
        assert run is not None, "it matches no instruction, too"
        position = run.end()
        code = content[position : position + 1].decode("latin-1")
        if code == _STOP:
            return
        name = _CODES.get(code, f"the unknown instruction {code!r}" if code else "more than there is")
        if name not in COUNTED:
            raise pickle.UnpicklingError(f"it asks for {name} at byte {position}")
        start = position + 1 + COUNTED[name]
        position = start + int.from_bytes(content[position + 1 : start], "little")
