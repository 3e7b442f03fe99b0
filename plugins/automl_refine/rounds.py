"""What the refining searcher keeps of each step: the sample under way, what was taken, and what it showed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from automl_core.counting import OrbitKeys
from automl_core.errors import RequestError, unknown
from automl_core.interfaces import PartialSpace, SearchSpace
from automl_core.sampling import RandomSampler
from automl_core.types import Configuration, Json
from automl_refine.areas import AreaTable, Member
from automl_refine.categories import Category


@dataclass(frozen=True)
class Step:
    """One round: what was sampled of a design space, what it showed, and what was fixed.

    Args:
        space: The design space.
        members: What was sampled, trials that had been trained before included.
        table: Areas of the choices in it.
        chosen: What was fixed; None where nothing was, as in the last space, of which everything is taken.
        reason: Why nothing was fixed, or why this was.
        migrated: How many members had been trained in a wider space.
        extra: How many further ones were drawn to tell intervals apart.
        exhaustive: Whether the members are all of the space.
    """

    space: SearchSpace
    members: tuple[Member, ...]
    table: AreaTable
    chosen: Category | None
    reason: str
    migrated: int
    extra: int
    exhaustive: bool

    @property
    def drawn(self) -> int:
        """How many members were drawn in this step, further ones included."""
        return len(self.members) - self.migrated

    def find(self, decision: Json) -> Category:
        """Finds the category that a person names: ``{"condition": label, "category": label}``.

        Raises:
            RequestError: When there is none such.
        """
        if not isinstance(decision, dict) or set(decision) != {"condition", "category"}:
            raise RequestError(
                'a decision must be {"condition": LABEL, "category": LABEL} or {"stop": true}, but got '
                f"{decision!r}; name a row of the step's table"
            )
        rows = {condition.label: found for condition, found in self.table.conditions}
        if decision["condition"] not in rows:
            raise unknown("condition", str(decision["condition"]), rows)
        by_label = {row.category.label: row.category for row in rows[decision["condition"]]}
        if decision["category"] not in by_label:
            raise unknown(f"category of {decision['condition']}", str(decision["category"]), by_label)
        return by_label[decision["category"]]


class RawSpace(PartialSpace):
    """A search space in which only what its symmetries turn into one another counts as equal.

    The areas are those of raw configurations: two that must train alike, because a part of them has no influence, are
    two members of a sample, although only one of them is trained.
    """

    def around(self, space: SearchSpace) -> RawSpace:
        return RawSpace(space)

    @cached_property
    def _keys(self) -> OrbitKeys:
        return OrbitKeys(self.space.symmetries())

    def canonical(self, configuration: Configuration) -> Hashable:
        return self._keys(configuration)


@dataclass(frozen=True)
class Taken:
    """A configuration that was sampled, and what came of it; ``value`` is None, with a reason, where nothing did."""

    configuration: Configuration
    key: str
    trial: int
    value: float | None
    reason: str


@dataclass
class Round:
    """A step under way.

    Args:
        space: The design space.
        sampler: Draws from it; knows what was trained before.
        wanted: How many members the sample is to have.
        count: How many it has, those under way included.
        migrated: How many of them had been trained before.
        extra: How many were added to ``wanted``.
        used_up: Whether the space has no further configuration.
        deferred: Drawn configurations whose twin is being trained.
    """

    space: SearchSpace
    sampler: RandomSampler
    wanted: float
    count: int
    migrated: int
    extra: int = 0
    used_up: bool = False
    deferred: list[Configuration] = field(default_factory=list)

    @classmethod
    def of(cls, space: SearchSpace, seed: int, known: Sequence[Taken], wanted: float) -> Round:
        """Begins with what is known of the space."""
        sampler = RandomSampler(RawSpace(space), seed)
        for one in known:
            sampler.add(one.configuration)
        return cls(space, sampler, max(wanted, len(known)), len(known), len(known))

    @property
    def complete(self) -> bool:
        return not self.deferred and (self.used_up or self.count >= self.wanted)

    def draw(self, key: Callable[[Configuration], str], under_way: Collection[str]) -> Configuration | None:
        """Gives a member that is to be asked for; None where something has to end first, or all are there.

        A configuration whose twin is under way waits for it: what the twin is told, it is told too, without being
        trained.

        Args:
            key: Gives a configuration's canonical key.
            under_way: Keys of what is being trained.
        """
        for place, configuration in enumerate(self.deferred):
            if key(configuration) not in under_way:
                return self.deferred.pop(place)
        while not self.used_up and self.count < self.wanted:
            drawn = self.sampler.draw()
            if drawn is None:
                self.used_up = True
                return None
            self.count += 1
            if key(drawn) not in under_way:
                return drawn
            self.deferred.append(drawn)
        return None
