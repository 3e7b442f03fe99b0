"""Data sets, as far as the engine sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from automl_core.types import Json


class Dataset(ABC):
    """Named data with a training, a validation and a test split. Constructor keywords are its options.

    Constructing one reads nothing; what is missing or corrupt shows in :meth:`load`, before a study is written.
    """

    kind: ClassVar[str] = ""
    """What evaluators ask for: ``image-classification``."""

    name: str = ""

    @abstractmethod
    def load(self) -> None:
        """Reads the data; calling it again does nothing.

        Raises:
            RequestError: When the data are missing or corrupt, with the way to get them.
        """

    @abstractmethod
    def describe(self) -> Json:
        """Gives sizes, shapes and classes as JSON, for presets, ``describe`` and model cards."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Gives a hash that changes when the data, their split or their preparation change."""


@dataclass
class NamedDataset(Dataset):
    """A data set that is only a name: its evaluator looks results up, see ``Evaluator.dataset_names``.

    Args:
        name: The name.
    """

    name: str = ""

    def load(self) -> None:
        """Nothing is to be read."""

    def describe(self) -> Json:
        return {"name": self.name}

    def fingerprint(self) -> str:
        return self.name
