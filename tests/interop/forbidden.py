"""A reading process that tries what it must not be able to do, and tells how it went."""

import json
import os
import socket
import sys

sys.path.insert(0, CHILD)  # noqa: F821 - the test puts the folder in
from hdf5_worker import set_resource_limits

told = json.loads(sys.argv[1])
set_resource_limits(told["memory"], told["seconds"])
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
print(json.dumps({"fault": ["damaged-file", " ".join(results)]}))
