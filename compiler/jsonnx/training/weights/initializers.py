"""Initializers: Keras 3's distributions of initial weights, with Keras' defaults.

NumPy draws the numbers on the host. They differ from a Keras backend's with the same seed, as the backends differ from
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...core.components import Component, Registry, attr
from ...core.types import Dim, require, shape_text
from . import distributions

if TYPE_CHECKING:
    import numpy as np

    from .distributions import Distribution

INITIALIZERS = Registry(
    "initializer",
    "The distribution of the initial values of a weight.",
    keras_format="keras.initializers.{class_name}",
)

SEED_DOC = "Seed. By default derived from the seed of the training and the name of the weight."
FAN_AXES_DOC = (
    "Axes of the weight that count as {}. By default inputs are on the last axis but one, outputs on the last."
)

MIN_CHOLESKY_ELEMENTS = 1 << 18
"""Minimum size of a random matrix that is made orthogonal by a Cholesky decomposition, which takes a fifth of the time
of a QR decomposition."""
MAX_INVERTED_SIZE = 128
"""Maximum rows of a triangular matrix that is inverted as a whole."""
TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of a standard normal distribution that is truncated at two standard deviations."""


class Initializer(Component):
    """The distribution of a weight's initial values.

    A class has one of `constant`, `sample` and `drawn_from`.
    """

    registry = INITIALIZERS

    @property
    def constant(self) -> float | None:
        """The value of all elements; None if they differ."""
        return None

    def check(self, shape: Sequence[Dim]) -> None:
        """Raises ShapeError if the initializer does not accept a weight of this shape."""

    @property
    def restricts_shape(self) -> bool:
        """Whether the initializer does not accept weights of all shapes."""
        return False

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """An array of this shape, or a number for all its elements. Raises ShapeError like `check`."""
        return self.constant

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution | None:
        """The distribution if the numbers of a weight of this shape are drawn one by one."""
        return None


@INITIALIZERS.register("zeros", "zero")
class Zeros(Initializer):
    """All zeros."""

    formula = "w = zeros(shape)"

    @property
    def constant(self) -> float:
        return 0.0


@INITIALIZERS.register("ones", "one")
class Ones(Initializer):
    """All ones."""

    formula = "w = ones(shape)"

    @property
    def constant(self) -> float:
        return 1.0


@INITIALIZERS.register()
class Constant(Initializer):
    """All elements have one value."""

    formula = "w = full(shape, value)"
    value: float = attr(0.0, doc="The value.")

    @property
    def constant(self) -> float:
        return self.value


class RandomInitializer(Initializer):
    """Numbers that are drawn one by one."""

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution:
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        import numpy as np

        array = np.empty(shape, np.float32)
        self.drawn_from(shape).fill(array.reshape(-1), rng)
        return array


@INITIALIZERS.register("random_normal", "normal")
class RandomNormal(RandomInitializer):
    """Normal distribution."""

    formula = "w = normal(mean, stddev, shape)"
    mean: float = attr(0.0, doc="Mean.")
    stddev: float = attr(0.05, doc="Standard deviation.", minimum=0)
    seed: int | None = attr(None, doc=SEED_DOC)

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution:
        return distributions.Normal(self.mean, self.stddev)


@INITIALIZERS.register()
class TruncatedNormal(RandomInitializer):
    """Normal distribution truncated at two standard deviations from its mean."""

    formula = "w = truncated_normal(mean, stddev, shape)"
    mean: float = attr(0.0, doc="Mean.")
    stddev: float = attr(0.05, doc="Standard deviation before the truncation.", minimum=0)
    seed: int | None = attr(None, doc=SEED_DOC)

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution:
        return distributions.TruncatedNormal(self.mean, self.stddev)


@INITIALIZERS.register("random_uniform", "uniform")
class RandomUniform(RandomInitializer):
    """Uniform distribution."""

    formula = "w = uniform(minval, maxval, shape)"
    minval: float = attr(-0.05, doc="Lower bound.")
    maxval: float = attr(0.05, doc="Upper bound.")
    seed: int | None = attr(None, doc=SEED_DOC)

    @property
    def restricts_shape(self) -> bool:
        return self.minval > self.maxval

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            self.minval <= self.maxval,
            f"has a {self.type_name} from {self.minval} to {self.maxval}, but minval must not exceed maxval",
        )

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution:
        return distributions.Uniform(self.minval, self.maxval)


