"""A worker process that attempts forbidden operations and reports the outcome of each."""

import json
import os
import socket
import sys

sys.path.insert(0, WORKER_FOLDER)  # noqa: F821 - replaced by the test
from hdf5_worker import set_resource_limits

parameters = json.loads(sys.argv[1])
set_resource_limits(parameters["memory"], parameters["seconds"])
results = []
for attempt in (
    lambda: os.open("/etc/passwd", os.O_RDONLY),
    lambda: os.write(os.open("/tmp", os.O_RDWR | os.O_TMPFILE), b"x"),
    socket.socket,
):
    try:
        attempt()
        results.append("allowed")
    except OSError:
        results.append("OSError")
print(json.dumps({"error": ["damaged-file", " ".join(results)]}))
