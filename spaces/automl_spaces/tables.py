"""The search spaces of two tables of trained networks: HPOBench's and HPOLib's fully connected ones.

Sources: Eggensperger et al., "HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark Problems for HPO"
(NeurIPS 2021), the tabular MLP; Klein and Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter
Optimization" (2019), table 1, known as HPOLib. All values are listed, so both spaces are finite; numbers are ordinal,
so that a searcher that can use their order may.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.functions import PlainDescription
from automl_core.interfaces import SearchSpace
from automl_core.types import Configuration, Value

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


class ListedSpace(SearchSpace):
    """Every combination of listed values; a subclass names them. It has no options."""

    default_evaluator: ClassVar[str] = "tabular"

    choices: ClassVar[Mapping[str, tuple[Value, ...]]]
    """Values by hyperparameter, the order of both being that of the table; numbers rise."""

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        for name, values in self.choices.items():
            space.add(Categorical(name, list(values), ordered=not isinstance(values[0], str)))
        return space

    def decode(self, configuration: Configuration) -> PlainDescription:
        self.index(configuration)
        return PlainDescription({name: configuration[name] for name in self.choices})

    @classmethod
    def index(cls, configuration: Configuration) -> int:
        """Gives a configuration's place in the order of :attr:`choices`, the last hyperparameter running fastest.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        for name in configuration:
            if name not in cls.choices:
                raise unknown(f"hyperparameter of space {cls.name}", name, cls.choices)
        place = 0
        for name, values in cls.choices.items():
            if configuration.get(name) not in values:
                raise RequestError(
                    f"{name} of space {cls.name} must be one of {', '.join(map(str, values))}, but got "
                    f"{configuration.get(name, 'nothing')!r}; choose one of them"
                )
            place = place * len(values) + values.index(configuration[name])
        return place


class HPOBenchSpace(ListedSpace):
    """Hyperparameters of a fully connected network that classifies; 30,000 configurations."""

    name = "hpobench"
    choices: ClassVar[Mapping[str, tuple[Value, ...]]] = {
        "alpha": (
            1e-8,
            7.742637e-8,
            5.994842e-7,
            4.641589e-6,
            3.5938137e-5,
            2.7825593e-4,
            2.1544348e-3,
            1.6681006e-2,
            1.2915497e-1,
            1.0,
        ),
        "batch_size": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
        "depth": (1, 2, 3),
        "learning_rate_init": (
            1e-5,
            3.5938137e-5,
            1.2915497e-4,
            4.641589e-4,
            1.6681006e-3,
            5.9948424e-3,
            2.1544347e-2,
            7.742637e-2,
            2.7825594e-1,
            1.0,
        ),
        "width": (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
    }


class HPOLibSpace(ListedSpace):
    """Architecture and hyperparameters of a fully connected network for regression; 62,208 configurations."""

    name = "hpolib"
    choices: ClassVar[Mapping[str, tuple[Value, ...]]] = {
        "activation_fn_1": ("relu", "tanh"),
        "activation_fn_2": ("relu", "tanh"),
        "batch_size": (8, 16, 32, 64),
        "dropout_1": (0.0, 0.3, 0.6),
        "dropout_2": (0.0, 0.3, 0.6),
        "init_lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
        "lr_schedule": ("cosine", "const"),
        "n_units_1": (16, 32, 64, 128, 256, 512),
        "n_units_2": (16, 32, 64, 128, 256, 512),
    }