class FanScaledInitializer(RandomInitializer):
    """Variance `scale / fan`, where the fan is the number of inputs, of outputs, or the mean of both."""

    input_axes: tuple[int, ...] | None
    output_axes: tuple[int, ...] | None

    @property
    def restricts_shape(self) -> bool:
        return self.input_axes is not None or self.output_axes is not None

    def check(self, shape: Sequence[Dim]) -> None:
        axes, rank = [*(self.input_axes or ()), *(self.output_axes or ())], len(shape)
        fits = all(-rank <= axis < rank for axis in axes)
        require(fits, f"has a {self.type_name} with the axes {axes}, of a weight of shape {shape_text(shape)}")

    def scaled(self, shape: tuple[int, ...], scale: float, mode: str, distribution: str) -> Distribution:
        """The distribution of this name and scale."""
        fan_in, fan_out = weight_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = scale / max(1.0, fans[mode])
        if distribution == "uniform":
            return distributions.Uniform(-sqrt(3 * variance), sqrt(3 * variance))
        if distribution == "untruncated_normal":
            return distributions.Normal(0.0, sqrt(variance))
        return distributions.TruncatedNormal(0.0, sqrt(variance) / TRUNCATED_STDDEV)


@INITIALIZERS.register()
class VarianceScaling(FanScaledInitializer):
    """Variance `scale / fan`, where the fan is the number of inputs, of outputs, or the mean of both."""

    formula = """
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = scale / max([1, fans[mode]])
        if distribution == "uniform":
            w = uniform(-sqrt(3 * variance), sqrt(3 * variance), shape)
        elif distribution == "untruncated_normal":
            w = normal(0, sqrt(variance), shape)
        else:
            w = truncated_normal(0, sqrt(variance) / 0.8796256610342398, shape)
    """
    scale: float = attr(1.0, doc="Scale of the variance.", above=0)
    mode: Literal["fan_in", "fan_out", "fan_avg"] = attr(
        "fan_in", doc="The fan: number of inputs, number of outputs, or their mean."
    )
    distribution: Literal["truncated_normal", "normal", "untruncated_normal", "uniform"] = attr(
        "truncated_normal", doc="The distribution; `normal` means `truncated_normal`, as in Keras."
    )
    seed: int | None = attr(None, doc=SEED_DOC)
    input_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("inputs"))
    output_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("outputs"))

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution:
        return self.scaled(shape, self.scale, self.mode, self.distribution)


class VarianceScalingPreset(FanScaledInitializer):
    """Variance scaling with a fixed scale, mode and distribution."""

    seed: int | None = attr(None, doc=SEED_DOC)
    input_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("inputs"))
    output_axes: tuple[int, ...] | None = attr(None, doc=FAN_AXES_DOC.format("outputs"))
    choices: ClassVar[tuple[float, str, str]]
    """Scale, mode and distribution."""

    def drawn_from(self, shape: tuple[int, ...]) -> Distribution:
        return self.scaled(shape, *self.choices)


@INITIALIZERS.register()
class GlorotUniform(VarianceScalingPreset):
    """Uniform distribution scaled by the numbers of inputs and outputs (Glorot and Bengio, 2010)."""

    formula = """
        limit = sqrt(6 / (fan_in + fan_out))
        w = uniform(-limit, limit, shape)
    """
    choices = 1.0, "fan_avg", "uniform"


@INITIALIZERS.register()
class GlorotNormal(VarianceScalingPreset):
    """Truncated normal distribution scaled by the numbers of inputs and outputs (Glorot and Bengio, 2010)."""

    formula = """
        stddev = sqrt(2 / (fan_in + fan_out))
        w = truncated_normal(0, stddev / 0.8796256610342398, shape)
    """
    choices = 1.0, "fan_avg", "truncated_normal"


@INITIALIZERS.register()
class HeUniform(VarianceScalingPreset):
    """Uniform distribution scaled by the number of inputs (He et al., 2015)."""

    formula = """
        limit = sqrt(6 / fan_in)
        w = uniform(-limit, limit, shape)
    """
    choices = 2.0, "fan_in", "uniform"


