"""Distillation around pruning: what is removed from which network, and in which of its trainings it has a teacher.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 4 and tables 1 to 3. The search space is the one spanned by these tables.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from automl_core.errors import RequestError
from automl_core.types import Configuration, Json, Value
from automl_spaces.choices import Choice, ChoiceSpace, check_values
from automl_spaces.graph import Node
from automl_spaces.published_kd import (
    ALPHA,
    PAPER_PRUNING,
    PRUNINGS,
    QUICK_BETA,
    QUICK_FINE_TUNING,
    SCALE,
    SPARED,
    TEMPERATURE,
    beta_of,
    sparsity_of,
)
from automl_spaces.trainings import Distillation, Kind, Method, Phase, Pruning, Training, pruned

GROUPS: Mapping[str, int] = {"resnet18": 4, "resnet34": 4, "resnet": 3, "preresnet": 3, "vgg": 4, "densenet": 0}
"""Groups of inner layers of equal width, by what a model's name begins with; densely connected ones have none."""

INDEPENDENT = 3
"""Groups of which each has a hyperparameter of its own."""

Around = Literal["pre", "post", "pre-post", "self"]


class _Plan(NamedTuple):
    """What a configuration stands for."""

    model: Node
    pruning: Pruning
    distillation: Distillation
    phase: Phase
    repeat: int


