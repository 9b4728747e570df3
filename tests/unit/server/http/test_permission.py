from __future__ import annotations

import pytest
from jsonnx.server.http.middleware.permission import PROBES, Permission, host_name, is_loopback
from jsonnx.server.protocol.errors import RequestError

PATH = "/v2/models/m/infer"


def status(permission: Permission, method: str = "POST", path: str = PATH, **headers: str) -> int:
    """The status with which a request is refused; 200 if it is not."""
    try:
        permission.check(method, path, {name.encode(): value.encode() for name, value in headers.items()})
    except RequestError as error:
        return error.status
    return 200


def test_a_token_is_a_bearers() -> None:
    permission = Permission("secret")
    assert status(permission) == 401
    assert status(permission, authorization="Bearer secret") == 200
    assert status(permission, authorization="bearer  secret ") == 200
    for other in ("Bearer other", "secret", "Bearer", "Basic secret", "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}"):
        assert status(permission, authorization=other) == 401, other


def test_probes_and_pages_need_no_token() -> None:
    permission = Permission("secret", public_paths=(*PROBES, "/", "/page/"))
    for path in ("/v2/health/live", "/v2/health/ready", "/", "/page/page.js"):
        assert status(permission, "GET", path) == 200, path
    for path in ("/metrics", "/v2/health/live/", "/page", "/pages", "//", "/v2/models/m", "/x/page/"):
        assert status(permission, "GET", path) == 401, path


def test_a_server_on_localhost_is_called_by_names_of_this_machine() -> None:
    permission = Permission(hosts=("models.example.org",))
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST", "127.1.2.3", "Models.Example.org:80"):
        assert status(permission, host=host) == 200, host
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"):
        assert status(permission, host=host) == 403, host
        assert status(permission, "GET", "/v2", host=host) == 403, host
    assert status(Permission(), host="evil.example") == 200


def test_pages_of_other_sites_cannot_post() -> None:
    permission = Permission(origins=("https://example.org",))
    host = "127.0.0.1:8000"
    assert status(permission, host=host, origin="http://127.0.0.1:8000") == 200
    assert status(permission, host=host, origin="https://example.org") == 200
    assert status(permission, host=host, origin="http://127.0.0.1:9000") == 403
    assert status(permission, host=host, origin="null") == 403
    assert status(permission, "GET", host=host, origin="https://other.example") == 200
    assert permission.allowed_origin({b"origin": b"https://example.org"}) == b"https://example.org"
    assert permission.allowed_origin({b"origin": b"https://other.example"}) is None


@pytest.mark.parametrize(
    ("name", "is_this_machine"),
    [
        *((name, True) for name in ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1")),
        *((name, False) for name in ("", "0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.example.org")),
    ],
)
def test_names_of_this_machine_alone(name: str, is_this_machine: bool) -> None:
    assert is_loopback(name) == is_this_machine


def test_the_name_in_a_host_header() -> None:
    assert host_name("[::1]:80") == "::1"
    assert host_name("Example.org:80") == "example.org"
    assert host_name("example.org") == "example.org"