@INITIALIZERS.register()
class HeNormal(VarianceScalingPreset):
    """Truncated normal distribution scaled by the number of inputs (He et al., 2015)."""

    formula = """
        stddev = sqrt(2 / fan_in)
        w = truncated_normal(0, stddev / 0.8796256610342398, shape)
    """
    choices = 2.0, "fan_in", "truncated_normal"


@INITIALIZERS.register()
class LecunUniform(VarianceScalingPreset):
    """Uniform distribution scaled by the number of inputs (LeCun et al., 1998)."""

    formula = """
        limit = sqrt(3 / fan_in)
        w = uniform(-limit, limit, shape)
    """
    choices = 1.0, "fan_in", "uniform"


@INITIALIZERS.register()
class LecunNormal(VarianceScalingPreset):
    """Truncated normal distribution scaled by the number of inputs (LeCun et al., 1998)."""

    formula = """
        stddev = sqrt(1 / fan_in)
        w = truncated_normal(0, stddev / 0.8796256610342398, shape)
    """
    choices = 1.0, "fan_in", "truncated_normal"


@INITIALIZERS.register("orthogonal", "OrthogonalInitializer")
class Orthogonal(Initializer):
    """A random orthogonal matrix (Saxe et al., 2014). Its rows are all axes but the last, its columns the last axis."""

    formula = """
        rows, columns = prod(shape[:-1]), shape[-1]
        q, r = qr(normal(0, 1, (max([rows, columns]), min([rows, columns]))))
        q = q * sign(diag(r))
        w = gain * (q.T if rows < columns else q).reshape(shape)
    """
    gain: float = attr(1.0, doc="Factor on the matrix.")
    seed: int | None = attr(None, doc=SEED_DOC)

    @property
    def restricts_shape(self) -> bool:
        return True

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            len(shape) >= 2,
            f"cannot fill a weight of shape {shape_text(shape)} by {self.type_name}, which needs two axes or more",
        )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:

        self.check(shape)
        rows, columns = prod(shape[:-1]), shape[-1]
        q = _orthonormal_columns(rng.normal(size=(max(rows, columns), min(rows, columns))))
        return self.gain * (q.T if rows < columns else q).reshape(shape)


def _orthonormal_columns(matrix: np.ndarray) -> np.ndarray:
    """The factor Q of a random matrix Q R with a positive diagonal in R."""
    import numpy as np

    rows, columns = matrix.shape
    if matrix.size >= MIN_CHOLESKY_ELEMENTS and rows >= 2 * columns:  # which is well-conditioned
        return matrix @ _inverse_of_triangular(np.linalg.cholesky(matrix.T @ matrix)).T
    q, r = np.linalg.qr(matrix)
    return q * np.sign(np.diag(r))


def _inverse_of_triangular(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix by blocks, in a quarter of the time of a general inverse."""
    import numpy as np

    size = len(matrix)
    if size <= MAX_INVERTED_SIZE:
        return np.linalg.inv(matrix)
    half = size // 2
    above, below = (_inverse_of_triangular(block) for block in (matrix[:half, :half], matrix[half:, half:]))
    inverse = np.zeros_like(matrix)
    inverse[:half, :half], inverse[half:, half:] = above, below
    inverse[half:, :half] = -(below @ matrix[half:, :half] @ above)
    return inverse


@INITIALIZERS.register("identity", "IdentityInitializer")
class Identity(Initializer):
    """The identity matrix, for weights with two axes."""

    formula = "w = gain * eye(*shape)"
    gain: float = attr(1.0, doc="Factor on the matrix.")

    @property
    def restricts_shape(self) -> bool:
        return True

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            len(shape) == 2,
            f"cannot fill a weight of shape {shape_text(shape)} by {self.type_name}, which needs two axes",
        )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        import numpy as np

        self.check(shape)
        return self.gain * np.eye(shape[0], shape[1])


def weight_fans(
    shape: tuple[int, ...], input_axes: tuple[int, ...] | None, output_axes: tuple[int, ...] | None
) -> tuple[float, float]:
    """The numbers of inputs and of outputs that a weight connects, as Keras counts them."""
    if input_axes is not None and output_axes is not None:
        return prod(shape[axis] for axis in input_axes), prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    receptive_field = prod(shape[:-2])
    return shape[-2] * receptive_field, shape[-1] * receptive_field
