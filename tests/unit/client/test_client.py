"""The client against a real server: predictions as `jsonnx predict` makes them, arrays, models, readiness, errors."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as command

ROW = {"kind": "cat", "height (cm)": 30.5, "weight": 4}
ROWS = [ROW, {"kind": "dog", "height (cm)": 60, "weight": 20.25}, {"kind": "newt", "height (cm)": 1, "weight": 0}]
CSV = "kind,height (cm),weight\n" + "".join(f"{r['kind']},{r['height (cm)']},{r['weight']}\n" for r in ROWS)


@pytest.fixture
def client(pets_url: str) -> jsonnx.Client:
    return jsonnx.Client(pets_url)


def test_predictions_are_those_of_the_command(client: jsonnx.Client, models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    command("predict", str(models["pets"]), "--data", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv"))
    lines = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    names = ["calm", "merry", "wild"]
    expected = [
        {"mood": {"label": label, "probabilities": dict(zip(names, map(float, numbers), strict=True))}}
        for label, *numbers in lines[1:]
    ]
    assert client.predict(ROWS) == expected
    assert client.predict(ROW) == expected[0]
    assert client.predict(CSV) == expected
    assert client.predict(tmp_path / "rows.csv") == client.predict(str(tmp_path / "rows.csv")) == expected
    assert client.predict(tuple(ROWS)) == client.predict(row for row in ROWS) == expected
    assert client.predict(Frame(ROWS)) == expected
    assert client.predict({"kind": "cat", "height (cm)": np.float32(30.5), "weight": np.int64(4)}) == expected[0]


class Frame:
    """A table as pandas has it."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return self._rows


