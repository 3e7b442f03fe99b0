"""A search space under constraints on metrics: what is known to violate one is never proposed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from automl_core.errors import StudyFailed
from automl_core.interfaces import Description, PartialSpace, SearchSpace
from automl_core.types import Configuration, Constraint

REMEMBERED = 100_000
REFUSED = 20_000
SMALL = 100_000
"""A space of at most so many configurations is looked through to its end."""


class ConstrainedSpace(PartialSpace):
    """Adds to a space's own rules those constraints that can be told without training.

    Args:
        space: The space.
        constraints: Bounds on metrics.
        foresee: Gives the metrics that are known of a description without training.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraints: Sequence[Constraint],
        foresee: Callable[[Description], Mapping[str, float]],
    ) -> None:
        super().__init__(space)
        self.constraints = constraints
        self.foresee = foresee
        self._found: dict[Hashable, str | None] = {}

    def around(self, space: SearchSpace) -> ConstrainedSpace:
        return ConstrainedSpace(space, self.constraints, self.foresee)

    def violation(self, configuration: Configuration) -> str | None:
        """Says which rule of the space, or else which constraint, a configuration breaks."""
        own = self.space.violation(configuration)
        if own is not None:
            return own
        key = self.space.canonical(configuration)  # equal keys behave the same, so they keep the same bounds
        if key not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            metrics = self.foresee(self.space.decode(configuration))
            broken = (one.violation(metrics) for one in self.constraints)
            self._found[key] = next((reason for reason in broken if reason is not None), None)
        return self._found[key]

    def enumerate(self, seed: int = 0) -> Iterator[Configuration]:
        """Yields what the space enumerates and the constraints allow.

        Raises:
            StudyFailed: When none of very many in a row is allowed, and there are more than can be looked at.
        """
        size, refused = self.space.size(), 0
        for configuration in self.space.enumerate(seed):
            if self.violation(configuration) is None:
                refused = 0
                yield configuration
                continue
            refused += 1
            if refused >= REFUSED and (size is None or size > SMALL):
                raise StudyFailed(
                    f"the constraints {', '.join(map(str, self.constraints))} must leave configurations to try, but "
                    f"they refuse {refused:,} in a row, the last since {self.violation(configuration)}; loosen them, "
                    "or widen the space"
                )
