"""Augmentation layers, which in a graph return their input, except for RandomCrop, which crops the center."""

from . import Case

FIRST = {"data_format": "channels_first"}


def case(kind: str, name: str = "", shape: tuple[int, ...] = (5, 6, 3), **arguments: object) -> Case:
    return Case(f"{kind}{name}", {"type": kind, **arguments}, [shape])


CASES = [
    case("RandomFlip"),
    case("RandomFlip", "-first", shape=(3, 5, 6), mode="vertical", **FIRST),
    Case("RandomFlip-integers", {"type": "RandomFlip"}, [(5, 6, 3)], integers=255),
    case("RandomRotation", factor=0.2),
    case("RandomRotation", "-two", factor=[0.1, -0.3], fill_mode="constant", fill_value=3, interpolation="nearest"),
    case("RandomZoom", height_factor=0.2),
    case("RandomZoom", "-two", height_factor=[-0.2, 0.3], width_factor=0.1),
    case("RandomTranslation", height_factor=0.2, width_factor=[0.1, 0.2]),
    case("RandomShear", x_factor=0.2, y_factor=[0.1, 0.3]),
    case("RandomPerspective"),
    case("RandomElasticTransform"),
    case("RandomCrop", height=3, width=4),
    case("RandomCrop", "-larger", height=7, width=4),
    case("RandomCrop", "-first", shape=(3, 5, 6), height=4, width=4, **FIRST),
    case("RandomBrightness", factor=0.2),
    case("RandomContrast", factor=[0.2, 0.3], value_range=[0, 1]),
    case("RandomSaturation", factor=0.8),
    case("RandomHue", factor=0.2),
    case("RandomColorJitter", brightness_factor=0.2, hue_factor=[0.1, 0.2]),
    case("RandomColorDegeneration", factor=0.5),
    case("RandomGrayscale"),
    case("RandomInvert"),
    case("RandomPosterization", factor=4),
    case("Solarization", addition_factor=0.2, threshold_factor=[0.3, 0.5]),
    case("RandomSharpness", factor=0.5),
    case("RandomGaussianBlur", kernel_size=[3, 5]),
    case("MixUp"),
    case("CutMix", factor=[0.2, 0.8]),
    case("RandAugment", num_ops=3),
    case("AugMix", "-few", shape=(5, 6, 1), all_ops=False, alpha=0.5, value_range=[0, 1]),
    case("RandomErasing", scale=[0.1, 0.2], fill_value=[1, 2, 3]),
]
