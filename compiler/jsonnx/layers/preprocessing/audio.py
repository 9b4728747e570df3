"""Layers that compute spectrograms of audio signals."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log, log2, pi
from typing import TYPE_CHECKING, Any, Literal

from ...core.components import attr
from ...core.limits import require_constant_size
from ...core.types import Dim, TensorType, rank_help, require
from ...training.numerics import EPSILON
from ...training.weights.window_functions import STFT, WINDOW_DOC, Window, require_window_length, window_coefficients
from ..base import Layer, layer, padding_mask, require_real
from ..convolution.convolution import onnx_kernel
from ..sliding_window import DATA_FORMAT, PADDING, DataFormat, Padding, SlidingWindows, channel_axis, require_spatial
from .numerical import float_type

if TYPE_CHECKING:
    import numpy as np

    from ...ir import Builder, Value


@layer
class STFTSpectrogram(Layer):
    """Spectrogram of a signal: a short-time Fourier transform, by convolutions with trainable Fourier kernels.

    `log` is the logarithm of the magnitude, `psd` its square, doubled except for the first and last frequency; `stft`
    the real and imaginary part, concatenated. There are `fft_length / 2 + 1` frequencies per channel.
    """

    formula = """
        w = windows(x, frame_length, frame_step or frame_length // 2, padding)
        r = einsum("ntkc,kf->ntcf", w, real_kernel[:, 0])
        i = einsum("ntkc,kf->ntcf", w, imag_kernel[:, 0])
        magnitude = sqrt(maximum(r ** 2 + i ** 2, 1e-7))
        psd = (r ** 2 + i ** 2) * hstack([1, full(r.shape[-1] - 2, 2), 1])
        results = {"magnitude": magnitude, "log": log(maximum(magnitude, 1e-7)), "psd": psd}
        results |= {"real": r, "imag": i, "angle": arctan2(i, r)}
        results |= {"stft": concatenate([r, i], axis=-1)}
        y = results[mode]
        y = swapaxes(y, 2, 3) if expand_dims else y.reshape(*y.shape[:2], -1)
    """
    has_weights = True
    mode: Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"] = attr("log", doc="What to compute.")
    frame_length: int = attr(256, doc="Number of samples per frame.", minimum=1)
    frame_step: int | None = attr(
        None, doc="Number of samples between the starts of frames; null for half a frame.", minimum=1
    )
    fft_length: int | None = attr(
        None, doc="Size of the transform, at least frame_length; null for the next power of 2.", minimum=2
    )
    window: Window | None = attr("hann", doc=WINDOW_DOC)
    periodic: bool = attr(False, doc="Whether the window is periodic rather than symmetric.")
    scaling: Literal["density", "spectrum"] | None = attr(
        "density", doc="How to scale the window; null for no scaling."
    )
    mixes_steps = True

    padding: Padding = attr("valid", doc=PADDING)
    expand_dims: bool = attr(False, doc="Whether to keep a separate channel axis, as in images.")
    data_format: DataFormat | None = attr(None, doc=DATA_FORMAT)

    @property
    def resolved_frame_step(self) -> int:
        return self.frame_step or self.frame_length // 2

    @property
    def frequency_bins(self) -> int:
        return (self.fft_length or 2 ** ceil(log2(self.frame_length))) // 2 + 1

    @property
    def windows(self) -> SlidingWindows:
        return SlidingWindows(
            (self.frame_length,), (self.resolved_frame_step,), self.padding, (1,), window_name="frame"
        )

    def infer(self, x: TensorType) -> TensorType:
        require_real(x)
        require_spatial(x, 1, self.data_format)
        length = self.frame_length
        text = f"has a frame_step of {self.resolved_frame_step} for frames of {length}"
        require(1 <= self.resolved_frame_step <= length, text, f"use a step of 1 to {length} samples")
        require(
            self.frequency_bins > 1,
            "has a fft_length of 1, which leaves no frequency",
            "use frames of 2 samples or more",
        )
        fits = self.fft_length is None or self.fft_length >= length
        require(fits, f"has a fft_length of {self.fft_length}, less than the frame_length of {length}")
        require_window_length(self.window, length)
        channels = x.static_size(channel_axis(3, self.data_format))
        frames = self.windows.output_type(x, self.data_format, channels).shape[2 if self.is_channels_first else 1]
        bins = self.frequency_bins * (2 if self.mode == "stft" else 1)
        parts = [channels, frames, bins] if self.is_channels_first else [frames, bins, channels]
        flat = [channels * bins, frames] if self.is_channels_first else [frames, channels * bins]
        return x.with_shape((x.shape[0], *(parts if self.expand_dims else flat)))

    @property
    def is_channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        mask = self.windows.output_mask(masks[0], inputs[0], self.data_format) if self.padding == "valid" else None
        if mask is None or not self.is_channels_first:
            return mask
        return mask.moved(2)

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        return None if masks[0] is None else self.windows.lower_mask(g, masks[0])

    def lower(self, g: Builder, x: Value) -> Any:
        output_type = self.infer(x.type)
        x = x if self.is_channels_first else g.transpose(x, [0, 2, 1])
        y = self.spectrum(g, x)  # [batch, channels, bins, frames]
        if self.expand_dims:
            y = g.transpose(y, [0, 1, 3, 2] if self.is_channels_first else [0, 3, 2, 1])
        else:
            flat = (y.shape[0], y.shape[1] * y.shape[2], y.shape[3])
            y = g.refine(g.Reshape(y, [0, flat[1], -1]), flat)
            y = y if self.is_channels_first else g.transpose(y, [0, 2, 1])
        y = g.refine(y, output_type.shape)
        return g.Log(g.Max(y, EPSILON)) if self.mode == "log" else y

    def spectrum(self, g: Builder, x: Value) -> Value:
        if self.mode in ("real", "imag"):
            return self.fourier_part(g, x, self.mode)
        real, imaginary = self.fourier_part(g, x, "real"), self.fourier_part(g, x, "imag")
        if self.mode == "stft":
            return g.Concat(real, imaginary, axis=2)
        if self.mode == "angle":
            return atan2(g, imaginary, real)
        power = g.Add(g.Mul(real, real), g.Mul(imaginary, imaginary))
        if self.mode == "psd":
            factors = [1.0, *[2.0] * (self.frequency_bins - 2), 1.0]
            return g.Mul(power, g.const([[[factor] for factor in factors]], x.dtype))
        return g.Sqrt(g.Max(power, EPSILON))

    def fourier_part(self, g: Builder, x: Value, side: Literal["real", "imag"]) -> Value:
        """Convolves each channel of [batch, channels, steps] with a Fourier kernel: [batch, channels, bins, frames]."""
        initializer = STFT(side=side, window=self.window, scaling=self.scaling, periodic=self.periodic)
        kernel = g.param(f"{side}_kernel", (self.frame_length, 1, self.frequency_bins), initializer)
        batch, channels, steps = x.shape
        rows = g.refine(g.Unsqueeze(x, [2]), (batch, channels, 1, steps))
        rows = g.refine(g.Reshape(rows, g.sizes((-1, 1, steps), x)), (batch * channels, 1, steps))
        output_type = self.windows.output_type(rows.type, "channels_first", self.frequency_bins)
        y = g.refine(g.Conv(rows, onnx_kernel(g, kernel), **self.windows.onnx_attributes([steps])), output_type.shape)
        shape = (batch, channels, self.frequency_bins, output_type.shape[2])
        return g.refine(g.Reshape(y, g.sizes((-1, channels, self.frequency_bins, output_type.shape[2]), y)), shape)


def atan2(g: Builder, y: Value, x: Value) -> Value:
    """Emits `atan2(y, x)`."""
    is_vertical, is_below = g.Equal(x, 0.0), g.Less(y, 0.0)
    slope = g.Atan(g.Div(y, g.Where(is_vertical, g.const(1.0, x.dtype), x)))
    offset = g.Where(is_below, g.const(-pi, x.dtype), g.const(pi, x.dtype))
    angle = g.Where(g.Less(x, 0.0), g.Add(slope, offset), slope)
    return g.Where(is_vertical, g.Mul(g.Sign(y), pi / 2), angle)


@layer
class MelSpectrogram(Layer):
    """Mel spectrogram of a signal [batch, samples]: the power in bands of equal width on the mel scale, per frame.

    Magnitudes of a frame's Fourier transform, to the power of `mag_exp`, are summed with triangular weights per band.
    Half a transform of padding at both ends reflects the signal, repeatedly if it is short. Decibels are clipped to
    `top_db` below the batch's maximum.

    Behind a SequenceMask, frames that reach beyond the end of the signal are masked, so that its reflection there has
    no effect.
    """

    formula = """
        def mel(frequency):
            return 1127 * log(1 + frequency / 700)

        length = sequence_length or fft_length
        before = (fft_length - length) // 2
        weights = ones(fft_length)
        if window is not None:
            sides = (before, fft_length - length - before)
            weights = pad(window_values(window, length, True), sides)
        signal = pad(x, [(0, 0), (fft_length // 2, fft_length // 2)], "reflect")
        frames = windows(signal[..., None], fft_length, sequence_stride)[..., 0]
        power = abs(fft.rfft(frames * weights)) ** mag_exp
        edges = linspace(mel(min_freq), mel(max_freq or sampling_rate // 2), num_mel_bins + 2)
        low, centre, high = edges[:-2], edges[1:-1], edges[2:]
        f = mel(linspace(0, sampling_rate / 2, fft_length // 2 + 1))[:, None]
        triangles = minimum((f - low) / (centre - low), (high - f) / (high - centre))
        bands = power @ maximum(triangles, 0)
        if power_to_db:
            bands = 10 * log10(maximum(bands, min_power) / maximum(abs(ref_power), min_power))
            bands = maximum(bands, max(bands) - top_db)
        y = swapaxes(bands, 1, 2)
    """
    mixes_steps = True

    fft_length: int = attr(2048, doc="Size of the transform.", minimum=2)
    sequence_stride: int = attr(512, doc="Number of samples between the starts of frames.", minimum=1)
    sequence_length: int | None = attr(None, doc="Number of samples per frame; null for fft_length.", minimum=1)
    window: Window | None = attr("hann", doc=WINDOW_DOC)
    sampling_rate: float = attr(16000, doc="Samples per second.", above=0)
    num_mel_bins: int = attr(128, doc="Number of mel bands.", minimum=1)
    min_freq: float = attr(20.0, doc="Lower end of the lowest band, in hertz.", minimum=0)
    max_freq: float | None = attr(
        None, doc="Upper end of the highest band, in hertz; null for half the sampling rate.", above=0
    )
    power_to_db: bool = attr(True, doc="Whether to convert power to decibels.")
    top_db: float = attr(80.0, doc="Dynamic range: decibels are clipped to this far below the maximum.")
    mag_exp: float = attr(2.0, doc="Exponent of the magnitude: 1 for magnitude, 2 for power.")
    min_power: float = attr(1e-10, doc="Lower bound of the power in the logarithm.", above=0)
    ref_power: float = attr(1.0, doc="Power that corresponds to 0 decibels.")

    @property
    def always_mixes_samples(self) -> bool:
        """Decibels are relative to the maximum of the batch."""
        return self.power_to_db

    @property
    def frame_length(self) -> int:
        return self.sequence_length or self.fft_length

    @property
    def frequency_bins(self) -> int:
        return self.fft_length // 2 + 1

    @property
    def highest_frequency(self) -> float:
        return self.max_freq or int(self.sampling_rate / 2)

    def frame_count(self, samples: Dim) -> Dim:
        """The number of frames of the signal, padded by half a transform at both ends."""
        return (samples + self.fft_length // 2 * 2 - self.fft_length) // self.sequence_stride + 1

    def infer(self, x: TensorType) -> TensorType:
        require(x.rank == 2, f"needs an input of rank 2, [batch, samples], got {x}", rank_help(x, 2))
        supported = self.window is None or not isinstance(self.window, str) or self.window in ("hann", "hamming")
        require(supported, f"cannot use the window {self.window!r}", "choose 'hann' or 'hamming', or give its values")
        require_window_length(self.window, self.frame_length)
        text = f"has frames of {self.frame_length} samples, more than the fft_length of {self.fft_length}"
        require(self.frame_length <= self.fft_length, text)
        text = f"has bands from {self.min_freq} to {self.highest_frequency} hertz"
        require(self.min_freq < self.highest_frequency, text, "min_freq has to be below max_freq")
        require(x.shape[1] != 0, f"needs at least one sample, got {x}")
        for columns in (self.fft_length, self.num_mel_bins):
            text = f"needs a matrix of {self.frequency_bins} frequencies times {columns} numbers"
            require_constant_size(text, self.frequency_bins, columns)
        return float_type(x).with_shape((x.shape[0], self.num_mel_bins, self.frame_count(x.shape[1])))

    def infer_mask(self, inputs: Sequence[TensorType], masks: Sequence[TensorType | None]) -> TensorType | None:
        mask = padding_mask(masks[0])
        return None if mask is None else mask.with_steps(self.frame_count(mask.shape[1])).moved(2)

    def lower_mask(self, g: Builder, inputs: Sequence[Value], masks: Sequence[Value | None]) -> Value | None:
        """Emits whether the last sample of each frame is in the signal."""
        mask = masks[0]
        if mask is None:
            return None
        ends = g.Add(self.frame_starts(g, inputs[0]), self.fft_length - 1)
        lengths = g.ReduceSum(g.cast(mask, "int64"), [1], keepdims=1)
        return g.Less(g.Unsqueeze(ends, [0]), lengths)

    def lower(self, g: Builder, x: Value) -> Any:
        output_type = self.infer(x.type)
        power = self.power_spectrum(g, g.cast(x, g.float_dtype))
        bands = g.MatMul(power, g.const(self.mel_weights()))
        if self.power_to_db:
            bands = self.decibels(g, bands)
        return g.refine(g.transpose(bands, [0, 2, 1]), output_type.shape)

    def power_spectrum(self, g: Builder, x: Value) -> Value:
        """Emits magnitudes to the power of mag_exp, [batch, frames, bins]."""
        frames = g.Gather(x, self.sample_indices(g, x), axis=1)
        products = g.Mul(
            g.positions(self.frequency_bins, "int64"), g.positions(self.fft_length, "int64", shape=(-1, 1))
        )
        remainders = g.Sub(products, g.Mul(g.Div(products, self.fft_length), self.fft_length))  # for precision
        angle = g.Mul(g.cast(remainders, x.dtype), 2 * pi / self.fft_length)
        window = g.const(self.window_values()[:, None], x.dtype)
        parts = [g.MatMul(frames, g.Mul(wave, window)) for wave in (g.Cos(angle), g.Sin(angle))]
        power = g.Add(g.Mul(parts[0], parts[0]), g.Mul(parts[1], parts[1]))
        if not 0 < self.mag_exp < 2:
            return power if self.mag_exp == 2 else g.Pow(power, self.mag_exp / 2)
        audible = g.Greater(power, 0.0)  # at power 0 the gradient of the root is infinite
        return g.Where(audible, g.Pow(g.Where(audible, power, 1.0), self.mag_exp / 2), 0.0)

    def sample_indices(self, g: Builder, x: Value) -> Value:
        """Emits the signal index of every sample of every frame, [frames, fft_length], reflected at the ends."""
        offsets = g.positions(self.fft_length, "int64")
        starts, last = self.frame_starts(g, x), self.last_sample(g, x)
        period = g.Max(g.Mul(last, 2), 1)  # a signal shorter than the padding is reflected repeatedly
        phase = g.Mod(g.Add(g.Unsqueeze(starts, [1]), offsets), period)
        return g.Sub(last, g.Abs(g.Sub(last, phase)))

    def last_sample(self, g: Builder, x: Value) -> Value:
        """Emits the index of the last sample of the signal."""
        samples = x.shape[1]
        if isinstance(samples, int):
            last: Value = g.const(samples - 1, "int64")
            return last
        return g.Sub(g.Squeeze(g.Shape(x, start=1, end=2), [0]), 1)

    def frame_starts(self, g: Builder, x: Value) -> Value:
        """Emits the signal index of the first sample of every frame."""
        half, frames = self.fft_length // 2, self.frame_count(x.shape[1])
        if isinstance(frames, int):
            starts: Value = g.positions(frames, "int64", first=-half, step=self.sequence_stride)
            return starts
        end = g.Add(self.last_sample(g, x), 2 + half * 2 - self.fft_length - half)
        return g.refine(g.Range(g.const(-half, "int64"), end, g.const(self.sequence_stride, "int64")), [frames])

    def window_values(self) -> np.ndarray:
        """The window function's values, centered within the transform length."""
        import numpy as np

        window = (
            np.ones(self.frame_length)
            if self.window is None
            else window_coefficients(self.window, self.frame_length, periodic=True)
        )
        before = (self.fft_length - self.frame_length) // 2
        if self.window is None:
            return np.ones(self.fft_length)
        return np.pad(window, (before, self.fft_length - self.frame_length - before))

    def mel_weights(self) -> np.ndarray:
        """The weight of each frequency in each band, [bins, bands], computed in float32 as in Keras."""
        import numpy as np

        def mel(frequency: Any) -> Any:
            return np.float32(1127.0) * np.log(np.float32(1) + frequency / np.float32(700.0))

        def line(start: Any, stop: Any, count: int) -> np.ndarray:
            step = np.arange(count - 1, dtype=np.float32) / np.float32(count - 1)
            return np.append(start * (np.float32(1) - step) + stop * step, stop).astype(np.float32)

        spectrum = mel(line(np.float32(0), np.float32(self.sampling_rate / 2), self.frequency_bins)[1:])[:, None]
        edges = line(mel(np.float32(self.min_freq)), mel(np.float32(self.highest_frequency)), self.num_mel_bins + 2)
        low, centre, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (spectrum - low) / (centre - low), (high - spectrum) / (high - centre)
        return np.pad(np.maximum(0, np.minimum(rising, falling)), [(1, 0), (0, 0)])

    def decibels(self, g: Builder, power: Value) -> Value:
        factor = 10 / log(10)
        level = g.Mul(g.Log(g.Max(power, self.min_power)), factor)
        level = g.Sub(level, factor * log(max(abs(self.ref_power), self.min_power)))
        return g.Max(level, g.Sub(g.ReduceMax(level, keepdims=0), self.top_db))
