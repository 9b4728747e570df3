"""Initial values of weights: Keras 3's initializers, their defaults and their distributions.

Drawn by NumPy on the host. The numbers are not those that a Keras backend draws from the same seed: every backend has
a generator of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..core.components import Component, Registry, attr
from ..core.types import Dim, require, shape_text

if TYPE_CHECKING:
    import numpy as np

INITIALIZERS = Registry("initializer", "How the initial value of a weight is drawn.")

SEED_DOC = "Seed of its own, in place of one derived from the model's seed and the weight's name."
FAN_AXES_DOC = "Axes of the weight that count as its {}, where they are not the usual ones."

# Standard deviation of a standard normal that is cut off at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978

CHUNK_ELEMENTS = 1 << 13
"""Numbers that are drawn at once where the order does not matter."""


class Initializer(Component):
    registry = INITIALIZERS

    def check(self, shape: Sequence[Dim]) -> None:
        """ShapeError where a weight of this shape does not suit."""

    @property
    def restricts_shape(self) -> bool:
        """Whether there are shapes that do not suit."""
        return False

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """An array of this shape (a number stands for an array full of it); ShapeError where there is none."""
        raise NotImplementedError


@INITIALIZERS.register("zeros", "zero")
class Zeros(Initializer):
    """All zeros."""

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return 0.0


@INITIALIZERS.register("ones", "one")
class Ones(Initializer):
    """All ones."""

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return 1.0


@INITIALIZERS.register()
class Constant(Initializer):
    """One value everywhere."""

    value: float = attr(0.0, doc="The value.")

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return self.value


@INITIALIZERS.register("random_normal", "normal")
class RandomNormal(Initializer):
    """Normal distribution."""

    mean: float = attr(0.0, doc="Mean.")
    stddev: float = attr(0.05, doc="Standard deviation.", minimum=0)
    seed: int | None = attr(None, doc=SEED_DOC)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return rng.normal(self.mean, self.stddev, shape)


@INITIALIZERS.register()
class TruncatedNormal(Initializer):
    """Normal distribution cut off at two standard deviations from its mean."""

    mean: float = attr(0.0, doc="Mean.")
    stddev: float = attr(0.05, doc="Standard deviation before the cut.", minimum=0)
    seed: int | None = attr(None, doc=SEED_DOC)

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return self.mean + self.stddev * draw_truncated_normal(shape, rng)


@INITIALIZERS.register("random_uniform", "uniform")
class RandomUniform(Initializer):
    """Uniform distribution."""

    minval: float = attr(-0.05, doc="Lower bound.")
    maxval: float = attr(0.05, doc="Upper bound.")
    seed: int | None = attr(None, doc=SEED_DOC)

    @property
    def restricts_shape(self) -> bool:
        return self.minval > self.maxval

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            self.minval <= self.maxval,
            f"has a {self.type_name} from {self.minval} to {self.maxval}, the wrong way round",
        )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return draw_uniform(self.minval, self.maxval, shape, rng)


class FanScaledInitializer(Initializer):
    """Variance `scale / fan`, where the fan is the number of inputs, of outputs, or the mean of both."""

    @property
    def restricts_shape(self) -> bool:
        given: Any = self
        return given.input_axes is not None or given.output_axes is not None

    def check(self, shape: Sequence[Dim]) -> None:
        given: Any = self
        axes, rank = [*(given.input_axes or ()), *(given.output_axes or ())], len(shape)
        fits = all(-rank <= axis < rank for axis in axes)
        require(fits, f"has a {self.type_name} with the axes {axes}, of a weight of shape {shape_text(shape)}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, scale: float, mode: str, distribution: str) -> Any:
        given: Any = self
        fan_in, fan_out = weight_fans(shape, given.input_axes, given.output_axes)
        variance = scale / max(1.0, {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode])
        if distribution == "uniform":
            return draw_uniform(-sqrt(3 * variance), sqrt(3 * variance), shape, rng)
        if distribution == "untruncated_normal":
            return rng.normal(0.0, sqrt(variance), shape)
        return sqrt(variance) / TRUNCATED_STDDEV * draw_truncated_normal(shape, rng)


@INITIALIZERS.register()
class VarianceScaling(FanScaledInitializer):
    """Variance `scale / fan`, where the fan is the number of inputs, of outputs, or the mean of both."""

    scale: float = attr(1.0, doc="Scale of the variance.", above=0)
    mode: Literal["fan_in", "fan_out", "fan_avg"] = attr("fan_in", doc="Which fan divides.")
    distribution: Literal["truncated_normal", "normal", "untruncated_normal", "uniform"] = attr(
        "truncated_normal", doc="Shape of the distribution; `normal` is the truncated one."
    )
    seed: int | None = attr(None, doc=SEED_DOC)
    input_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("inputs"))
    output_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("outputs"))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return self.draw(shape, rng, self.scale, self.mode, self.distribution)


class VarianceScalingPreset(FanScaledInitializer):
    """A variance scaling with its three choices made."""

    seed: int | None = attr(None, doc=SEED_DOC)
    input_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("inputs"))
    output_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("outputs"))
    choices: ClassVar[tuple[float, str, str]]

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        return self.draw(shape, rng, *self.choices)


@INITIALIZERS.register()
class GlorotUniform(VarianceScalingPreset):
    """Uniform with variance `2 / (fan_in + fan_out)` (Glorot and Bengio, 2010)."""

    choices = 1.0, "fan_avg", "uniform"


@INITIALIZERS.register()
class GlorotNormal(VarianceScalingPreset):
    """Truncated normal with variance `2 / (fan_in + fan_out)` (Glorot and Bengio, 2010)."""

    choices = 1.0, "fan_avg", "truncated_normal"


@INITIALIZERS.register()
class HeUniform(VarianceScalingPreset):
    """Uniform with variance `2 / fan_in` (He et al., 2015)."""

    choices = 2.0, "fan_in", "uniform"


@INITIALIZERS.register()
class HeNormal(VarianceScalingPreset):
    """Truncated normal with variance `2 / fan_in` (He et al., 2015)."""

    choices = 2.0, "fan_in", "truncated_normal"


@INITIALIZERS.register()
class LecunUniform(VarianceScalingPreset):
    """Uniform with variance `1 / fan_in` (LeCun et al., 1998)."""

    choices = 1.0, "fan_in", "uniform"


@INITIALIZERS.register()
class LecunNormal(VarianceScalingPreset):
    """Truncated normal with variance `1 / fan_in` (LeCun et al., 1998)."""

    choices = 1.0, "fan_in", "truncated_normal"


@INITIALIZERS.register("orthogonal", "OrthogonalInitializer")
class Orthogonal(Initializer):
    """A random orthogonal matrix of all axes but the last by the last (Saxe et al., 2014)."""

    gain: float = attr(1.0, doc="Factor on the matrix.")
    seed: int | None = attr(None, doc=SEED_DOC)

    @property
    def restricts_shape(self) -> bool:
        return True

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            len(shape) >= 2,
            f"cannot fill a weight of shape {shape_text(shape)} by {self.type_name}: it takes two axes or more",
        )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        import numpy as np

        self.check(shape)
        rows, columns = prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return self.gain * (q.T if rows < columns else q).reshape(shape)


@INITIALIZERS.register("identity", "IdentityInitializer")
class Identity(Initializer):
    """The identity matrix; for weights of two axes."""

    gain: float = attr(1.0, doc="Factor on the matrix.")

    @property
    def restricts_shape(self) -> bool:
        return True

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            len(shape) == 2, f"cannot fill a weight of shape {shape_text(shape)} by {self.type_name}: it takes two axes"
        )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        import numpy as np

        self.check(shape)
        return self.gain * np.eye(shape[0], shape[1])


def draw_uniform(low: float, high: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform numbers in float32, rounded from draws in float64: these piece by piece, in the processor's cache."""
    import numpy as np

    result = np.empty(shape, np.float32)
    flat = result.reshape(-1)
    for start in range(0, flat.size, CHUNK_ELEMENTS):
        flat[start : start + CHUNK_ELEMENTS] = rng.uniform(low, high, min(CHUNK_ELEMENTS, flat.size - start))
    return result


def draw_truncated_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal, drawn again wherever it lies beyond two standard deviations."""
    drawn = rng.normal(size=shape)
    while (beyond := abs(drawn) > 2).any():
        drawn[beyond] = rng.normal(size=int(beyond.sum()))
    return drawn


def weight_fans(
    shape: tuple[int, ...], input_axes: tuple[int, ...] | None, output_axes: tuple[int, ...] | None
) -> tuple[float, float]:
    """The number of inputs and outputs that a weight of this shape connects, as Keras counts them."""
    if input_axes is not None and output_axes is not None:
        return prod(shape[axis] for axis in input_axes), prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field
