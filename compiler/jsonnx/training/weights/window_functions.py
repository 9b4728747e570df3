"""Window functions of signal processing, and the initializer for the kernels of a short-time Fourier transform.

The windows are the ones of `scipy.signal.get_window` without parameters (Harris, 1978), under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ...core.components import ArrayCodec, NumberCodec, ScalarCodec, UnionCodec, attr
from ...core.types import Dim, require, shape_text
from .initializers import INITIALIZERS, Initializer

if TYPE_CHECKING:
    import numpy as np

COSINE_WINDOWS: dict[str, tuple[float, ...]] = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
"""The coefficients a of windows of the form `sum of a[k] * cos(k * t)`, for t from -pi to pi."""


def _other_windows() -> dict[str, Callable[[Any], Any]]:
    """The other windows, as functions of t from -1 to 1."""
    import numpy as np

    return {
        "bartlett": lambda t: 1 - abs(t),
        "barthann": lambda t: 0.62 - 0.48 * abs(t / 2) + 0.38 * np.cos(np.pi * t),
        "bohman": lambda t: np.where(abs(t) < 1, (1 - abs(t)) * np.cos(np.pi * t) + np.sin(np.pi * abs(t)) / np.pi, 0),
        "tukey": lambda t: np.where(abs(t) <= 0.5, 1, 0.5 * (1 - np.cos(2 * np.pi * t))),
    }


WINDOW_NAMES = (*COSINE_WINDOWS, "bartlett", "barthann", "bohman", "tukey")

Window = Annotated[
    Any,
    UnionCodec(
        (lambda value: isinstance(value, str), ScalarCodec(type="string", enum=list(WINDOW_NAMES))),
        (lambda value: True, ArrayCodec(NumberCodec())),
    ),
]
"""The name of a window, or its values."""

WINDOW_DOC = "Window by which frames are multiplied: its name, or its values; null for none."


def window_coefficients(window: Any, length: int, periodic: bool) -> np.ndarray:
    """The values of a window: symmetric, or if `periodic`, the symmetric window that is one longer without its last
    value."""
    import numpy as np

    if not isinstance(window, str):
        return np.asarray(window, np.float64)
    if length <= 1:
        return np.ones(length)
    t = np.linspace(-1, 1, length + periodic)
    if window in COSINE_WINDOWS:
        values = sum(a * np.cos(k * np.pi * t) for k, a in enumerate(COSINE_WINDOWS[window]))
    else:
        values = _other_windows()[window](t)
    return np.asarray(values)[:length]


def require_window_length(window: Any, length: int) -> None:
    """Raises ShapeError if a window is given by values whose number is not the length of a frame."""
    fits = window is None or isinstance(window, str) or len(window) == length
    require(fits, f"has a window of {0 if window is None else len(window)} values for frames of {length}")


@INITIALIZERS.register("stft", "STFTInitializer")
class STFT(Initializer):
    """Kernels [length, 1, bins] of a short-time Fourier transform.

    The window is divided by the root of the sum of its squares (`density`), or by the sum of its absolute values
    (`spectrum`).
    """

    formula = """
        length, _, bins = shape
        angle = -2 * pi * arange(length)[:, None, None] * arange(bins) / (2 * (bins - 1))
        window = window_values(window, length, periodic)[:, None, None]
        norm = {"density": sqrt(sum(window ** 2)), "spectrum": sum(abs(window)), None: 1}[scaling]
        w = (cos(angle) if side == "real" else sin(angle)) * window / norm
    """
    side: Literal["real", "imag"] = attr("real", doc="The part of the transform that the kernels compute.")
    window: Window | None = attr("hann", doc=WINDOW_DOC)
    scaling: Literal["density", "spectrum"] | None = attr("density", doc="Scaling of the window; null for none.")
    periodic: bool = attr(False, doc="Whether the window is one period of a periodic function, rather than symmetric.")

    @property
    def restricts_shape(self) -> bool:
        return True

    def check(self, shape: Sequence[Dim]) -> None:
        require(
            len(shape) == 3 and shape[1] == 1 and shape[2] != 1,
            f"fills kernels of the shape [length, 1, bins], not {shape_text(shape)}",
        )
        if isinstance(shape[0], int):
            require_window_length(self.window, shape[0])

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
        """Computed in float32, as in Keras: the angles are large, so that rounding matters."""
        import numpy as np

        self.check(shape)
        length, _, bins = shape
        f32 = np.float32
        frequency = np.arange(bins, dtype=f32) / f32((bins - 1) * 2)
        angle = f32(-2) * np.arange(length, dtype=f32)[:, None, None] * frequency * f32(np.pi)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is None:
            return kernel
        window = window_coefficients(self.window, length, self.periodic).astype(f32)[:, None, None]
        norm = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(abs(window)), None: f32(1)}[self.scaling]
        return kernel * window / norm
