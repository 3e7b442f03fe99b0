"""Uniform draws from a search space, and its enumeration: what searchers take new configurations from."""

from __future__ import annotations

import copy
import logging
import math
import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from automl_core.errors import RequestError, StudyFailed
from automl_core.randomness import derive_seed
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter
    from numpy.typing import NDArray

    from automl_core.interfaces.space import SearchSpace
    from automl_core.parts import Union

    Vectors = NDArray[np.float64]
    """(hyperparameters, configurations) in ConfigSpace's vector form; NaN where a hyperparameter is inactive."""

log = logging.getLogger(__name__)

BLOCK = 256
"""Draws that share one seed, so that any draw is found again by drawing one block."""

TRIES = 100
"""Failed draws in a row after which a finite space is enumerated."""

TRIES_INFINITE = 10_000
"""Failed draws in a row after which an infinite space is given up."""

TRIES_HUGE = 1_000_000
"""Combinations in a row without a new, allowed configuration after which an enumeration is given up, unless the space
has so few that all of them can be looked at (ten times this many)."""


def raw_size(config_space: ConfigurationSpace) -> int | None:
    """Counts the combinations of all values, inactive hyperparameters' too; None when there are infinitely many."""
    sizes = [hyperparameter.size for hyperparameter in config_space.values()]
    if any(math.isinf(size) for size in sizes):
        return None
    return math.prod(int(size) for size in sizes)


def raw_draws(config_space: ConfigurationSpace, seed: int) -> Iterator[Configuration]:
    """Draws configurations without end as ConfigSpace does, allowed by the search space or not, known or not.

    Args:
        config_space: The hyperparameters; their random state is left untouched.
        seed: Together with the number of the block of 256 draws it determines the draws of that block.
    """
    import numpy as np

    own = copy.copy(config_space)  # shares the hyperparameters, but has a random state of its own
    decoder = VectorDecoder(own)
    for block in count():
        own.seed(derive_seed(seed, "block", block) % 2**32)
        vectors = np.array([one.get_array() for one in own.sample_configuration(BLOCK)])
        yield from decoder(vectors.T)


def draws(space: SearchSpace, seed: int) -> Iterator[Configuration]:
    """Draws configurations of a search space without end, distributed as in the whole were all others refused.

    Args:
        space: The search space; its ConfigurationSpace is left untouched.
        seed: As for :func:`raw_draws`.
    """
    from automl_core.counting import open_clauses
    from automl_core.parts import unions_of

    if open_clauses(space.config_space, space.restriction):
        unions = unions_of(space.config_space, space.restriction)
        if all(union.parts for union in unions):
            return _joint_draws(space.config_space, unions, seed)
    return raw_draws(space.config_space, seed)


def _joint_draws(config_space: ConfigurationSpace, unions: Sequence[Union], seed: int) -> Iterator[Configuration]:
    """Draws from groups of hyperparameters that are independent; what a clause of the ConfigSpace forbids as well."""
    import numpy as np

    decoder = VectorDecoder(config_space)
    endless = [name for name, one in config_space.items() if math.isinf(one.size)]
    for block in count():
        generator = np.random.default_rng(derive_seed(seed, "parts", block))
        columns: dict[str, NDArray[np.float64]] = {}
        for union in unions:
            columns.update(zip(union.names, union.draw(BLOCK, generator), strict=True))
        vectors = np.array([to_vector(one, columns[name]) for name, one in config_space.items()])
        exact = {name: columns[name].tolist() for name in endless}
        for place, configuration in enumerate(decoder(leave_out_inactive(config_space, vectors))):
            for name, values in exact.items():  # through a vector's rounding, single numbers would be lost
                if name in configuration:
                    configuration[name] = values[place]
            yield configuration


