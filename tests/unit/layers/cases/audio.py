"""Spectrograms."""

from . import Case

FIRST = {"data_format": "channels_first"}
STFT = {"type": "STFTSpectrogram", "frame_length": 8, "frame_step": 3}
MEL = {"type": "MelSpectrogram", "fft_length": 16, "sequence_stride": 5, "num_mel_bins": 3, "min_freq": 500}

UNEVEN = {
    "power_to_db": False,
    "mag_exp": 1,
    "window": list(range(1, 17)),
}  # an asymmetric window: every frequency has power

CASES = [
    *(
        Case(f"stft-{mode}", {**STFT, "mode": mode}, [(17, 2)], smooth=mode != "angle")
        for mode in ("magnitude", "psd", "real", "imag", "angle", "stft")
    ),
    Case("stft-log", {**STFT, "frame_length": 16}, [(20, 2)], smooth=False),
    Case("stft-first", {**STFT, "mode": "magnitude", **FIRST}, [(2, 17)]),
    Case("stft-expand", {**STFT, "mode": "stft", "expand_dims": True}, [(17, 2)]),
    Case("stft-expand-first", {**STFT, "mode": "magnitude", "expand_dims": True, **FIRST}, [(2, 17)]),
    Case("stft-same", {**STFT, "mode": "magnitude", "padding": "same"}, [(17, 1)]),
    Case("stft-same-first", {**STFT, "mode": "real", "padding": "same", **FIRST}, [(2, 16)]),
    Case("stft-window", {**STFT, "mode": "imag", "window": [1, 2, 3, 4, 5, 6, 7, 8]}, [(17, 1)]),
    Case("stft-no-window", {**STFT, "mode": "psd", "window": None, "fft_length": 11}, [(17, 1)]),
    Case("stft-hamming", {**STFT, "mode": "psd", "window": "hamming", "periodic": True}, [(17, 1)]),
    Case("stft-spectrum", {**STFT, "frame_length": 5, "mode": "psd", "scaling": "spectrum"}, [(17, 1)]),
    Case("stft-unscaled", {**STFT, "mode": "psd", "scaling": None, "window": "flattop"}, [(17, 1)]),
    Case("mel", {**MEL, "power_to_db": False, "mag_exp": 0.5}, [(40,)]),
    Case("mel-db", MEL, [(40,)]),
    Case("mel-db-top", {**MEL, "top_db": 5, "ref_power": 2, "min_power": 0.1}, [(40,)], smooth=False),
    Case("mel-magnitude", {**MEL, "power_to_db": False, "mag_exp": 1, "window": "hamming"}, [(33,)]),
    Case(
        "mel-short-frames",
        {**MEL, "power_to_db": False, "mag_exp": 0.5, "sequence_length": 9, "max_freq": 6000},
        [(24,)],
    ),
    Case("mel-odd", {**MEL, "power_to_db": False, "mag_exp": 0.5, "fft_length": 15, "window": None}, [(24,)]),
    Case("mel-shorter-than-its-margin", {**MEL, **UNEVEN}, [(3,)]),
    Case("mel-of-one-sample", {**MEL, **UNEVEN}, [(1,)]),
    Case("mel-integers", MEL, [(40,)], integers=100),
    Case("mel-default", {"type": "MelSpectrogram"}, [(3000,)], integers=100),
]