def test_a_picture(url: str, models: dict[str, Path], tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(0, 160, 10, np.uint8).reshape(4, 4)
    image.fromarray(pixels).save(tmp_path / "a.png")
    client = jsonnx.Client(url, model="pictures")
    expected = client.predict({"image": pixels[..., None]})
    assert set(expected) == {"light"}
    content = (tmp_path / "a.png").read_bytes()
    assert client.predict(tmp_path / "a.png") == client.predict(content) == expected
    (light,) = jsonnx.Session(models["pictures"]).run({"image": pixels[None, ..., None].astype(np.float32)})["light"]
    assert expected["light"]["value"] == pytest.approx(float(light[0]))


def test_arrays_have_the_bits_of_a_session(client: jsonnx.Client, models: dict[str, Path]) -> None:
    feeds = {"kind": np.array(["cat", "dog", "dög"]), "sizes": np.array([[1.5, 2], [3, 4], [5, 6]])}
    expected = jsonnx.Session(models["pets"]).run(
        {"kind": feeds["kind"].astype(object), "sizes": feeds["sizes"].astype(np.float32)}
    )
    answer = client.infer(feeds)
    assert answer.keys() == {"mood"}
    assert answer["mood"].dtype == np.float32
    np.testing.assert_array_equal(answer["mood"], expected["mood"])
    lists = {"kind": ["cat", "dog", "dög"], "sizes": [[1.5, 2], [3, 4], [5, 6]]}
    np.testing.assert_array_equal(client.infer(lists, ["mood"], version="1", id="7")["mood"], expected["mood"])


def test_json_tensors_give_the_same(client: jsonnx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = {"kind": ["cat"], "sizes": [[1.5, 2]]}
    binary = client.infer(feeds)["mood"]
    monkeypatch.setattr(client, "server_metadata", lambda: {"extensions": []})
    client._extensions = None
    np.testing.assert_array_equal(client.infer(feeds, ["mood"])["mood"], binary)


def test_models_and_metadata(url: str, pets_url: str) -> None:
    client = jsonnx.Client(url)
    assert [(m["name"], m["version"], m["state"]) for m in client.models()] == [
        ("pets", "1", "READY"),
        ("pictures", "1", "READY"),
    ]
    assert client.server_metadata()["name"] == "jsonnx"
    assert client.metadata("pictures")["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 4, 4, 1]}]
    assert jsonnx.Client(pets_url).metadata()["name"] == "pets"  # the only one
    with pytest.raises(jsonnx.UsageError, match=r"the server has 2 models; name one: model='pets' or 'pictures'"):
        client.metadata()


def test_readiness(url: str, free_port: int) -> None:
    client = jsonnx.Client(url)
    client.wait_until_ready(1)
    assert client.is_ready()
    assert client.is_ready("pets")
    assert not client.is_ready("cats")
    absent = jsonnx.Client(f"localhost:{free_port}", timeout=1)
    assert not absent.is_ready()
    with pytest.raises(jsonnx.ServerError) as caught:
        absent.wait_until_ready(0.2)
    assert (caught.value.status, caught.value.code) == (None, "server-unreachable")
    assert "connection refused" in caught.value.message


Call = Callable[[jsonnx.Client], Any]


@pytest.mark.parametrize(
    ("call", "status", "code", "message"),
    [
        (lambda c: c.predict({"kind": "cat"}), 400, "missing-column", "height"),
        (lambda c: c.predict(ROW, model="cats"), 404, "unknown-model", "'cats'"),
        (lambda c: c.infer({"kind": ["cat"]}), 400, "bad-feed", "lacks the input 'sizes'"),
        (lambda c: c.infer({"kind": ["cat"], "size": [[1.0, 2]]}), 400, "bad-feed", "no input 'size'"),
        (lambda c: c.metadata(version="9"), 404, "unknown-version", "'9'"),
    ],
)
def test_errors_of_the_server(client: jsonnx.Client, call: Call, status: int, code: str, message: str) -> None:
    with pytest.raises(jsonnx.ServerError) as caught:
        call(client)
    error = caught.value
    assert (error.status, error.code) == (status, code)
    assert message in error.message
    assert error.document["code"] == code
    assert not error.help or (error.help not in error.message and error.document["error"].endswith(error.help))
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.status, copy.code, copy.message, copy.help) == (status, code, error.message, error.help)


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (lambda c: c.infer({"kind": [1], "sizes": [[1, 2]]}), "bad-feed", "the model takes texts"),
        (lambda c: c.infer({"kind": [None], "sizes": [[1, 2]]}), "bad-feed", "object elements"),
        (lambda c: c.infer({"kind": [1j], "sizes": [[1, 2]]}), "bad-feed", "complex128|takes texts"),
        (lambda c: c.predict(7), "bad-feed", "rows of type int"),
        (lambda c: c.predict({"kind": {1, 2}}), "bad-feed", "cannot be written as JSON"),
        (lambda c: c.predict({"kind": float("inf")}), "bad-feed", "cannot be written as JSON"),
        (lambda c: c.predict("absent.png"), "unreadable-file", "absent.png"),
        (lambda c: c.predict(Path(__file__)), "bad-feed", "neither a picture nor a file of rows"),
    ],
)
def test_errors_before_a_request(client: jsonnx.Client, call: Call, code: str, message: str) -> None:
    with pytest.raises(jsonnx.UsageError, match=message) as caught:
        call(client)
    assert caught.value.diagnostic.code == code


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://a:99999", "http://u:p@a", "http://a?b", "http://[::1"])
def test_urls_of_no_server(url: str) -> None:
    with pytest.raises(jsonnx.UsageError, match=r"URL|port"):
        jsonnx.Client(url)


def test_options_are_checked(tmp_path: Path) -> None:
    for options in ({"timeout": 0}, {"retries": -1}):
        with pytest.raises(jsonnx.UsageError, match="timeout"):
            jsonnx.Client("a", **options)  # type: ignore[arg-type]
    with pytest.raises(jsonnx.UsageError, match="certificates"):
        jsonnx.Client("https://a", ca_file=tmp_path / "absent.pem")


def test_threads_share_a_client(client: jsonnx.Client) -> None:
    expected = client.predict(ROWS)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for step in range(20):
            row = (number + step) % 3
            if client.predict(ROWS[row]) != expected[row]:
                wrong.append(row)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(client._transport._idle) <= 8
    with client:
        pass
    assert not client._transport._idle


def test_the_token_is_not_shown() -> None:
    client = jsonnx.Client("http://a:1/b/", token="secret", model="m")
    assert repr(client) == "Client('http://a:1/b', model='m')"
    assert "secret" not in repr(client._transport)


def test_json_rows_from_bytes(client: jsonnx.Client) -> None:
    assert client.predict(io.BytesIO(CSV.encode()).getvalue()) == client.predict(ROWS)
