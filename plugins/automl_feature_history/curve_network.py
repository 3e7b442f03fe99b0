"""A Bayesian neural network over learning curves, and the sampler of its weights.

Sizes: N networks, C curves (their configurations), P points, D inputs, H hidden units, K basis functions.
Values are turned and scaled so that larger is better and most lie within -1 and 1. Times are shares of the maximum
budget, in (0, 1].

Sources: Klein, Falkner, Springenberg and Hutter, "Learning Curve Prediction with Bayesian Neural Networks" (ICLR
2017), sections 3.1 and 3.2; Springenberg, Klein, Falkner and Hutter, "Bayesian Optimization with Robust Bayesian
Neural Networks" (NIPS 2016), equations 8 to 10 (the sampler).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NETWORKS = 8
"""Chains that are run at once; together they cost little more than one."""
BATCH = 100
"""Points per step."""
STEP, FRICTION = 0.05, 0.05
"""The sampler's step size and its friction per step (epsilon, and alpha of stochastic gradient descent's view)."""
NOISE, NOISE_PRECISION = 0.1, 4.0
"""The noise before any point is seen, in units of the values, and the precision of its logarithm."""
TRIAL_DEVIATION = 0.3
"""How far a trial strays from what its configuration makes one expect: deviation of each basis function's weight."""

STEEPEST = 3.4
"""The logarithm of the largest rate, about 30: what falls faster is over at the second unit."""
LEAST_FALL = 1e-9
"""The least that a basis function falls between the first unit and the end; one that does not is left flat."""

BASES, SHAPES = 4, 4
# Of the raw numbers -b, k, d and log r, which are about standard normal: exp(SHIFT + SCALE * raw), but for the last.
_SHIFT, _SCALE = (-0.7, 1.5, 0.0, 1.0), (0.7, 1.0, 0.5, 1.0)
_DOUBLE = torch.float64


@dataclass(frozen=True)
class Curves:
    """What a network is trained on.

    Args:
        inputs: (C, D), encoded configurations.
        curve_of: (P,), the position of each point's curve.
        times: (P,), each point's time.
        values: (P,), each point's value.
        first: The earliest time there can be: one unit's share of the maximum budget.
    """

    inputs: Tensor
    curve_of: Tensor
    times: Tensor
    values: Tensor
    first: float


class Network:
    """Two hidden layers from a configuration to the parameters of its learning curve.

    The curve is asymptote + sum_k weight_k * basis_k(time; shape_k), its noise the same everywhere. Every basis
    function rises from -1 at the first unit to 0 at the maximum budget, so the asymptote is the value there. (In the
    paper they end at 0 as well; here they begin alike too, so that one prior suits the weights of all.) They are those
    of the paper that only rise: a power law, t^-b, an exponential, exp(-k t), the log-power or Hill's,
    1 / (1 + (r t)^d), and the logarithm, which is the power law's limit.

    Weights have a standard normal prior; what they multiply is divided by the root of its number.

    Args:
        inputs: D.
        hidden: H.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        outputs = 1 + BASES + SHAPES
        self.gains = (1.5 / math.sqrt(inputs), 1.5 / math.sqrt(hidden), 1.0 / math.sqrt(hidden))
        self._shapes = [(inputs, hidden), (1, hidden), (hidden, hidden), (1, hidden), (hidden, outputs), (1, outputs)]
        self._shapes.append((1, 1))  # the logarithm of the noise's deviation
        self._sizes = [rows * columns for rows, columns in self._shapes]
        self.size = sum(self._sizes)

    def outputs(self, weights: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Gives curve parameters, shape (N, C, 1 + K + shapes), and the logarithm of the noise, shape (N, 1).

        Args:
            weights: (N, ``size``).
            inputs: (C, D), encoded configurations.
        """
        parts = [
            part.view(-1, *shape)
            for part, shape in zip(torch.split(weights, self._sizes, dim=1), self._shapes, strict=True)
        ]
        hidden = inputs.expand(len(weights), -1, -1)
        for layer, gain in enumerate(self.gains):
            if layer:
                hidden = torch.tanh(hidden)
            hidden = torch.baddbmm(parts[2 * layer + 1], hidden, parts[2 * layer], alpha=gain)
        return hidden, parts[-1][:, 0]


