"""Trainings that build on other trainings: who the teachers are, where the target comes from, what is removed from it.

Distillation before, after and around pruning is a sequence of graphs. Here that sequence is one value: a training names
those that must come before it, each of them a training again. Two values that name an equal one share it.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), sections 4 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from automl_core.errors import RequestError, unknown
from automl_core.types import Json
from automl_spaces.graph import LABEL, TARGET, Edge, KnowledgeTransferGraph, Node
from automl_spaces.recipe import Recipe

Method = Literal["l1-norm", "slimming", "magnitude"]
Kind = Literal["none", "label", "feature"]
Phase = Literal["none", "pre", "post", "pre-post", "self"]

METHODS: tuple[Method, ...] = get_args(Method)
KINDS: tuple[Kind, ...] = get_args(Kind)
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True)
class Pruning:
    """What is removed from a trained network.

    Args:
        method: ``l1-norm`` removes the filters of inner layers with the smallest L1 norms, layer by layer; ``slimming``
            the channels with the smallest scales of batch normalisation, over all layers at once; ``magnitude`` single
            weights of convolutions, over all of them at once, by putting them to zero for good.
        remaining: Shares that stay, above 0 and at most 1: for ``l1-norm`` one for each group of layers of equal width,
            by their order in the network, or one for all; for the others exactly one.
        spared: For ``l1-norm``: numbers, from 1 and in the network's order, of the layers that stay whole.

    Raises:
        RequestError: For an unknown method, or shares that are none.
    """

    method: Method
    remaining: tuple[float, ...]
    spared: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("pruning method", str(self.method), METHODS)
        object.__setattr__(self, "remaining", tuple(float(share) for share in self.remaining))
        object.__setattr__(self, "spared", tuple(sorted(set(self.spared))))
        if not self.remaining or not all(0 < share <= 1 for share in self.remaining):
            raise RequestError(
                f"what pruning leaves must be shares above 0 and at most 1, but got {self.remaining}; a layer that "
                "lost everything would let nothing through, so raise them"
            )
        if self.method != "l1-norm" and len(self.remaining) > 1:
            raise RequestError(
                f"pruning by {self.method} looks at all layers at once and must be given one share, but got "
                f"{self.remaining}; give one, or prune by l1-norm"
            )

    @property
    def structured(self) -> bool:
        """Whether whole channels go, so that the network becomes smaller and not only sparser."""
        return self.method != "magnitude"

    def to_json(self) -> Json:
        return {"method": self.method, "remaining": list(self.remaining), "spared": list(self.spared)}

    @classmethod
    def from_json(cls, data: Json) -> Pruning:
        return cls(data["method"], tuple(data["remaining"]), tuple(data["spared"]))


@dataclass(frozen=True)
class Training:
    """A training together with those that must be over before it begins.

    Args:
        recipe: The graph that is trained, and what is particular to its training.
        teachers: What the graph's frozen nodes were trained by, by rising number; equal ones are trained once. A frozen
            node without one is trained with labels alone, as in any graph.
        origin: The training whose target is where this one's target begins; None begins from new weights. A training
            with an origin is a fine-tuning.
        pruning: What is removed from the origin's target first.
        repeat: Number of the repetition; other repeats are seeded differently, and so is all that they build on.

    Raises:
        RequestError: For pruning without an origin, too many teachers or one with fewer channels, or another model than
            the origin's.
    """

    recipe: Recipe
    teachers: tuple[Training, ...] = ()
    origin: Training | None = None
    pruning: Pruning | None = None
    repeat: int = 0

    def __post_init__(self) -> None:
        frozen = len(self.graph.frozen)
        if len(self.teachers) > frozen:
            raise RequestError(
                f"a training must have one teacher at most for each frozen node ({frozen}), but got "
                f"{len(self.teachers)}; leave the others out, or add a frozen node"
            )
        if self.pruning is not None and self.origin is None:
            raise RequestError(
                f"pruning ({self.pruning.method}) needs a trained network, but this training begins from new weights; "
                "name its origin"
            )
        smaller = [one.model.model for one in self.teachers if any(pruning.structured for pruning in one.prunings)]
        if smaller:
            raise RequestError(
                f"a teacher must have all of its channels, but that of {smaller[0]} was pruned by removing some; name "
                "the training that it goes on from, or prune it by magnitude"
            )
        if self.origin is not None and self.origin.model != self.model:
            raise RequestError(
                f"a training must go on with its origin's model, {self.origin.model.signature}, but its own target is "
                f"{self.model.signature}; name the same one"
            )

    @property
    def graph(self) -> KnowledgeTransferGraph:
        return self.recipe.graph

    @property
    def prunings(self) -> tuple[Pruning, ...]:
        """What was removed from the target, first to last, in those that it goes on from and before this training."""
        earlier = () if self.origin is None else self.origin.prunings
        return earlier if self.pruning is None else (*earlier, self.pruning)

    @property
    def model(self) -> Node:
        """The target, before anything is removed from it."""
        return self.graph.node(TARGET)

    def repeated(self, repeat: int) -> Training:
        """Gives this training, with all that it builds on, so many repetitions later."""
        return replace(
            self,
            teachers=tuple(teacher.repeated(repeat) for teacher in self.teachers),
            origin=None if self.origin is None else self.origin.repeated(repeat),
            repeat=self.repeat + repeat,
        )

    def needed_teachers(self) -> tuple[Training, ...]:
        """Gives what trained each frozen node of the CANONICAL graph, by rising number.

        Raises:
            RequestError: For a gate that is not registered.
        """
        given = dict(zip(sorted(self.graph.frozen), self.teachers, strict=False))
        canonical, order = self.graph.canonical(), self.graph.canonical_order()
        return tuple(
            given.get(order[number - 1])
            or Training(Recipe(Distillation().graph(canonical.node(number)), self.recipe.trainer), repeat=self.repeat)
            for number in sorted(canonical.frozen)
        )

    def before(self) -> tuple[Training, ...]:
        """Lists the trainings that must be over before this one begins, each after those that it needs itself."""
        needed = ((self.origin,) if self.origin is not None else ()) + self.needed_teachers()
        found: list[Training] = []
        for training in needed:
            found += [one for one in (*training.before(), training) if one not in found]
        return tuple(found)

    def to_json(self) -> Json:
        return {
            "recipe": self.recipe.to_json(),
            "teachers": [teacher.to_json() for teacher in self.teachers],
            "origin": None if self.origin is None else self.origin.to_json(),
            "pruning": None if self.pruning is None else self.pruning.to_json(),
            "repeat": self.repeat,
        }

    @classmethod
    def from_json(cls, data: Json) -> Training:
        """Builds a training from what :meth:`to_json` gave; a recipe's or a graph's own JSON builds on nothing.

        Raises:
            RequestError: For anything else.
        """
        if not (isinstance(data, dict) and "recipe" in data):
            return cls(Recipe.from_json(data))
        try:
            return cls(
                Recipe.from_json(data["recipe"]),
                tuple(cls.from_json(teacher) for teacher in data["teachers"]),
                None if data["origin"] is None else cls.from_json(data["origin"]),
                None if data["pruning"] is None else Pruning.from_json(data["pruning"]),
                data["repeat"],
            )
        except (KeyError, TypeError) as error:
            raise RequestError(
                "a training must be {recipe, teachers, origin, pruning, repeat}, but "
                f"{error!r} came up in reading {str(data)[:200]}; mend the description"
            ) from error


@dataclass(frozen=True)
class Distillation:
    """How a network is taught by a teacher of the same kind.

    Args:
        kind: ``none``, ``label`` (the teacher's softened output) or ``feature`` (its last feature map).
        alpha: For ``label``: weight of the teacher, from 0 to 1; the label's is the rest.
        temperature: For ``label``: T, by which both outputs are softened.
        beta: For ``feature``: weight of the distance between the feature maps; the label's stays 1.

    Raises:
        RequestError: For an unknown kind, or numbers out of range.
    """

    kind: Kind = "none"
    alpha: float = 0.9
    temperature: float = 4.0
    beta: float = 500.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of distillation", str(self.kind), KINDS)
        if not 0 <= self.alpha <= 1:
            raise RequestError(f"alpha must be from 0 (labels alone) to 1 (the teacher alone), but got {self.alpha}")

    def graph(self, model: Node) -> KnowledgeTransferGraph:
        """Gives the network alone, or taught by a frozen one of its kind (Park et al., equations 1 and 2)."""
        from_label, teacher, options = 1.0, 0.0, {}
        if self.kind == "label":
            from_label, teacher = 1.0 - self.alpha, self.alpha
            options = {} if self.temperature == 1 else {"temperature": self.temperature}
        elif self.kind == "feature":
            teacher = self.beta
        edges = [] if from_label == 0 else [Edge(LABEL, TARGET, weight=from_label)]
        if teacher == 0:
            return KnowledgeTransferGraph((model,), tuple(edges))
        loss = "feature" if self.kind == "feature" else ""
        return KnowledgeTransferGraph(
            (model, model), (*edges, Edge(2, TARGET, loss=loss, weight=teacher, options=options))
        )


def pruned(
    model: Node,
    pruning: Pruning,
    distillation: Distillation,
    phase: Phase,
    trainer: dict[str, Any] | None = None,
    repeat: int = 0,
) -> Training:
    """Gives the fine-tuning of a pruned network, with everything that it builds on.

    Args:
        model: The network.
        pruning: What is removed from it.
        distillation: How it is taught in those trainings in which it has a teacher.
        phase: Which those are: ``none``; ``pre``, before pruning; ``post``, after it; ``pre-post``, both, with the
            network that was trained on labels alone as the teacher; ``self``, both, with the unpruned network that was
            taught as the second teacher.
        trainer: Options of the trainer for the trainings before pruning.
        repeat: Number of the repetition.

    Raises:
        RequestError: For an unknown phase.
    """
    if phase not in PHASES:
        raise unknown("phase", str(phase), PHASES)
    scratch = Training(Recipe(Distillation().graph(model), trainer or {}), repeat=repeat)
    graph = distillation.graph(model)
    teachers = (scratch,) if graph.frozen else ()
    taught = Training(Recipe(graph, trainer or {}), teachers, repeat=repeat) if teachers else scratch
    origin = scratch if phase in ("none", "post") else taught
    if phase in ("none", "pre"):
        return Training(Recipe(Distillation().graph(model)), (), origin, pruning, repeat)
    return Training(Recipe(graph), (taught,) if phase == "self" and teachers else teachers, origin, pruning, repeat)


def undistilled(training: Training) -> Training:
    """Gives the same training without any teacher, neither in it nor in what it goes on from."""
    return Training(
        Recipe(Distillation().graph(training.model), training.recipe.trainer),
        (),
        None if training.origin is None else undistilled(training.origin),
        training.pruning,
        training.repeat,
    )


def named(training: Training) -> str:
    """Says in a few words what a training makes: ``scratch resnet8``, ``label-distilled resnet8, cutmix 0.5``."""
    kind = kind_of(training.graph)
    words = "scratch" if kind == "none" else f"{kind}-distilled"
    if training.pruning is not None:
        words = f"{words} {training.pruning.method}-pruned"
    elif training.origin is not None:
        words = f"{words} fine-tuned"
    return ", ".join([f"{words} {training.model.model}", *_decided(training)])


def titled(training: Training) -> str:
    """Says what a training ends in: ``resnet8, l1-norm 0.4/0.7/0.9, label self``; repetitions have the same title."""
    origin = training.origin
    words = [training.model.model]
    if training.pruning is not None:
        shares = "/".join(f"{share:g}" for share in training.pruning.remaining)
        words.append(f"{training.pruning.method} {shares}")
    kinds = [kind_of(one.graph) for one in (training, origin) if one is not None]
    kind = next((one for one in kinds if one != "none"), "scratch")
    phase = "none" if origin is None else phase_of(training)
    words.append(kind if phase == "none" else f"{kind} {phase}")
    words += _decided(training)
    for teacher in training.teachers[:1] if training.pruning is None else ():
        words += [f"teacher {one}" for one in _decided(teacher)]
    return ", ".join(words)


def _decided(training: Training) -> list[str]:
    """Names the trainer's options that a training decides, but for those switched off, and for seeds."""
    decided = sorted(training.recipe.trainer.items())
    return [f"{name} {value}" for name, value in decided if value and name != "policy_seed"]


def kind_of(graph: KnowledgeTransferGraph) -> Kind:
    """Tells by what kind of distillation a graph teaches its target: that of the edge from its first frozen node."""
    for edge in graph.incoming(TARGET):
        if edge.source in graph.frozen:
            return "feature" if edge.loss == "feature" else "label"
    return "none"


def phase_of(training: Training) -> Phase:
    """Tells in which phases around its pruning a training has a teacher; the inverse of :func:`pruned`."""
    before = training.origin is not None and kind_of(training.origin.graph) != "none"
    after = kind_of(training.graph) != "none"
    if before and after:
        return "self" if training.teachers[:1] == (training.origin,) else "pre-post"
    return "pre" if before else "post" if after else "none"
