"""The search space of knowledge-transfer graphs: which auxiliary networks, and which gate on every edge.

Source: Minami et al., "Knowledge Transfer Graph for Deep Collaborative Learning" (ACCV 2020), section on the graph
search. With N nodes, M models and G gates it holds M^(N-1) * G^(N^2) configurations.
"""

from __future__ import annotations

from functools import cached_property
from itertools import permutations
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar

from automl_core.errors import RequestError, unknown
from automl_core.interfaces import SearchSpace
from automl_core.plugins import get_registry
from automl_core.restricting import Condition
from automl_core.types import Configuration, Value
from automl_spaces.canonical import Flat, smallest
from automl_spaces.gates import Gate
from automl_spaces.graph import LABEL, Edge, KnowledgeTransferGraph, Node

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

MOST_NODES = 7


class KTGSpace(SearchSpace):
    """Knowledge-transfer graphs of a fixed number of nodes around a fixed target network.

    Hyperparameters: ``model_2`` ... for the auxiliary nodes, ``gate_label_1`` ... for the edges from the label and
    ``gate_2_1`` ... (source, destination) for the edges between nodes.

    Args:
        nodes: Number of networks, the target included, 2 to 7 (N).
        target: Model of the target, node 1.
        models: Models that auxiliary nodes choose from (M of them).
        gates: Gates that edges choose from (G of them); at least one must be open.

    Raises:
        RequestError: For options that give no search space.
    """

    name = "ktg"
    default_evaluator: ClassVar[str] = "ktg"

    def __init__(
        self,
        nodes: int = 3,
        target: str = "resnet32",
        models: tuple[str, ...] = ("resnet32", "resnet110", "wrn-28-2"),
        gates: tuple[str, ...] = ("through", "cutoff", "linear", "correct"),
    ) -> None:
        self.nodes = nodes
        self.target = target
        self.models = tuple(models)
        self.gates = tuple(gates)
        self._check_options()
        registry = get_registry()
        kinds: dict[str, type[Gate]] = {gate: registry.load("gate", gate) for gate in self.gates}
        self.open_gates = tuple(gate for gate, kind in kinds.items() if kind.open)
        if not self.open_gates:
            raise RequestError(
                "at least one gate must let something through, but all of gates = "
                f"{', '.join(self.gates)} are closed; add an open one, such as through"
            )
        numbers = range(1, nodes + 1)
        self._model_names = tuple(f"model_{number}" for number in numbers[1:])
        # In the order of automl_spaces.canonical: by destination, the label first.
        self._edges = tuple((s, d) for d in numbers for s in (LABEL, *numbers) if s != d)
        self._gate_names = tuple(_gate_name(s, d) for s, d in self._edges)
        self._names = frozenset(self._model_names + self._gate_names)
        # What each value means, in that order too: what a closed gate shuts is "", an edge that does not exist.
        on_edge = {gate: gate if kind.open else "" for gate, kind in kinds.items()}
        on_label = {gate: (kind.on_label or gate) if kind.open else "" for gate, kind in kinds.items()}
        self._read = itemgetter(*self._model_names, *self._gate_names)
        self._meanings = [{model: model for model in self.models}] * len(self._model_names) + [
            on_label if source == LABEL else on_edge for source, _ in self._edges
        ]
        self._target_gates = itemgetter(*(self._gate_names[: self.nodes]))

    def _check_options(self) -> None:
        if not 2 <= self.nodes <= MOST_NODES:
            raise RequestError(
                f"2 <= nodes <= {MOST_NODES} must hold, but got {self.nodes}; choose one of them, for example "
                "--set space.nodes=3"
            )
        for option, values in (("models", self.models), ("gates", self.gates)):
            doubled = sorted({value for value in values if values.count(value) > 1})
            if doubled or not values:
                problem = f"holds {', '.join(doubled)} more than once" if doubled else "is empty"
                raise RequestError(
                    f"{option} must name at least one choice and each once, but {option} = [{', '.join(values)}] "
                    f"{problem}; mend --set space.{option}"
                )

    @cached_property
    def config_space(self) -> ConfigurationSpace:
        from ConfigSpace import Categorical, ConfigurationSpace

        space = ConfigurationSpace(name=self.name)
        space.add(*(Categorical(name, list(self.models)) for name in self._model_names))
        # The default must be allowed, and a closed gate may be the first.
        default = self.open_gates[0]
        space.add(*(Categorical(name, list(self.gates), default=default) for name in self._gate_names))
        return space

    def decode(self, configuration: Configuration) -> KnowledgeTransferGraph:
        """Gives the graph; edges behind closed gates are absent, other gates stay as they were chosen."""
        self._check(configuration)
        edges = zip(self._edges, self._gate_names, strict=True)
        return KnowledgeTransferGraph(
            (Node(self.target), *(Node(str(configuration[name])) for name in self._model_names)),
            tuple(
                Edge(source, destination, gate)
                for (source, destination), name in edges
                if (gate := str(configuration[name])) in self.open_gates
            ),
        )

    def canonical(self, configuration: Configuration) -> Flat:
        """Gives ``decode(configuration).canonical().key()`` without building graphs: searchers ask for it constantly.

        Raises:
            RequestError: When the configuration is not one of this space.
        """
        try:
            values = self._read(configuration)
            meant = [meaning[value] for meaning, value in zip(self._meanings, values, strict=True)]
        except KeyError:
            self._check(configuration)
            raise
        return smallest((self.target, *meant), self.nodes)[0]

    def violation(self, configuration: Configuration) -> str | None:
        for gate in self._target_gates(configuration):
            if gate in self.open_gates:
                return None
        names = self._gate_names[: self.nodes]
        return (
            "the target (node 1) must have an open incoming edge to learn from, but "
            f"{', '.join(names[:-1])} and {names[-1]} are all closed; open one of them, "
            f"for example {names[0]}={self.open_gates[0]}"
        )

    def conditions(self) -> list[Condition]:
        """Gives the four of Iwata et al., "Refining Design Spaces in Knowledge Distillation" (section III), in order.

        What concerns several auxiliary nodes is one condition, since these can change places.
        """
        auxiliaries = range(2, self.nodes + 1)
        return [
            Condition("auxiliary node", self._model_names),
            Condition("edge from label to auxiliary", tuple(f"gate_label_{number}" for number in auxiliaries)),
            Condition("edge from label to target", ("gate_label_1",)),
            Condition("edge from auxiliary to target", tuple(f"gate_{number}_1" for number in auxiliaries)),
        ]

    def symmetries(self) -> list[dict[str, str]]:
        """Gives the renamings under which auxiliary nodes change places: (N-1)! - 1 of them."""
        auxiliaries = range(2, self.nodes + 1)
        found = []
        for order in list(permutations(auxiliaries))[1:]:
            turned = {LABEL: LABEL, 1: 1, **dict(zip(auxiliaries, order, strict=True))}
            renamed = {f"model_{number}": f"model_{turned[number]}" for number in auxiliaries}
            renamed |= {_gate_name(s, d): _gate_name(turned[s], turned[d]) for s, d in self._edges}
            found.append({name: other for name, other in renamed.items() if name != other})
        return found

    def reference(self) -> dict[str, Value] | None:
        """Gives the target taught by the label alone; None where no gate is closed, or none lets all of it through."""
        closed = [gate for gate in self.gates if gate not in self.open_gates]
        if not closed or "through" not in self.open_gates:
            return None
        gates = dict.fromkeys(self._gate_names, closed[0]) | {_gate_name(LABEL, 1): "through"}
        return {**dict.fromkeys(self._model_names, self.models[0]), **gates}

    def size(self) -> int:
        """Counts the raw configurations: M^(N-1) * G^(N^2)."""
        return int(len(self.models) ** (self.nodes - 1) * len(self.gates) ** (self.nodes**2))

    def valid_size(self) -> int:
        """Counts the configurations without a violation: the raw ones less those whose target is cut off all around."""
        closed = len(self.gates) - len(self.open_gates)
        dead = (
            len(self.models) ** (self.nodes - 1) * closed**self.nodes * len(self.gates) ** (self.nodes**2 - self.nodes)
        )
        return int(self.size() - dead)

    def _check(self, configuration: Configuration) -> None:
        """Refuses a configuration that is not one of this space."""
        for name in configuration:
            if name not in self._names:
                raise unknown("hyperparameter of space ktg", name, self._names)
        for names, choices in ((self._model_names, self.models), (self._gate_names, self.gates)):
            for name in names:
                if name not in configuration:
                    raise RequestError(
                        f"a configuration of space ktg with {self.nodes} nodes must give every hyperparameter, but "
                        f"{name} is missing; add {name}={choices[0]}"
                    )
                if configuration[name] not in choices:
                    raise unknown(f"value of {name}", str(configuration[name]), choices)


def _gate_name(source: int, destination: int) -> str:
    return f"gate_{source or 'label'}_{destination}"
