"""Search spaces: where configurations come from and what they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from automl_core.types import Configuration, Json

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


@runtime_checkable
class Description(Protocol):
    """What a configuration decodes to: a graph, a genotype, a pruning plan. Plain data, JSON both ways."""

    def to_json(self) -> Json:
        """Gives JSON from which the description's class builds an equal one."""


class SearchSpace(ABC):
    """A ConfigSpace plus a decoder to a description, with constraints and a canonical form.

    A subclass's constructor keywords are its options. A space holds no torch: it is data.
    """

    name: str = ""
    default_evaluator: ClassVar[str] = ""

    @property
    @abstractmethod
    def config_space(self) -> ConfigurationSpace:
        """The hyperparameters; built once."""

    @abstractmethod
    def decode(self, configuration: Configuration) -> Description:
        """Gives the description that an evaluator builds.

        Raises:
            RequestError: When the configuration is not one of this space.
        """

    def canonical(self, configuration: Configuration) -> Hashable:
        """Gives a key that is equal for configurations that must behave the same.

        Nested tuples of str, int, float, bool and None only: the key is hashed into seeds and addresses.
        """
        return tuple(sorted(configuration.items()))

    def violation(self, configuration: Configuration) -> str | None:
        """Says why a configuration is not allowed, or gives None."""
        return None

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """Gives what presets mean for this space with an evaluator, by preset name; merged over the evaluator's own.

        ``dataset`` may hold the ``name`` of the data set to take when the user names none; options of ``searcher`` go
        to every searcher that has them, those of ``evaluator`` to this one; what stands under ``retrain`` goes before
        the rest in a retraining by this preset: ``max_budget``, ``trainer``, ``repeats``, ``average``, and options of
        ``space`` that size the networks.

        Args:
            evaluator: The evaluator's name.
        """
        return {}

    def size(self) -> int | None:
        """Counts the raw configurations, violations included; None when there are infinitely many."""
        from automl_core.sampling import raw_size

        return raw_size(self.config_space)

    def enumerate(self, seed: int = 0) -> Iterator[Configuration]:
        """Yields every allowed configuration, one for each canonical key, lazily, in an order seeded by ``seed``.

        Raises:
            RequestError: When the space is not finite.
        """
        from automl_core.sampling import enumerate_canonical

        return enumerate_canonical(self, seed)
