"""The main module of a process that trains a trial on several workers of a Ray cluster.

Its arguments are the address of the cluster, the number of workers, and the CPUs of each.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..pipeline.sweep.trial_main import main

if TYPE_CHECKING:
    from ..pipeline.sweep.trial_run import Train


def _make_train() -> Train:
    from .workers import RayWorkers, Scaling

    address, workers, cpus = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    return RayWorkers(Scaling(workers, workers, cpus), address).train


if __name__ == "__main__":
    main(_make_train)
