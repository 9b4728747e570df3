"""Models of scikit-learn with default arguments, behind the usual preprocessing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .data_sets import DataSet

LINEAR, FOREST, BOOSTING = "linear model", "random forest", "gradient boosting"
ESTIMATORS = {
    LINEAR: (lambda: LogisticRegression(max_iter=5_000), Ridge),
    FOREST: (RandomForestClassifier, RandomForestRegressor),
    BOOSTING: (HistGradientBoostingClassifier, HistGradientBoostingRegressor),
}
MIN_WORDS = 3
"""The greatest mean number of words of a category; longer values are texts."""


def score(name: str, data: DataSet, train: np.ndarray, test: np.ndarray) -> float:
    """The metric of a model of scikit-learn, fitted to some rows, on other rows; NaN if it cannot read them."""
    estimator = ESTIMATORS[name][0 if data.has_classes else 1]()
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    features, target = _features(data), data.rows[data.target]
    encoders = _encoders(features)
    if name == BOOSTING and encoders.sparse_threshold:
        return float("nan")
    model = Pipeline([("columns", encoders), ("estimator", estimator)])
    model.fit(features.iloc[train], target.iloc[train])
    if data.metric == "auc":
        return float(roc_auc_score(target.iloc[test], model.predict_proba(features.iloc[test])[:, 1]))
    return float(model.score(features.iloc[test], target.iloc[test]))


def _features(data: DataSet) -> pd.DataFrame:
    """The columns of the inputs: dates as numbers, and images as a column for each pixel."""
    if data.is_image:
        return pd.DataFrame(np.stack(data.rows["image"].to_list()).reshape(len(data.rows), -1)).add_prefix("pixel")
    features = data.rows.drop(columns=[data.target])
    for name in features.columns:
        dates = _dates(features[name])
        if dates is None:
            continue
        parts = ("year", "month", "day", "dayofweek", "hour")
        numbers = pd.DataFrame({f"{name} {part}": getattr(dates.dt, part) for part in parts})
        features = pd.concat([features.drop(columns=[name]), numbers], axis=1)
    return features


def _dates(column: pd.Series) -> pd.Series | None:
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    texts = column.dropna()
    if column.dtype == object and isinstance(texts.iloc[0], str) and texts.str.match(r"\d{4}-\d\d-\d\d").all():
        return pd.to_datetime(column)
    return None


def _encoders(features: pd.DataFrame) -> ColumnTransformer:
    """Scaled numbers, one-hot vectors of categories, frequencies of the words of texts."""
    numbers = [name for name in features.columns if pd.api.types.is_numeric_dtype(features[name])]
    texts = {name: features[name].dropna() for name in features.columns if name not in numbers}
    long = [name for name, values in texts.items() if values.str.split().str.len().mean() > MIN_WORDS]
    categories = [name for name, values in texts.items() if name not in long and values.nunique() * 2 <= len(values)]
    number_steps = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    category_steps = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="unknown"), OneHotEncoder(handle_unknown="ignore")
    )
    return ColumnTransformer(
        [
            ("numbers", number_steps, numbers),
            ("categories", category_steps, categories),
            *((name, TfidfVectorizer(), name) for name in long),
        ],
        sparse_threshold=0.3 if long else 0.0,
    )
