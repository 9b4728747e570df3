"""The steps of the Dockerfile that `jsonnx export --docker` writes, without Docker, on a read-only file system."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
        reason="a read-only file system and another user need the rights of root on Linux",
    ),
]
START_S = 60
ROW = {"island": "Biscoe", "sex": "male"} | dict.fromkeys(
    ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"), 60.0
)
READ_ONLY_ROOT = """
mount --bind / {root} && mount -o remount,ro,bind {root}
mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev
exec chroot {root} env -i PATH={path} setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all {command}
"""
"""What the compose file asks Docker for: another user, no capabilities, a root that nobody can write to."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may read, with a folder to mount the root at."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    (path / "root").mkdir()
    yield path
    shutil.rmtree(path)


def instructions(dockerfile: Path) -> dict[str, list[str]]:
    """The arguments of each instruction."""
    found: dict[str, list[str]] = {}
    for line in dockerfile.read_text().splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest)
    return found


def built(image: Path, steps: dict[str, list[str]], folder: Path) -> Path:
    """An environment with what the image has: copied files, and what its command installs. Returns its programs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    for source, target in (line.split() for line in steps["COPY"]):
        copy = folder / "files" / target.strip("/")
        if (image / source).is_dir():
            shutil.copytree(image / source, copy)
        else:
            copy.mkdir(parents=True)
            shutil.copy(image / source, copy)
    shutil.copy(image / "token.txt", folder / "token")
    programs = folder / "env/bin"
    (install,) = steps["RUN"]
    command = install.replace("/tmp/", f"{folder}/files/tmp/")
    subprocess.run(
        ["sh", "-c", command], check=True, timeout=300, env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"}
    )
    return programs


def test_the_image_serves_as_a_user_without_rights_on_a_read_only_file_system(runs: Path, folder: Path) -> None:
    export = ["export", "--docker", str(runs / "penguins"), "-o", str(folder / "image")]
    subprocess.run([sys.executable, "-m", "jsonnx", *export], check=True, timeout=60)
    steps = instructions(folder / "image/Dockerfile")
    programs = built(folder / "image", steps, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (command,) = (json.loads(line) for line in steps["CMD"])
    places = {
        "8000": port,
        "/models/penguins": f"{folder}/files/models/penguins",
        "/run/secrets/token": f"{folder}/token",
    }
    words = [places.get(word, word) for word in command]
    assert set(places) < set(command)
    script = READ_ONLY_ROOT.format(
        root=folder / "root",
        path=f"{programs}:/usr/bin:/bin",
        user=steps["USER"][0].partition(":")[0],
        command=shlex.join(words),
    )
    check = json.loads(steps["HEALTHCHECK"][0].partition("CMD ")[2])[2].replace("8000", port)
    process = subprocess.Popen(["unshare", "-m", "sh", "-ec", script], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + START_S
        while subprocess.run([sys.executable, "-c", check], stderr=subprocess.DEVNULL).returncode:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "Uid:\t65532\t65532\t65532\t65532" in status
        assert "CapEff:\t0000000000000000" in status
        with pytest.raises(urllib.error.HTTPError, match="401"):
            predict(port, "wrong")
        answer = predict(port, (folder / "token").read_text().strip())
        assert answer["prediction"]["species"]["label"] in {"Adelie", "Chinstrap", "Gentoo"}
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def predict(port: str, token: str) -> dict[str, dict[str, dict[str, object]]]:
    """The answer to one row."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", json.dumps(ROW).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return dict(json.loads(response.read()))
