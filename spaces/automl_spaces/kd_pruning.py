"""Distillation around pruning: what is removed from which network, and in which of its trainings it has a teacher.

Source: Park et al., "On the Orthogonality of Knowledge Distillation with Other Techniques: From an Ensemble
Perspective" (2020), section 4 and tables 1 to 3. The search space is the one spanned by these tables.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple

from automl_core.errors import RequestError
from automl_core.types import Configuration, Json, Value
from automl_spaces.choices import Choice, ChoiceSpace, check_usable, check_values
from automl_spaces.distilling import check_distillation, check_shares, distillation_choices, distillation_of
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
    sparsity_of,
    written,
)
from automl_spaces.trainings import Distillation, Kind, Method, Phase, Pruning, Training, pruned

GROUPS: Mapping[str, int] = {
    **dict.fromkeys((f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56, 110)), 3),
    **dict.fromkeys((f"preresnet{depth}" for depth in (11, 20, 56, 110)), 3),
    **dict.fromkeys(("resnet18", "resnet34", "vgg11", "vgg16", "vgg19"), 4),
    **dict.fromkeys(("densenet10", "densenet22", "densenet40"), 0),
}
"""Groups of inner layers of equal width, by model; densely connected ones have none. Others have to be asked."""

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
    ``l1-norm`` the shares that stay, as ``ratios`` such as 0.4/0.7/0.9, or by themselves as ``ratio_1`` to ``ratio_3``
    (``ratio_1`` alone, for all layers, with models that are not known to have three groups of them); with the other
    methods the one share ``remaining``; for labels ``alpha`` and ``temperature``, for features ``beta``; with several
    repeats ``repeat``.

    Args:
        methods: How to prune: ``l1-norm`` (filters of inner layers), ``slimming`` (channels by their scales) or
            ``magnitude`` (single weights).
        models: Registered names of the networks.
        types: What a teacher teaches: nothing, by its output (``label``), or by its last feature map (``feature``).
        phases: When there is a teacher: before pruning, after it, both, or both with the unpruned student as second.
        ratios: For l1-norm: shares that stay in the groups of layers of equal width, such as 0.4/0.7/0.9, or one for
            all, such as 0.5. None of them makes the shares of three groups independent, each one of ``remaining``;
            models that are not known to have three groups have one for all.
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
        ratios: tuple[str | float, ...] = (),
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
        texts = tuple(map(str, ratios))  # numbers are shares for all groups
        if ratios:
            check_values(self.name, "ratios", texts)
        self._shares = {text: _parse(text) for text in texts}
        check_shares(self.name, "remaining", remaining)
        check_distillation(self.name, alphas, temperatures, betas, repeats)
        if not 0 <= sparsity < math.inf:
            raise RequestError(
                f"sparsity must be a number of at least 0, but got {sparsity}; mend --set space.sparsity"
            )
        if ratios and "l1-norm" not in methods:
            raise RequestError(
                f"ratios of space {self.name} must be given with the method l1-norm, whose groups of layers they are "
                f"for, but methods are {', '.join(methods)}; leave them out, or give their one share by --set "
                "space.remaining"
            )
        together = [
            (values, self._refusal(values["method"], values["model"], shares))
            for values, shares in self._settings(methods, models, remaining)
        ]
        check_usable(self.name, {"methods": "method", "models": "model", "ratios": "ratios"}, together)
        super().__init__(self._hyperparameters(options, repeats), [values for values, refused in together if refused])

    def _hyperparameters(self, options: Mapping[str, tuple[Any, ...]], repeats: int) -> dict[str, Choice]:
        at_once: dict[str, tuple[Value, ...]] = {"method": ("slimming", "magnitude")}
        by_group: dict[str, tuple[Value, ...]] = {"method": ("l1-norm",)}
        in_groups = by_group | {"model": [model for model in options["models"] if groups_of(model) == INDEPENDENT]}
        shares = tuple(sorted(options["remaining"]))
        if self._shares:
            groups = {"ratios": Choice(tuple(self._shares), by_group)}
        else:
            first, *others = _ratios(INDEPENDENT)
            groups = {first: Choice(shares, by_group)} | {name: Choice(shares, in_groups) for name in others}
        return {
            "method": Choice(options["methods"]),
            "model": Choice(options["models"]),
            **groups,
            "remaining": Choice(shares, at_once),
            "type": Choice(options["types"]),
            "phase": Choice(options["phases"], {"type": ("label", "feature")}),
            **distillation_choices(options["alphas"], options["temperatures"], options["betas"], repeats),
        }

    def _settings(
        self, methods: tuple[Method, ...], models: tuple[str, ...], remaining: tuple[float, ...]
    ) -> Iterator[tuple[dict[str, Any], tuple[float, ...]]]:
        """Yields the values of hyperparameters that may not come together, and the shares that they give, if any."""
        for method, model in product(methods, models):
            pair = {"method": method, "model": model}
            if method != "l1-norm":
                yield from (({**pair, "remaining": share}, (share,)) for share in remaining)
            elif self._shares and groups_of(model) != 0:
                yield from (({**pair, "ratios": text}, shares) for text, shares in self._shares.items())
            else:
                yield pair, ()

    def _refusal(self, method: Method, model: str, shares: tuple[float, ...]) -> str:
        """Says why a network must not be pruned so, and what would do; empty where it may be."""
        groups = groups_of(model)
        if method == "l1-norm" and groups == 0:
            return (
                f"{model} has no inner layers of its own, from which l1-norm could remove filters (prune it by "
                "slimming or magnitude)"
            )
        if method == "l1-norm" and groups is not None and shares and len(shares) not in (1, groups):
            return (
                f"{model} has {groups} groups of layers of equal width, but {written(shares)} are {len(shares)} ratios "
                f"(give {groups}, or one for all)"
            )
        if not self.published:
            return ""
        published = [one for one in PRUNINGS if one.method == method]
        known = [one.remaining for one in published if one.model == model]
        if not known:
            others = ", ".join(dict.fromkeys(one.model for one in published))
            return f"space.published allows {method} of {others}, not of {model}"
        if shares in known:
            return ""
        option = "ratios" if method == "l1-norm" else "remaining"
        allowed = f"{option}=[{', '.join(map(written, known))}]"
        return (
            f"space.published allows {method} of {model} with space.{allowed}, not with "
            f"{written(shares) or 'independent shares'}"
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
                names = _ratios(INDEPENDENT if groups_of(model) == INDEPENDENT else 1)
                shares = tuple(chosen[name] for name in names)
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


def groups_of(model: str) -> int | None:
    """Counts a model's groups of inner layers of equal width; None where the network itself has to be asked."""
    return GROUPS.get(model)


def _ratios(groups: int) -> list[str]:
    return [f"ratio_{number}" for number in range(1, groups + 1)]


def _parse(text: str) -> tuple[float, ...]:
    """Reads shares such as 0.4/0.7/0.9."""
    try:
        shares = tuple(float(share) for share in text.split("/"))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share <= 1 for share in shares):
        raise RequestError(
            "ratios of space kd-pruning must be shares above 0 and at most 1, one for all layers, such as 0.5, or with "
            f"/ between those of their groups, such as 0.4/0.7/0.9, but got {text}; mend --set space.ratios"
        )
    return shares
