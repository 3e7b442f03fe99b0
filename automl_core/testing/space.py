"""What every search space must keep."""

from __future__ import annotations

import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice

import pytest

from automl_core.errors import RequestError
from automl_core.interfaces import Description, SearchSpace
from automl_core.randomness import digest
from automl_core.restricting import Restriction
from automl_core.sampling import RandomSampler, raw_draws
from automl_core.types import Configuration

FEW = 3
"""How many configurations and symmetries are looked at where each takes long."""


class SearchSpaceContract(ABC):
    """Tests of a search space; subclass it with a name that pytest collects.

    Example::

        class TestMySpace(SearchSpaceContract):
            def make_space(self):
                return MySpace(layers=3)
    """

    samples: int = 50
    """How many configurations are looked at."""

    @abstractmethod
    def make_space(self) -> SearchSpace:
        """Gives a new space; equal ones at every call."""

    def sampled(self, space: SearchSpace) -> list[Configuration]:
        """Gives different, allowed configurations."""
        sampler = RandomSampler(space, seed=0)
        drawn = (sampler.draw() for _ in range(self.samples))
        return [configuration for configuration in drawn if configuration is not None]

    def test_has_a_name_and_one_configuration_space(self) -> None:
        space = self.make_space()
        assert space.name
        assert space.config_space is space.config_space, "config_space must be built once"

    def test_sampled_configurations_survive_json(self) -> None:
        space = self.make_space()
        configurations = self.sampled(space)
        assert configurations, "there must be an allowed configuration"
        for configuration in configurations:
            again = json.loads(json.dumps(configuration))
            assert again == configuration
            assert [type(value) for value in again.values()] == [type(value) for value in configuration.values()]
            assert space.canonical(again) == space.canonical(configuration)
            assert _json(space.decode(again)) == _json(space.decode(configuration))

    def test_canonical_key_is_plain_and_follows_from_the_configuration_alone(self) -> None:
        space, other = self.make_space(), self.make_space()
        for configuration in self.sampled(space):
            key = space.canonical(configuration)
            _assert_plain(key)
            assert digest(key)
            backwards = dict(reversed(list(configuration.items())))
            assert other.canonical(backwards) == key, "the order of hyperparameters must not matter"

    def test_description_is_json_both_ways(self) -> None:
        space = self.make_space()
        for configuration in self.sampled(space):
            description = space.decode(configuration)
            assert isinstance(description, Description)
            data = _json(description)
            from_json = getattr(type(description), "from_json", None)
            if from_json is not None:
                assert from_json(data) == description

    def test_decode_refuses_what_is_no_configuration(self) -> None:
        with pytest.raises(RequestError):
            self.make_space().decode({"no such hyperparameter": 1})

    def test_violation_is_a_reason_or_none(self) -> None:
        space = self.make_space()
        for configuration in islice(raw_draws(space.config_space, seed=0), 10 * self.samples):
            reason = space.violation(configuration)
            assert reason is None or (isinstance(reason, str) and reason), f"{configuration}: {reason!r}"

    def test_size_counts_raw_configurations(self) -> None:
        space = self.make_space()
        size = space.size()
        assert size == self.make_space().size()
        if size is not None:
            assert isinstance(size, int)
            assert size >= len(self.sampled(space))

    def test_enumeration_is_allowed_unique_and_seeded(self) -> None:
        space = self.make_space()
        if space.size() is None:
            with pytest.raises(RequestError):
                next(space.enumerate(0))
            return
        configurations = list(islice(space.enumerate(1), self.samples))
        keys = [space.canonical(configuration) for configuration in configurations]
        assert configurations
        assert len(set(keys)) == len(keys)
        assert [space.violation(configuration) for configuration in configurations] == [None] * len(keys)
        assert keys == self._enumerated(seed=1), "the same seed must give the same order"
        if len(keys) >= 10:
            assert keys != self._enumerated(seed=2), "another seed must give another order"
        for configuration in configurations:
            space.decode(configuration)

    def test_conditions_name_hyperparameters_once_each(self) -> None:
        space = self.make_space()
        conditions = space.conditions()
        assert len({condition.label for condition in conditions}) == len(conditions), "labels must differ"
        for condition in conditions:
            assert condition.names, f"{condition} names nothing"
            assert len(set(condition.names)) == len(condition.names), f"{condition} names something twice"
            for name in condition.names:
                assert name in space.config_space, f"{condition} names what the space does not have"

    def test_symmetries_form_a_group_and_keep_what_configurations_mean(self) -> None:
        space = self.make_space()
        group = [dict(one) for one in space.symmetries()]
        for one in group[:FEW]:
            assert set(one) == set(one.values()), f"{one} must be a renaming"
            assert all(name != other for name, other in one.items()), f"{one} must give what moves, and that alone"
            for other in group:
                both = _chained(one, other)
                assert not both or both in group, f"{one} and then {other} must be in the group, too"
            for condition in space.conditions():
                turned = {one.get(name, name) for name in condition.names}
                assert turned == set(condition.names), f"{one} must keep the hyperparameters of {condition}"
            for configuration in self.sampled(space)[:FEW]:
                turned_configuration = {one.get(name, name): value for name, value in configuration.items()}
                assert space.violation(turned_configuration) is None
                assert space.canonical(turned_configuration) == space.canonical(configuration)

    def test_reference_is_allowed(self) -> None:
        space = self.make_space()
        reference = space.reference()
        if reference is not None:
            assert space.violation(reference) is None
            assert _json(space.decode(reference))

    def test_restricting_to_a_configuration_leaves_its_equals_alone(self) -> None:
        space = self.make_space()
        size, orbits = space.size(), space.orbits()
        for configuration in self.sampled(space)[:FEW]:
            design = space.restrict(Restriction.fix(**configuration))
            assert design.whole is space.whole
            assert design.violation(configuration) is None
            drawn = RandomSampler(design, seed=0).draw()
            assert drawn is not None
            keys = {design.canonical(one) for one in [drawn, *design.enumerate()]}
            assert keys == {space.canonical(configuration)}
            if size is not None and orbits is not None:
                left = design.size()
                assert left is not None
                assert left <= size
                assert orbits <= size
            else:
                assert (size, orbits) == (None, None)

    def test_pickles(self) -> None:
        space = self.make_space()
        again = pickle.loads(pickle.dumps(space))  # noqa: S301 - our own bytes: it travels to workers so
        assert again.name == space.name
        assert again.size() == space.size()
        for configuration in self.sampled(space):
            assert again.canonical(configuration) == space.canonical(configuration)
            assert _json(again.decode(configuration)) == _json(space.decode(configuration))

    def _enumerated(self, seed: int) -> Sequence[Hashable]:
        space = self.make_space()
        return [space.canonical(configuration) for configuration in islice(space.enumerate(seed), self.samples)]


def _chained(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Gives what moves when one renaming follows another."""
    both = {name: second.get(first.get(name, name), first.get(name, name)) for name in {**first, **second}}
    return {name: other for name, other in both.items() if name != other}


def _json(description: Description) -> object:
    return json.loads(json.dumps(description.to_json()))


def _assert_plain(key: Hashable) -> None:
    if type(key) is tuple:
        for part in key:
            _assert_plain(part)
    else:
        assert key is None or type(key) in (str, int, float, bool), f"{key!r} is no plain value"
