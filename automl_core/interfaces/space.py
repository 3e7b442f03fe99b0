"""Search spaces: where configurations come from and what they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from automl_core.restricting import Condition, Restriction
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

    @property
    def whole(self) -> SearchSpace:
        """The search space that this one is cut from; itself when it is a whole one."""
        return self

    @property
    def restriction(self) -> Restriction:
        """What of the whole is left; empty for a whole one."""
        return Restriction()

    def restrict(self, restriction: Restriction) -> SearchSpace:
        """Gives a design space: the part of this space that keeps a restriction.

        Raises:
            RequestError: For a hyperparameter or a value that this space does not have, and when nothing is left.
        """
        from automl_core.design import DesignSpace

        return DesignSpace(self, restriction) if restriction else self

    def conditions(self) -> Sequence[Condition]:
        """Names the hyperparameters, and groups of them, by which this space's configurations are compared.

        By default each one that has a choice, and then each pair of them.
        """
        from automl_core.design import default_conditions

        return default_conditions(self)

    def symmetries(self) -> Sequence[Mapping[str, str]]:
        """Gives the renamings of hyperparameters that turn a configuration into one that means the same.

        Each maps every hyperparameter that moves to the one whose value it takes over; together with leaving all as it
        is, they form a group. None by default.
        """
        return ()

    def reference(self) -> Configuration | None:
        """Gives the plain configuration that others are held against, such as training by labels alone; or None."""
        return None

    def size(self) -> int | None:
        """Counts the raw configurations, violations included; None when there are infinitely many."""
        from automl_core.counting import count

        return count(self.config_space, self.restriction)

    def orbits(self) -> int | None:
        """Counts the raw configurations up to the space's symmetries; None when there are infinitely many."""
        from automl_core.counting import count_orbits

        return count_orbits(self.config_space, self.restriction, self.symmetries())

    def enumerate(self, seed: int = 0) -> Iterator[Configuration]:
        """Yields every allowed configuration, one for each canonical key, lazily, in an order seeded by ``seed``.

        Raises:
            RequestError: When the space is not finite.
        """
        from automl_core.sampling import enumerate_canonical

        return enumerate_canonical(self, seed)


class PartialSpace(SearchSpace):
    """Part of another search space; a subclass says which (``violation``) and how it is cut anew (:meth:`around`).

    Configurations, descriptions and canonical keys are those of the other, so what is known there is known here.

    Args:
        space: The other search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.name = space.name
        self.space = space

    @abstractmethod
    def around(self, space: SearchSpace) -> SearchSpace:
        """Cuts the same part of another space."""

    @property
    def whole(self) -> SearchSpace:
        return self.space.whole

    @property
    def restriction(self) -> Restriction:
        return self.space.restriction

    def restrict(self, restriction: Restriction) -> SearchSpace:
        return self.around(self.space.restrict(restriction))

    @property
    def config_space(self) -> ConfigurationSpace:
        return self.space.config_space

    def decode(self, configuration: Configuration) -> Description:
        """Gives what the other space gives, for configurations outside of this part too."""
        return self.space.decode(configuration)

    def canonical(self, configuration: Configuration) -> Hashable:
        return self.space.canonical(configuration)

    def violation(self, configuration: Configuration) -> str | None:
        return self.space.violation(configuration)

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        return self.space.presets(evaluator)

    def conditions(self) -> Sequence[Condition]:
        return self.space.conditions()

    def symmetries(self) -> Sequence[Mapping[str, str]]:
        return self.space.symmetries()

    def reference(self) -> Configuration | None:
        """Gives the other space's, where it lies in this part."""
        found = self.space.reference()
        return found if found is not None and self.violation(found) is None else None

    def size(self) -> int | None:
        return self.space.size()

    def orbits(self) -> int | None:
        return self.space.orbits()