class KDPruningSpace(ChoiceSpace):
    """A network that is trained, pruned and fine-tuned, with a teacher of its own kind here or there.

    Hyperparameters: ``method``, ``model``, ``type`` of distillation, and its ``phase`` unless the type is none; with
    ``l1-norm`` the shares that stay, as ``ratios`` such as 0.4/0.7/0.9, or by themselves as ``ratio_1`` to ``ratio_3``;
    with the other methods the one share ``remaining``; for labels ``alpha`` and ``temperature``, for features
    ``beta``; with several repeats ``repeat``.

    Args:
        methods: How to prune: ``l1-norm`` (filters of inner layers), ``slimming`` (channels by their scales) or
            ``magnitude`` (single weights).
        models: Registered names of the networks.
        types: What a teacher teaches: nothing, by its output (``label``), or by its last feature map (``feature``).
        phases: When there is a teacher: before pruning, after it, both, or both with the unpruned student as second.
        ratios: For l1-norm: shares that stay in the groups of layers of equal width, such as 0.4/0.7/0.9, or one for
            all, such as 0.5. None of them makes the shares of three groups independent, each one of ``remaining``.
        remaining: Shares that stay, above 0 and at most 1.
        alphas: For labels: weights of the teacher, above 0 and at most 1; the label has the rest.
        temperatures: For labels: what both outputs are divided by (T).
        betas: For features: weights of the distance between the maps; 0 is the published one of the model.
        sparsity: For slimming: penalty on the scales in trainings before pruning (lambda); 0 is the published one of
            the model.
        repeats: How often everything is trained anew, teachers included, with other seeds.
        published: Whether those methods, models and shares alone may come together that the published tables have.

    Raises:
        RequestError: For options that give no search space.
    """

    name = "kd-pruning"
    default_evaluator: ClassVar[str] = "kd-pruning"

    def __init__(
        self,
        methods: tuple[Method, ...] = ("l1-norm", "slimming", "magnitude"),
        models: tuple[str, ...] = ("preresnet11",),
        types: tuple[Kind, ...] = ("none", "label", "feature"),
        phases: tuple[Around, ...] = ("pre", "post", "pre-post", "self"),
        ratios: tuple[str, ...] = (),
        remaining: tuple[float, ...] = (0.3, 0.5, 0.7, 0.9),
        alphas: tuple[float, ...] = (ALPHA,),
        temperatures: tuple[float, ...] = (TEMPERATURE,),
        betas: tuple[float, ...] = (0.0,),
        sparsity: float = 0.0,
        repeats: int = 1,
        published: bool = False,
    ) -> None:
        self.sparsity = sparsity
        self.published = published
        options = {
            "methods": methods,
            "models": models,
            "types": types,
            "phases": phases,
            "remaining": remaining,
            "alphas": alphas,
            "temperatures": temperatures,
            "betas": betas,
        }
        for option, values in options.items():
            check_values(self.name, option, values)
        self._shares = {text: _parse(text) for text in ratios}
        if ratios:
            check_values(self.name, "ratios", ratios)
        check_shares(self.name, "remaining", remaining)
        check_distillation(self.name, alphas, temperatures, betas, repeats)
        if not 0 <= sparsity < math.inf:
            raise RequestError(
                f"sparsity must be a number of at least 0, but got {sparsity}; mend --set space.sparsity"
            )
        super().__init__(self._hyperparameters(options, repeats), self._forbidden(methods, models, ratios, remaining))

    def _hyperparameters(self, options: Mapping[str, tuple[Any, ...]], repeats: int) -> dict[str, Choice]:
        at_once: dict[str, tuple[Value, ...]] = {"method": ("slimming", "magnitude")}
        by_group: dict[str, tuple[Value, ...]] = {"method": ("l1-norm",)}
        shares = tuple(sorted(options["remaining"]))
        if self._shares:
            groups = {"ratios": Choice(tuple(self._shares), by_group)}
        else:
            groups = {f"ratio_{number}": Choice(shares, by_group) for number in range(1, INDEPENDENT + 1)}
        return {
            "method": Choice(options["methods"]),
            "model": Choice(options["models"]),
            **groups,
            "remaining": Choice(shares, at_once),
            "type": Choice(options["types"]),
            "phase": Choice(options["phases"], {"type": ("label", "feature")}),
            **distillation_choices(options["alphas"], options["temperatures"], options["betas"], repeats),
        }

    def _forbidden(
        self,
        methods: tuple[Method, ...],
        models: tuple[str, ...],
        ratios: tuple[str, ...],
        remaining: tuple[float, ...],
    ) -> list[dict[str, Value]]:
        """Lists the methods, models and shares that make no sense together, or that were not published together."""
        clauses: list[dict[str, Value]] = []
        for method in methods:
            for model in models:
                pair: dict[str, Value] = {"method": method, "model": model}
                allowed: Mapping[Value, bool]
                if method != "l1-norm":
                    allowed = {share: self._allows(method, model, (share,)) for share in remaining}
                elif ratios:
                    allowed = {text: self._allows(method, model, self._shares[text]) for text in ratios}
                else:
                    allowed = {"": groups_of(model) in (INDEPENDENT, None) and not self.published}
                if not any(allowed.values()):
                    clauses.append(pair)
                    continue
                name = "ratios" if method == "l1-norm" else "remaining"
                clauses += [{**pair, name: value} for value, holds in allowed.items() if not holds]
        return clauses

    def _allows(self, method: Method, model: str, shares: tuple[float, ...]) -> bool:
        groups = groups_of(model)
        if method == "l1-norm" and groups is not None and (groups == 0 or len(shares) not in (1, groups)):
            return False
        return not self.published or any(
            (one.method, one.model, one.remaining) == (method, model, shares) for one in PRUNINGS
        )

    def decode(self, configuration: Configuration) -> Training:
        """Gives the fine-tuning of the pruned network, with the trainings that it builds on."""
        self.check(configuration)
        plan = self._plan(configuration)
        trainer: dict[str, Any] = {}
        if plan.pruning.method == "slimming":
            trainer |= {"sparsity": self.sparsity or sparsity_of(plan.model.model), "norm_scale": SCALE}
        return pruned(plan.model, plan.pruning, plan.distillation, plan.phase, trainer, plan.repeat)

    def canonical(self, configuration: Configuration) -> Hashable:
        """Gives what is trained: equal shares of all groups are one share, a published weight is what it stands for."""
        model, pruning, distillation, phase, repeat = self._plan(configuration)
        shares = pruning.remaining[:1] if len(set(pruning.remaining)) == 1 else pruning.remaining
        numbers = {
            "label": (distillation.alpha, distillation.temperature),
            "feature": (distillation.beta,),
        }.get(distillation.kind, ())
        return pruning.method, model.model, shares, distillation.kind, phase, numbers, repeat

    def _plan(self, configuration: Configuration) -> _Plan:
        chosen: Mapping[str, Any] = configuration
        shares: tuple[float, ...]
        try:
            method, model = chosen["method"], chosen["model"]
            if method != "l1-norm":
                shares = (chosen["remaining"],)
            elif self._shares:
                shares = self._shares[chosen["ratios"]]
            else:
                shares = tuple(chosen[f"ratio_{number}"] for number in range(1, INDEPENDENT + 1))
            return _Plan(
                Node(model),
                Pruning(method, shares, SPARED.get(model, ()) if method == "l1-norm" else ()),
                distillation_of(chosen),
                chosen.get("phase", "none"),
                chosen.get("repeat", 0),
            )
        except KeyError:
            self.check(configuration)
            raise

    def presets(self, evaluator: str) -> Mapping[str, Mapping[str, Json]]:
        """``quick`` is sized for digits; ``paper`` are the published tables, each cell a trial."""
        if evaluator != self.default_evaluator:
            return {}
        quick = {"space": {"betas": [QUICK_BETA]}, "evaluator": dict(QUICK_FINE_TUNING)}
        return {"quick": quick, "paper": PAPER_PRUNING}