@dataclass(frozen=True)
class Clock:
    """Times in the form that basis functions take: of each point, of the end and of the first unit.

    Args:
        fallen: (P, 3), the times' logarithms, negated.
        exponents: (P, 3, 2), what the rates of the power law and of the exponential are multiplied with.
    """

    fallen: Tensor
    exponents: Tensor

    @classmethod
    def of(cls, times: Tensor, first: float) -> Clock:
        """Makes the clock of points.

        Args:
            times: (P,).
            first: The earliest time there can be.
        """
        moments = torch.stack([times, torch.ones_like(times), torch.full_like(times, first)], dim=1)
        fallen = -torch.log(moments)
        return cls(fallen, torch.stack([fallen, -moments], dim=-1))

    def at(self, chosen: Tensor) -> Clock:
        """Gives the clock of some of the points."""
        return Clock(self.fallen[chosen], self.exponents[chosen])


def curve(outputs: Tensor, clock: Clock) -> tuple[Tensor, Tensor, Tensor]:
    """Gives asymptotes (N, P), weights (N, P, K) and basis functions (N, P, K); where outputs have P = 1, so have both.

    Args:
        outputs: (N, P or 1, 1 + K + shapes), of the network.
        clock: Of the P points.
    """
    asymptote, weights, shapes = torch.split(outputs, [1, BASES, SHAPES], dim=-1)
    raw = torch.addcmul(outputs.new_tensor(_SHIFT), shapes, outputs.new_tensor(_SCALE))
    positive = raw[..., :3].clamp(max=STEEPEST).exp()  # a chain that strays far must not overflow
    powers = torch.exp(positive[..., None, :2] * clock.exponents)
    hill = torch.sigmoid(positive[..., 2:3] * (clock.fallen - raw[..., 3:]))
    logarithm = clock.fallen.expand_as(hill)
    falling = torch.cat([powers, hill[..., None], logarithm[..., None]], dim=-1)  # (N, P, 3 times, K)
    here, end, first = falling.unbind(dim=-2)
    return asymptote[..., 0], F.softplus(weights - 1.0), (end - here) / (first - end).clamp(min=LEAST_FALL)


