"""DateFeatures against Python's calendar, and dates in data files."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from math import cos, pi, sin
from random import Random

import jsonnx
import numpy as np
import pytest
from jsonnx.core.date_formats import DATE_FORMATS, is_date
from jsonnx.core.diagnostics import CompileError

FEATURES = ["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "days"]
FORMATS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", " %Y-%m-%dT%H:%M:%S.25+05:30"]
INVALID = ["", "2023-02-29", "1900-02-29", "2026-13-01", "2026-00-01", "2026-04-31", "0000-01-01", "27.11.2026"]
INVALID += ["2026-11-27T24:00", "2026-11-27T10", "2026-11-27x", "26-11-27", "2026-1-1", "NA", "2026-11-27 ٣٣:00"]


def session(shape=(), **arguments):
    layer = {"type": "DateFeatures", "name": "when", **arguments}
    spec = {"inputs": {"x": {"shape": list(shape), "dtype": "string"}}, "layers": [layer]}
    return jsonnx.compile(spec).session()


def features(texts, **arguments):
    return session(**arguments).run(np.array(texts, object))["when"]


def expected(moment):
    date_ = moment.date()
    numbers = [date_.year, date_.month, date_.day, date_.weekday(), date_.timetuple().tm_yday]
    return [*numbers, moment.hour, moment.minute, moment.second, (date_ - date(1970, 1, 1)).days]


def test_numbers_are_those_of_pythons_calendar():
    random = Random(5)
    start = datetime(1700, 1, 1)
    moments = [start + timedelta(seconds=random.randrange(600 * 366 * 86400)) for _ in range(1000)]
    moments += [datetime(year, month, day) for year in (1700, 1900, 2000, 2024) for month, day in ((2, 28), (3, 1))]
    moments += [datetime(2000, 2, 29, 23, 59, 59), datetime(1, 1, 1), datetime(9999, 12, 31)]
    texts = [moment.strftime(random.choice(FORMATS)).replace(" 1-", " 0001-") for moment in moments]
    texts = [text if moment.year > 999 else moment.isoformat() for text, moment in zip(texts, moments, strict=True)]
    assert features(texts, features=FEATURES).tolist() == [expected(moment) for moment in moments]


def test_a_date_without_a_time_begins_at_midnight():
    assert features(["2026-11-27", "2026-11-27T18:30"], features=["hour", "minute", "day"]).tolist() == [
        [0, 0, 27],
        [18, 30, 27],
    ]


def test_what_is_no_date_gives_nan_in_the_model_and_is_none_for_data():
    assert np.isnan(features([*INVALID, "2026-11-27"])[:-1]).all()
    assert not any(is_date(text, ["%Y-%m-%d"]) for text in INVALID)
    assert not np.isnan(features(["2026-11-27"])).any()
    assert is_date(" 2024-02-29T00:00:00.5-03:00 ", ["%Y-%m-%d"])


@pytest.mark.parametrize("name", DATE_FORMATS)
def test_each_format_is_read_as_python_reads_it(name):
    random = Random(7)
    days = [date(1900, 1, 1) + timedelta(random.randrange(300 * 365)) for _ in range(300)]
    texts = [day.strftime(name) + random.choice(["", " 08:05", "T23:59:59.5Z"]) for day in days]
    numbers = features(texts, features=["year", "month", "day", "weekday"], formats=[name])
    assert numbers.tolist() == [[day.year, day.month, day.day, day.weekday()] for day in days]
    assert all(is_date(text, [name]) for text in texts)
    invalid = [day.strftime(other) for day in (date(2021, 2, 13),) for other in DATE_FORMATS if other != name]
    invalid += ["", "2021", date(2021, 2, 13).strftime(name) + "x", name.replace("%Y", "2021").replace("%m", "2")]
    assert np.isnan(features(invalid, formats=[name])).all()
    assert not any(is_date(text, [name]) for text in invalid)


def test_of_several_formats_the_first_one_that_fits_counts():
    texts = ["2021-03-04", "04.03.2021", "5.3.2021 10:30", "12/31/2021", "01/02/2021", "31.02.2021", "-"]
    formats = ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]
    result = features(texts, features=["year", "month", "day", "hour"], formats=formats)
    assert result[:5].tolist() == [
        [2021, 3, 4, 0],
        [2021, 3, 4, 0],
        [2021, 3, 5, 10],
        [2021, 12, 31, 0],
        [2021, 2, 1, 0],
    ]
    assert np.isnan(result[5:]).all()
    assert [is_date(text, formats) for text in texts] == [True] * 5 + [False] * 2


def test_cyclic_numbers_are_points_on_a_circle():
    result = features(["2026-01-31", "2026-12-01"], features=["year", "month", "day"], cyclic=True)
    points = [[2026, *(f(2 * pi * p) for p in (m / 12, d / 31) for f in (sin, cos))] for m, d in ((0, 30), (11, 0))]
    np.testing.assert_allclose(result, points, atol=1e-6)


def test_features_are_a_new_last_axis():
    days = np.array([["2026-11-27", "2026-11-28"], ["2000-01-01", "x"]], object)
    result = session([2], features=["day", "month"]).run(days)["when"]
    np.testing.assert_array_equal(result, [[[27, 11], [28, 11]], [[1, 1], [np.nan, np.nan]]])


@pytest.mark.parametrize(
    ("dtype", "arguments", "message"),
    [
        ("float32", {}, "needs texts"),
        ("string", {"features": []}, "has no features"),
        ("string", {"features": ["day", "day"]}, "has the feature 'day' twice"),
        ("string", {"formats": []}, "has no formats"),
        ("string", {"formats": ["%d %B %Y"]}, 'cannot be "%d %B %Y"'),
    ],
)
def test_arguments_that_do_not_fit(dtype, arguments, message):
    spec = {"inputs": {"x": {"shape": [], "dtype": dtype}}, "layers": [{"type": "DateFeatures", **arguments}]}
    assert any(message in error.message for error in jsonnx.validate(spec))


def write_spec(tmp_path, *layers, file="t.csv"):
    spec = {
        "inputs": {"sold": {"shape": [], "dtype": "string"}},
        "layers": [{"type": "DateFeatures"}, *layers, {"type": "Dense", "units": 1, "name": "y"}],
        "training": {"data": {"train": file}, "loss": "mse", "optimizer": "sgd", "epochs": 1},
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def test_invalid_dates_in_a_file_are_errors_with_their_row(tmp_path):
    path = write_spec(tmp_path)
    (tmp_path / "t.csv").write_text("sold,y\n2026-11-27,1\n2026-02-30,2\n,3\n")
    (error,) = jsonnx.validate(path, data=True)
    assert (error.code, error.line, error.column) == ("bad-value", 3, 1)
    assert error.message.endswith("input 'sold' is '2026-02-30', which is not a date, and 1 more like it in line 4")


def test_an_imputation_after_it_fills_missing_dates(tmp_path):
    path = write_spec(tmp_path, {"type": "Imputation", "name": "filled"})
    (tmp_path / "t.csv").write_text("sold,y\n2020-11-27,1\n2022-11-27,2\n,3\n-,4\nNA,5\n")
    trainer = jsonnx.Trainer(path)
    trainer.fit(verbose=0)
    assert trainer.weights()["filled/statistic"].tolist() == [2021, 11, 27, 5]
    (tmp_path / "t.csv").write_text("sold,y\n2020-11-27,1\nsoon,3\n")
    with pytest.raises(CompileError, match="'soon', which is not a date"):
        jsonnx.Trainer(path).fit(verbose=0)


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("27.11.2026", '"formats": ["%Y-%m-%d", "%d.%m.%Y"]'),
        ("-", "an Imputation after the DateFeatures takes missing dates"),
        ("soon", "dates are written like 2026-11-27, with a time like 2026-11-27T18:30:00"),
    ],
)
def test_the_help_says_what_to_do_about_texts_that_are_no_dates(tmp_path, text, help):
    path = write_spec(tmp_path)
    (tmp_path / "t.csv").write_text(f"sold,y\n2020-11-27,1\n{text},3\n")
    (error,) = jsonnx.validate(path, data=True)
    assert help in error.help


def test_dates_and_timestamps_of_arrow_are_read(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for values in ([date(2026, 11, 27), date(2025, 1, 2)], [datetime(2026, 11, 27, 1, 2, 3), datetime(2025, 1, 2)]):
        parquet.write_table(pa.table({"sold": values, "y": [1.0, 2.0]}), tmp_path / "t.parquet")
        path = write_spec(tmp_path, {"type": "Normalization", "name": "scaled"}, file="t.parquet")
        trainer = jsonnx.Trainer(path)
        trainer.fit(verbose=0)
        assert trainer.weights()["scaled/mean"].tolist() == [2025.5, 6, 14.5, 3.5]
