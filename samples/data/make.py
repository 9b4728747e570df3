# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "mlxtend==0.25.0",
#     "numpy==2.4.6",
#     "palmerpenguins==0.1.6",
#     "scikit-learn==1.9.1",
#     "sktime==1.2.0",
# ]
# ///
"""Make the sample data files in this folder from data carried by PyPI packages.

    python make.py [FOLDER]        # default: the folder this script lies in

Nothing is downloaded but the source of one package: mlxtend carries 5,000 MNIST images, sktime the Japanese
Vowels, scikit-learn the diabetes and digits tables, palmerpenguins the penguins, the
source of vaderSentiment 3.3.2 the movie reviews. Two runs give the same
bytes: every shuffle is seeded, and numpy stamps the members of an .npz with a
fixed date. (Another zlib may compress to other bytes; the arrays stay equal.)

The .md file beside each family says what the data is, where it comes from and
under which licence.
"""

import csv
import io
import subprocess
import sys
import tarfile
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from sklearn.datasets import load_diabetes, load_digits

STEPS = 29  # the longest utterance of the Japanese Vowels, in frames


def split(n, n_test, label=None):
    """Row numbers (train, test), shuffled; stratified where labels are given.

    RandomState, not default_rng: numpy promises never to change its stream.
    """
    random = np.random.RandomState(0)
    order = random.permutation(n)
    if label is not None:
        # Each row's place among the shuffled rows of its class, scaled to
        # 0..1: the n_test lowest places take the same share of every class.
        place = np.empty(n)
        for c in np.unique(label):
            rows = order[label[order] == c]
            place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        order = order[np.argsort(place[order], kind="stable")]
    return random.permutation(order[n_test:]), random.permutation(order[:n_test])


def save_images(folder, name, image, label, n_test):
    """Write name_train.npz and name_test.npz with `image` and `label`."""
    for part, rows in zip(("train", "test"), split(len(label), n_test, label), strict=True):
        np.savez_compressed(
            folder / f"{name}_{part}.npz",
            image=image[rows].astype(np.uint8),
            label=label[rows].astype(np.uint8),
        )


def mnist(folder):
    image, label = mnist_data()
    save_images(folder, "mnist", image.reshape(-1, 28, 28), label, 1000)


def digits(folder):
    data = load_digits()
    save_images(folder, "digits", data.images, data.target, 360)
    few(folder, "digits", 5)


def few(folder, name, count):
    """Write name_few.npz: the first `count` images of every class of the training part, in its order."""
    part = np.load(folder / f"{name}_train.npz")
    first = [np.flatnonzero(part["label"] == label)[:count] for label in np.unique(part["label"])]
    rows = np.sort(np.concatenate(first))
    np.savez_compressed(folder / f"{name}_few.npz", image=part["image"][rows], label=part["label"][rows])


def vowels(folder):
    """The archive's own split, in its own order, padded with zeros at the end."""
    source = resources.files("sktime") / "datasets" / "data" / "JapaneseVowels"
    for part in ("train", "test"):
        text = (source / f"JapaneseVowels_{part.upper()}.ts").read_text("utf-8")
        lines = text.split("@data", 1)[1].split()
        frames = np.zeros((len(lines), STEPS, 12), np.float32)
        speaker = np.zeros(len(lines), np.uint8)
        for i, line in enumerate(lines):  # channel:channel:...:label
            *channels, label = line.split(":")
            values = np.array([c.split(",") for c in channels], np.float32).T
            frames[i, : len(values)] = values
            speaker[i] = int(label) - 1
        np.savez_compressed(folder / f"vowels_{part}.npz", frames=frames, speaker=speaker)


def diabetes(folder):
    data = load_diabetes(scaled=False)
    table = np.column_stack([data.data, data.target])
    header = ",".join([*data.feature_names, "progression"])
    for part, rows in zip(("train", "test"), split(len(table), 100), strict=True):
        lines = [header]
        for row in table[rows]:
            lines.append(",".join(np.format_float_positional(v, trim="-") for v in row))
        path = folder / f"diabetes_{part}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def save_table(path, header, rows):
    """Write a .csv file."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def penguins(folder):
    """Rows without measurements are left out; a sex that nobody noted is an empty string."""
    source = resources.files("palmerpenguins") / "data" / "penguins.csv"
    header, *rows = csv.reader(source.read_text("utf-8").splitlines())
    rows = [row[:7] for row in rows if "NA" not in row[2:6]]
    rows = [[*row[:6], row[6].replace("NA", "")] for row in rows]
    for part, picked in zip(("train", "test"), split(len(rows), 82, np.array([r[0] for r in rows])), strict=True):
        save_table(folder / f"penguins_{part}.csv", header[:7], [rows[index] for index in picked])


CLEAR = 1.5  # the mean of 20 people's ratings from -4 to 4, beyond which a review is clearly for or against


def reviews(folder):
    """Snippets of movie reviews that people found clearly positive or negative."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    inside = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([*command, "-d", place, "vaderSentiment==3.3.2"], check=True)
        with tarfile.open(Path(place) / "vaderSentiment-3.3.2.tar.gz") as package:
            archive = io.BytesIO(package.extractfile(inside).read())
    with tarfile.open(fileobj=archive) as resources_:
        text = resources_.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode()
    found = [line.split("\t") for line in text.splitlines()]
    clear = [(float(rating), snippet.strip()) for _, rating, snippet in found if abs(float(rating)) >= CLEAR]
    rows = [["positive" if rating > 0 else "negative", snippet] for rating, snippet in clear]
    for part, picked in zip(("train", "test"), split(len(rows), 1000, np.array([r[0] for r in rows])), strict=True):
        save_table(folder / f"reviews_{part}.csv", ["sentiment", "review"], [rows[index] for index in picked])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target.mkdir(parents=True, exist_ok=True)
    for make in (mnist, vowels, diabetes, digits, penguins, reviews):
        make(target)