def sample(curves: Curves, hidden: int, steps: int, burn_in: int, samples: int, seed: int) -> tuple[Network, Tensor]:
    """Draws networks from their posterior by adaptive stochastic-gradient Hamiltonian Monte Carlo.

    During the burn-in every weight's gradient variance V is tracked over a window that adapts itself; then it is kept,
    and the chains, which walk independently, give a network every few steps.

    Args:
        curves: What to learn from.
        hidden: Width of the hidden layers.
        steps: Steps of each chain, the burn-in included.
        burn_in: Steps after which networks are kept.
        samples: About how many to keep, over all chains; at most what they give in the steps after the burn-in.
        seed: Of everything that is drawn.

    Returns:
        The network and its weights, shape (kept, ``network.size``).
    """
    generator = torch.Generator().manual_seed(seed)
    network = Network(curves.inputs.shape[1], hidden)
    centre, precision = torch.zeros(network.size, dtype=_DOUBLE), torch.ones(network.size, dtype=_DOUBLE)
    centre[-1], precision[-1] = math.log(NOISE), NOISE_PRECISION
    weights = 0.5 * torch.randn(NETWORKS, network.size, generator=generator, dtype=_DOUBLE) + centre
    momentum, window = torch.zeros_like(weights), torch.ones_like(weights)
    mean, variance = torch.ones_like(weights), torch.ones_like(weights)
    clock, every = Clock.of(curves.times, curves.first), max(1, (steps - burn_in) * NETWORKS // samples)
    kept = []
    for step in range(steps):
        gradient = _gradient(network, weights, curves, clock, generator) + precision * (weights - centre)
        if step < burn_in:
            share = 1.0 / (window + 1.0)
            window += 1.0 - window * mean**2 / variance
            mean += share * (gradient - mean)
            variance += share * (gradient**2 - variance)
        scale = variance.clamp_min(1e-16).rsqrt()
        noise = (2.0 * STEP**2 * FRICTION * scale - STEP**4).clamp_min(0.0).sqrt()
        drawn = torch.randn(weights.shape, generator=generator, dtype=_DOUBLE)
        momentum = (1.0 - FRICTION) * momentum - STEP**2 * scale * gradient + noise * drawn
        weights = weights + momentum
        if step >= burn_in and (steps - 1 - step) % every == 0:
            kept.append(weights)
    return network, torch.cat(kept)


def _gradient(network: Network, weights: Tensor, curves: Curves, clock: Clock, generator: torch.Generator) -> Tensor:
    """Estimates the gradient of the negative log-likelihood of all points, from some of them."""
    count, curve_of, values = len(curves.values), curves.curve_of, curves.values
    if count > BATCH:
        chosen = torch.randint(count, (BATCH,), generator=generator)
        curve_of, values, clock = curve_of[chosen], values[chosen], clock.at(chosen)
    weights = weights.detach().requires_grad_()
    outputs, log_noise = network.outputs(weights, curves.inputs[curve_of])
    asymptote, heights, bases = curve(outputs, clock)
    residual = asymptote + (heights * bases).sum(dim=-1) - values
    # Chains do not meet in this sum, so its gradient holds each one's own.
    energy = (0.5 * (residual * torch.exp(-log_noise)).square().mean() + log_noise.mean()) * count * NETWORKS
    (gradient,) = torch.autograd.grad(energy, weights)
    return gradient


@torch.no_grad()
def predict(
    network: Network, weights: Tensor, inputs: Tensor, times: Tensor, values: Tensor, first: float
) -> tuple[float, float]:
    """Predicts the value at time 1 of a trial whose beginning is known.

    A sampled network gives what the configuration makes one expect. A trial strays from it: its asymptote and the
    weights of its basis functions differ by normal numbers of deviation ``TRIAL_DEVIATION``. Given the trial's own
    points these are known by linear regression, in closed form, and networks weigh by the probability that they give
    to the points (importance sampling). So a trial is judged by points that no network was trained on.

    Args:
        network: The network.
        weights: (N, ``network.size``), sampled.
        inputs: (D,), the trial's encoded configuration.
        times: (P,), its points' times, at least one.
        values: (P,), its points' values.
        first: The earliest time there can be.

    Returns:
        Mean and standard deviation; not numbers where no network is of use.
    """
    weights = weights[weights.isfinite().all(dim=1)]  # a chain that has left the numbers behind says nothing
    if not len(weights):
        return math.nan, math.nan
    outputs, log_noise = network.outputs(weights, inputs[None])
    asymptote, heights, bases = curve(outputs, Clock.of(times, first))
    residual = values - asymptote - (heights * bases).sum(dim=-1)  # (N, P)
    design = torch.cat([torch.ones_like(bases[..., :1]), bases], dim=-1)  # (N, P, 1 + K)
    noise = torch.exp(2.0 * log_noise)[..., None]
    identity = torch.eye(design.shape[-1], dtype=design.dtype)
    factor = torch.linalg.cholesky(design.mT @ design / noise + identity / TRIAL_DEVIATION**2)
    projected = design.mT @ residual[..., None] / noise
    strayed = torch.cholesky_solve(projected, factor)
    covariance = torch.cholesky_inverse(factor)
    evidence = (
        0.5 * ((projected * strayed).sum(dim=(1, 2)) - (residual**2).sum(dim=1) / noise[:, 0, 0])
        - len(values) * log_noise[:, 0]
        - factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    )
    share = torch.softmax(evidence, dim=0)
    ends = asymptote[:, 0] + strayed[:, 0, 0]
    mean = (share * ends).sum()
    variance = (share * ((ends - mean) ** 2 + covariance[:, 0, 0])).sum()
    return float(mean), float(variance.sqrt())
