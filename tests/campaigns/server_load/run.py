"""Sends malformed requests, or mixed load, to a server: `python -m campaigns.server_load.run --requests 100000`.

With `--requests`, that many malformed requests are sent; with `--seconds`, clients of all kinds work at the same time,
while models are reloaded. In both, each answer is checked: right ones against onnxruntime, errors for their form. Then
the server must be alive, answer right, and hold no more memory, threads and descriptors than after its first requests.
Ends with 1 otherwise. Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from campaigns.server_load.clients import MAX_ANSWER_S, Client, Record
from campaigns.server_load.requests import draw_requests
from campaigns.server_load.served import Holdings, save_models, serve
from jsonnx.conformance.grpc_client import GrpcClient
from jsonnx.conformance.http_client import HttpClient
from jsonnx.conformance.verdicts import Violation
from support.served_process import ServedProcess

MAX_GROWTH_BYTES = 24 << 20
"""Growth of the resident memory that noise of the allocators explains."""
REQUESTS_PER_MODEL = 40
MIXED_CLIENTS = {"valid": 5, "malformed": 2, "aborted": 1, "slow": 2, "reload": 1}
PAUSES_S = {"valid": 0.02, "malformed": 0.05, "aborted": 0.1}
"""Pauses between the requests of a client, which leave the machine to others."""
WARM_UP_S = 20.0
SETTLING_S = 8.0
"""Until connections of clients that are gone are closed."""
REPORT_S = 30.0
MAX_RESTART_S = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, help="send so many malformed requests")
    parser.add_argument("--seconds", type=float, help="mixed load for this time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the requests")
    parser.add_argument("--jobs", type=int, default=4, help="clients that send malformed requests")
    parser.add_argument("--log", type=Path, help="file for the output of the server")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = save_models(Path(folder))
        with serve(models, args.log or Path(folder) / "server.log") as process:
            campaign = Campaign(process, models, args.seed)
            campaign.work({"valid": 3, "malformed": 1}, lambda: False, WARM_UP_S if args.seconds else WARM_UP_S / 4)
            if args.requests:
                campaign.send_malformed(args.requests, args.jobs)
            if args.seconds:
                campaign.mixed(args.seconds)
            return campaign.verdict()


class Campaign:
    """Clients of one server, and what the server held before they came."""

    def __init__(self, process: ServedProcess, models: dict[str, Path], seed: int) -> None:
        self.process, self.seed, self.record = process, seed, Record()
        self._requests = draw_requests(models, REQUESTS_PER_MODEL, seed)
        self._http = HttpClient(process.url, timeout_s=MAX_ANSWER_S)
        self._grpc = GrpcClient(process.grpc_address, None, MAX_ANSWER_S)
        self._count = 0
        self._before: Holdings | None = None

    def work(self, kinds: dict[str, int], is_done: Callable[[], bool], seconds: float) -> None:
        """Lets clients work until the time is over or `is_done`, and reports from time to time."""
        end = time.monotonic() + seconds
        stop = threading.Event()
        all_kinds = [kind for kind, count in kinds.items() for _ in range(count)]
        threads = [threading.Thread(target=self._repeat, args=(kind, stop)) for kind in all_kinds]
        for thread in threads:
            thread.start()
        reported = time.monotonic()
        while time.monotonic() < end and not is_done() and self.process.is_running():
            time.sleep(0.05)
            if time.monotonic() > reported + REPORT_S:
                reported = time.monotonic()
                self._report(f"{end - reported:,.0f} s left" if seconds < float("inf") else "")
        stop.set()
        for thread in threads:
            thread.join()
        if self._before is None:
            time.sleep(SETTLING_S)
            self._before = Holdings.of(self.process.pid)
            self._report("warm")

    def _repeat(self, kind: str, stop: threading.Event) -> None:
        self._count += 1
        client = Client(self._http, self._grpc, self._requests, self.record, self.seed * 1000 + self._count)
        while not stop.is_set():
            try:
                getattr(client, kind)()
            except Violation as violation:
                self.record.find(f"{kind} failed", str(violation))
                time.sleep(0.5)
            time.sleep(PAUSES_S.get(kind, 0))

    def _report(self, note: str) -> None:
        held = Holdings.of(self.process.pid) if self.process.is_running() else "the server has ended"
        requests, findings = sum(self.record.counts.copy().values()), len(self.record.findings)
        clock = time.strftime("%H:%M:%S")
        print(f"{clock} {requests:,} requests, {findings} findings, {held} {note}".strip(), flush=True)

    def send_malformed(self, count: int, jobs: int) -> None:
        """Sends malformed requests, without pauses."""
        start = self._malformed()
        PAUSES_S.pop("malformed", None)
        self.work({"malformed": jobs}, lambda: self._malformed() - start >= count, float("inf"))
        print(f"{self._malformed() - start:,} malformed requests")

    def _malformed(self) -> int:
        return sum(number for kind, number in self.record.counts.copy().items() if kind.startswith("malformed"))

    def mixed(self, seconds: float) -> None:
        """Clients of all kinds at the same time."""
        self.work(MIXED_CLIENTS, lambda: False, seconds)

    def verdict(self) -> int:
        """Prints what was seen, and returns 1 if something is wrong."""
        wrong = [*self.record.findings]
        print(f"{sum(self.record.counts.values()):,} requests in all")
        for kind, number in sorted(self.record.counts.items()):
            print(f"{number:>9,}  {kind}")
        if not self.process.is_running():
            wrong.append("the server has ended")
        else:
            time.sleep(SETTLING_S)
            wrong += self._compare_holdings()
            found = len(self.record.findings)
            client = Client(self._http, self._grpc, self._requests, self.record, self.seed)
            for _ in range(100):
                client.valid()
            wrong += self.record.findings[found:]
            print(f"ready {self._restart_s():.2f} s after a kill, at most {MAX_RESTART_S:g} s are expected")
        print(*wrong, sep="\n")
        print("failed" if wrong else "passed")
        return 1 if wrong else 0

    def _compare_holdings(self) -> list[str]:
        assert self._before is not None
        before, after = self._before, Holdings.of(self.process.pid)
        print(f"before  {before}\nafter   {after}")
        grown = []
        if after.memory > before.memory + MAX_GROWTH_BYTES:
            grown.append(f"memory grew by {(after.memory - before.memory) / 2**20:.1f} MiB")
        if after.threads > before.threads + (os.cpu_count() or 1) + 4:  # a pool of threads may be full only now
            grown.append(f"threads grew from {before.threads} to {after.threads}")
        if after.descriptors > before.descriptors:
            grown.append(f"descriptors grew from {before.descriptors} to {after.descriptors}")
        return grown

    def _restart_s(self) -> float:
        """Seconds from a kill of the server to the readiness of the next one."""
        self._grpc.close()
        start = time.monotonic()
        self.process.restart()
        return time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