class RandomSampler:
    """Draws configurations that are allowed and new, uniformly, from (seed, block of 256 draws).

    Args:
        space: The search space; its ConfigurationSpace is left untouched.
        seed: The study's seed.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.known: set[Hashable] = set()
        """Canonical keys of everything drawn or added so far."""
        self._space = space
        self._seed = seed
        self._finite = space.size() is not None
        self._draws = draws(space, seed)
        self._rest: Iterator[Configuration] | None = None
        self._exhausted = False

    def add(self, configuration: Configuration) -> None:
        """Makes a configuration known that was not drawn here, so that it is not drawn any more."""
        self.known.add(self._space.canonical(configuration))

    def draw(self) -> Configuration | None:
        """Gives an allowed configuration with a new canonical key, or None when the space has none left.

        An infinite space counts as used up when thousands of draws in a row give nothing new; that is logged.

        Raises:
            StudyFailed: When a finite space that is too large to be looked through gives nothing new any more.
        """
        if self._exhausted:
            return None
        for _ in range(TRIES if self._finite else TRIES_INFINITE):
            configuration = next(self._draws)
            if self._space.violation(configuration) is None and self._is_new(configuration):
                return configuration
        if self._finite:
            return self._first_unknown()
        log.warning("%s; the search ends earlier", _fruitless(self._space, TRIES_INFINITE, len(self.known)))
        self._exhausted = True
        return None

    def _is_new(self, configuration: Configuration) -> bool:
        key = self._space.canonical(configuration)
        if key in self.known:
            return False
        self.known.add(key)
        return True

    def _first_unknown(self) -> Configuration | None:
        # The iterator is kept: what it has passed is known, and what is known stays known.
        if self._rest is None:
            self._rest = self._space.enumerate(self._seed)
        for configuration in self._rest:
            if self._is_new(configuration):
                return configuration
        self._exhausted = True
        return None


def enumerate_canonical(space: SearchSpace, seed: int) -> Iterator[Configuration]:
    """Yields every allowed configuration, one for each canonical key, lazily, in an order that follows from ``seed``.

    The raw combinations, of a design space those of its parts, are numbered in mixed radix and visited as
    ``i -> (step * i + offset) mod n`` with ``step`` prime to ``n``, a permutation that needs no memory, whatever the
    size. How probable values are makes no difference here.

    Raises:
        RequestError: When the space is not finite.
        StudyFailed: When a very large space gives nothing new for very long.
    """
    if raw_size(space.config_space) is None:
        endless = [name for name, one in space.config_space.items() if math.isinf(one.size)]
        raise RequestError(
            f"only a finite search space can be enumerated, but {', '.join(map(repr, endless))} of {space.name!r} "
            f"{'has' if len(endless) == 1 else 'have'} infinitely many values; restrict the space to some of them, or "
            "use a searcher that draws"
        )
    return _enumerate(space, seed)


def _enumerate(space: SearchSpace, seed: int) -> Iterator[Configuration]:
    from automl_core.parts import unions_of

    seen: set[Hashable] = set()
    decoder = VectorDecoder(space.config_space)
    fruitless = 0
    unions = unions_of(space.config_space, space.restriction)
    size = math.prod(union.size for union in unions)
    for vectors in _raw_blocks(space.config_space, unions, seed):
        fruitless += vectors.shape[1]
        if fruitless > TRIES_HUGE and size > 10 * TRIES_HUGE:
            raise _fruitless(space, TRIES_HUGE, len(seen))
        for configuration in decoder(allowed_vectors(space.config_space, vectors)):
            if space.violation(configuration) is None:
                key = space.canonical(configuration)
                if key not in seen:
                    seen.add(key)
                    fruitless = 0
                    yield configuration


def _fruitless(space: SearchSpace, tries: int, known: int) -> StudyFailed:
    return StudyFailed(
        f"search space {space.name!r} must give a new, allowed configuration now and then, but {tries} in a row were "
        f"forbidden or known ({known} are known); widen the space or its constraints, or ask for fewer trials"
    )


def _raw_blocks(config_space: ConfigurationSpace, unions: Sequence[Union], seed: int) -> Iterator[Vectors]:
    """Yields all combinations in seeded order, without regard to conditions, 256 at a time."""
    import numpy as np

    size = math.prod(union.size for union in unions)
    step, index = _affine(size, seed)
    names = [name for union in unions for name in union.names]
    plan = [(union.size, None if union.free else union.positions) for union in unions]
    for start in range(0, size, BLOCK):
        digits: list[list[int]] = []
        for _ in range(min(BLOCK, size - start)):
            row: list[int] = []
            rest = index
            for radix, positions in plan:
                rest, digit = divmod(rest, radix)
                row += [digit] if positions is None else positions(digit)
            digits.append(row)
            index = (index + step) % size
        columns = np.array(digits, dtype=np.int64).reshape(len(digits), len(names)).T
        position = dict(zip(names, columns, strict=True))
        rows = [to_vector(one, position[name]) for name, one in config_space.items()]
        yield np.array(rows, dtype=np.float64).reshape(len(names), len(digits))


def _affine(size: int, seed: int) -> tuple[int, int]:
    """Gives a step prime to ``size``, and the first index."""
    generator = random.Random(derive_seed(seed, "enumerate"))
    while size:
        step = generator.randrange(1, size + 1)
        if math.gcd(step, size) == 1:
            return step, generator.randrange(size)
    return 0, 0


def to_vector(hyperparameter: Hyperparameter[Any, Any], digits: NDArray[Any]) -> NDArray[np.float64]:
    """Gives the vector form of values by their positions, from 0 on; of what has no positions by themselves."""
    from ConfigSpace.hyperparameters import Constant, FloatHyperparameter, IntegerHyperparameter

    if isinstance(hyperparameter, FloatHyperparameter):
        return hyperparameter.to_vector(digits)
    if isinstance(hyperparameter, IntegerHyperparameter):
        return hyperparameter.to_vector(digits + hyperparameter.lower)
    if isinstance(hyperparameter, Constant):
        return hyperparameter.to_vector(hyperparameter.value) + 0.0 * digits
    return digits.astype(float)


def allowed_vectors(config_space: ConfigurationSpace, vectors: Vectors) -> Vectors:
    """Puts NaN where a hyperparameter is inactive, in place, and gives what no clause forbids.

    Args:
        config_space: The hyperparameters.
        vectors: (hyperparameters, configurations), each value as if its hyperparameter were active.
    """
    vectors = leave_out_inactive(config_space, vectors)
    for clause in config_space.forbidden_clauses:
        vectors = vectors[:, ~clause.is_forbidden_vector_array(vectors)]
    return vectors


def leave_out_inactive(config_space: ConfigurationSpace, vectors: Vectors) -> Vectors:
    """Puts NaN where a hyperparameter is inactive, in place; what is forbidden stays."""
    import numpy as np

    for position, name in enumerate(config_space):  # ConfigSpace keeps parents before their children
        for condition in config_space.parent_conditions_of[name]:
            vectors[position, ~condition.satisfied_by_vector_array(vectors)] = np.nan
    return vectors


class VectorDecoder:
    """Turns vectors into dictionaries of plain Python values, column by column; inactive hyperparameters are absent."""

    def __init__(self, config_space: ConfigurationSpace) -> None:
        self._names = list(config_space)
        self._columns = [_column_decoder(hyperparameter) for hyperparameter in config_space.values()]

    def __call__(self, vectors: Vectors) -> Iterator[dict[str, Value]]:
        import numpy as np

        inactive = np.isnan(vectors)
        filled = np.where(inactive, 0.0, vectors)  # 0 is a legal vector value of every kind; it is left out below
        columns = [decode(row) for decode, row in zip(self._columns, filled, strict=True)]
        rows = zip(*columns, strict=True) if columns else (() for _ in range(vectors.shape[1]))
        gaps_of: list[list[bool]] = inactive.T.tolist()
        for values, gaps in zip(rows, gaps_of, strict=True):
            configuration = dict(zip(self._names, values, strict=True))
            if any(gaps):
                for name, gap in zip(self._names, gaps, strict=True):
                    if gap:
                        del configuration[name]
            yield configuration


def _column_decoder(hyperparameter: Hyperparameter[Any, Any]) -> Callable[[NDArray[np.float64]], list[Value]]:
    """Gives the function from a row of vector values, all active, to plain values.

    Choices are looked up by position: ConfigSpace's own decoding goes through an array, which turns ``[1, 0.5]``
    into floats and strings into ``numpy.str_``.
    """
    from ConfigSpace.hyperparameters import CategoricalHyperparameter, Constant, OrdinalHyperparameter

    if isinstance(hyperparameter, Constant):
        constant = _plain(hyperparameter.name, hyperparameter.value)
        return lambda row: [constant] * len(row)
    values: Sequence[Any] | None = None
    if isinstance(hyperparameter, CategoricalHyperparameter):
        values = hyperparameter.choices
    elif isinstance(hyperparameter, OrdinalHyperparameter):
        values = hyperparameter.sequence
    if values is None:
        return lambda row: hyperparameter.to_value(row).tolist()
    choices = [_plain(hyperparameter.name, value) for value in values]
    return lambda row: [choices[position] for position in row.astype(int).tolist()]


def _plain(name: str, value: Any) -> Value:
    import numpy as np

    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or type(plain) in (bool, int, float, str):
        return plain  # type: ignore[no-any-return]
    raise RequestError(
        f"a hyperparameter's values must be bool, int, float, str or None, but {name!r} has {value!r} "
        f"({type(value).__name__}); name the value by a string and look it up in decode()"
    )