def distillation_choices(
    alphas: tuple[float, ...], temperatures: tuple[float, ...], betas: tuple[float, ...], repeats: int
) -> dict[str, Choice]:
    """Gives the hyperparameters of each type of distillation, and the one that repeats trainings."""
    label: dict[str, tuple[Value, ...]] = {"type": ("label",)}
    choices = {
        "alpha": Choice(tuple(sorted(alphas)), label),
        "temperature": Choice(tuple(sorted(temperatures)), label),
        "beta": Choice(tuple(sorted(betas)), {"type": ("feature",)}),
    }
    return choices | ({"repeat": Choice(tuple(range(repeats)))} if repeats > 1 else {})


def distillation_of(chosen: Mapping[str, Any]) -> Distillation:
    """Reads how a network is taught; a weight of 0 is the published one of the model."""
    if chosen["type"] == "label":
        return Distillation("label", alpha=chosen["alpha"], temperature=chosen["temperature"])
    if chosen["type"] == "feature":
        return Distillation("feature", beta=chosen["beta"] or beta_of(chosen["model"]))
    return Distillation()


def check_distillation(
    space: str, alphas: tuple[float, ...], temperatures: tuple[float, ...], betas: tuple[float, ...], repeats: int
) -> None:
    """Refuses numbers that no distillation can have.

    Raises:
        RequestError: With the option to change.
    """
    check_shares(space, "alphas", alphas)
    for option, values, fits in (
        ("temperatures", temperatures, all(0 < one < math.inf for one in temperatures)),
        ("betas", betas, all(0 <= one < math.inf for one in betas)),
    ):
        if not fits:
            least = "above 0" if option == "temperatures" else "of at least 0"
            raise RequestError(
                f"{option} of space {space} must be numbers {least}, but got {list(values)}; mend --set space.{option}"
            )
    if repeats < 1:
        raise RequestError(f"repeats must be at least 1, but got {repeats}; raise --set space.repeats")


def check_shares(space: str, option: str, values: tuple[float, ...]) -> None:
    """Refuses what is no share.

    Raises:
        RequestError: With the option to change.
    """
    if not all(0 < one <= 1 for one in values):
        raise RequestError(
            f"{option} of space {space} must be shares above 0 and at most 1, but got {list(values)}; mend --set "
            f"space.{option}"
        )


def _parse(text: str) -> tuple[float, ...]:
    """Reads shares such as 0.4/0.7/0.9."""
    try:
        shares = tuple(float(share) for share in text.split("/"))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share <= 1 for share in shares):
        raise RequestError(
            "ratios of space kd-pruning must be shares above 0 and at most 1 with / between them, such as 0.4/0.7/0.9, "
            f"but got {text!r}; mend --set space.ratios"
        )
    return shares


def groups_of(model: str) -> int | None:
    """Counts a model's groups of inner layers of equal width; None where the network itself has to be asked."""
    return next((count for prefix, count in GROUPS.items() if model.startswith(prefix)), None)
