"""Trials, each with one random fault: a run is disturbed, resumed and compared with the undisturbed one.

A trial returns its outcome in words, and raises Violation if a promise is broken.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from campaigns.fault_injection.server import Fault, Forks, build_library, can_inject
from campaigns.fault_injection.specs import CASES, EPOCHS
from campaigns.fault_injection.workload import Result, Violation, Workload, environment

CONTINUE = ("--on-save-error", "continue")
ERRORS = {
    "open": ("EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES"),
    "write": ("EIO", "ENOSPC", "EDQUOT", "EACCES"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT"),
    "close": ("EIO", "ENOSPC", "EDQUOT"),
    "rename": ("EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES"),
    "unlink": ("EIO", "EROFS", "EACCES"),
    "mkdir": ("EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES"),
    "rmdir": ("EIO", "EACCES"),
    "chmod": ("EIO", "EROFS", "EACCES"),
    "truncate": ("EIO",),
    "flock": ("ENOLCK", "EOPNOTSUPP", "EAGAIN", "EACCES", "EIO"),
    "stat": ("EIO", "EACCES"),
    "opendir": ("EIO", "EACCES"),
    "read": ("EIO",),
    "seek": ("EIO",),
}
"""The errors of each system call that are tried."""


@dataclass
class Context:
    """What trials share: a folder, the workloads, and the process that forks for commands."""

    folder: Path
    long_epochs: int = 15
    cases: tuple[str, ...] = tuple(CASES)
    """The specs of the trials."""

    def __post_init__(self) -> None:
        self._short: dict[str, Workload] = {}
        self._long: dict[str, Workload] = {}
        self._calls: dict[tuple[Workload, str], list[str]] = {}

    @cached_property
    def library(self) -> Path:
        return build_library(self.folder)

    @cached_property
    def forks(self) -> Forks:
        return Forks(self.folder)

    def short(self, case: str = "images") -> Workload:
        """A run with one checkpoint an epoch, or as often as its spec says, so that its system calls are the same every
        time.

        The run `interrupted` has done all epochs but the last, and has two checkpoints.
        """
        if case not in self._short:
            workload = Workload.create(self.folder / f"short {case}", self.forks.train, case)
            less = Workload(workload.home, EPOCHS - 1)
            if self.forks.train(less, "interrupted").status:
                raise SystemExit("the run to be continued failed")
            self._short[case] = workload
        return self._short[case]

    def long(self, case: str) -> Workload:
        """A run with a checkpoint every 50 ms, or as often as its spec says."""
        if case not in self._long:
            home = self.folder / f"long {case}"
            self._long[case] = Workload.create(home, case=case, epochs=self.long_epochs, step_seconds=0.05)
        return self._long[case]

    def any_short(self, rng: Random) -> Workload:
        return self.short(rng.choice(self.cases))

    def any_long(self, rng: Random) -> Workload:
        return self.long(rng.choice(self.cases))

    def wait(self, workload: Workload, run: str, rng: Random) -> None:
        """Waits until a random instant of a long run, most often one after its start."""
        if rng.random() < 0.7:
            deadline = time.monotonic() + 10 * workload.seconds
            while not (workload.home / run / "run.json").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.4 * workload.seconds))
        else:
            time.sleep(rng.uniform(0, workload.seconds))

    def calls(self, workload: Workload, base: str) -> list[str]:
        """The kinds of all system calls on the files of a short run that starts, or that continues the run `base`."""
        if (workload, base) not in self._calls:
            run = self.new_run(workload, f"traced{base}", base)
            self.forks.train(workload, run)
            workload.check_whole(run)
            self._calls[workload, base] = self.forks.calls()
        return self._calls[workload, base]

    def new_run(self, workload: Workload, name: str, base: str = "") -> str:
        """The name of a run that does not exist yet or, with `base`, is a copy of that run."""
        if base:
            shutil.copytree(workload.home / base, workload.home / name, dirs_exist_ok=True)
        return name

    def finish(self, workload: Workload, run: str) -> None:
        """Resumes a run without a fault, and compares it with the undisturbed one."""
        result = self.forks.train(workload, run)
        if result.status:
            raise Violation(f"the run could not be resumed, exit status {result.status}: {result.output[-400:]}")
        workload.check_whole(run)

    def close(self) -> None:
        if "forks" in self.__dict__:
            self.forks.close()


Trial = Callable[[Context, str, Random], str]


# -- killed and stopped processes --------------------------------------------------------------------------------------


def kill(context: Context, run: str, rng: Random) -> str:
    """SIGKILL at up to three random instants of one run."""
    workload, states = context.any_long(rng), []
    for _ in range(rng.randint(1, 3)):
        process = workload.start(run, "--quiet")
        context.wait(workload, run, rng)
        process.kill()
        process.communicate()
        states.append(run_state(workload.home / run))
        workload.check_consistent(run)
    context.finish(workload, run)
    return f"killed {len(states)} times, first {states[0]}: the same bytes"


def stop(context: Context, run: str, rng: Random) -> str:
    """Ctrl-C or SIGTERM at a random instant, sometimes twice."""
    workload, number = context.any_long(rng), rng.choice([signal.SIGINT, signal.SIGTERM])
    process = workload.start(run, "--quiet")
    context.wait(workload, run, rng)
    process.send_signal(number)
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    if process.returncode not in (0, -number, 128 + number):
        raise Violation(f"exit status {process.returncode} after signal {number}: {output[-400:]}")
    is_graceful = "interrupted after" in output
    if is_graceful and not (workload.home / run / "model.onnx").exists():
        raise Violation("an interrupted run has no model")
    workload.check_consistent(run)
    context.finish(workload, run)
    reaction = "wrote its results" if is_graceful else "ended at once" if process.returncode else "had ended already"
    return f"{signal.Signals(number).name}: {reaction}, the same bytes"


def several(context: Context, run: str, rng: Random) -> str:
    """Several processes train in one folder, on a file system with or without locks; one of them may be killed."""
    workload, has_locks = context.any_long(rng), rng.random() < 0.4 or not can_inject()
    more = {} if has_locks else {"LD_PRELOAD": str(context.library), "NO_LOCKS": "1"}
    is_killed, processes = rng.random() < 0.3, []
    for _ in range(rng.randint(2, 4)):
        processes.append(workload.start(run, "--quiet", env=environment() | more))
        time.sleep(rng.choice([0, rng.uniform(0, 0.1), rng.uniform(0, workload.seconds)]))
    if is_killed:
        processes[0].kill()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    refused = 0
    for process, output in zip(processes, outputs, strict=True):
        is_refused = process.returncode == 2 and any(
            f"error[{code}]" in output for code in ("run-locked", "run-exists")
        )
        refused += is_refused
        if not is_refused and process.returncode not in (0, -signal.SIGKILL):
            raise Violation(f"exit status {process.returncode}: {output[-400:]}")
    if refused == len(processes):
        raise Violation(f"all were refused: {outputs}")
    workload.check_consistent(run)
    context.finish(workload, run)
    locks = "locks" if has_locks else "no locks"
    return f"{locks}: {refused} of {len(processes)} refused{', one killed' if is_killed else ''}, the same bytes"


def run_state(folder: Path) -> str:
    if not (folder / "run.json").exists():
        return "before the run"
    if any(folder.rglob("*.tmp")):
        return "during a save"
    return "after the run" if (folder / "model.onnx").exists() else "between saves"


# -- system calls ------------------------------------------------------------------------------------------------------


def system_call(context: Context, run: str, rng: Random) -> str:
    """One system call on a file of the run fails, once or from then on."""
    if not can_inject():
        return "skipped: no C compiler"
    workload, base = context.any_short(rng), rng.choice(["", "", "interrupted"])
    calls = context.calls(workload, base)
    number = rng.randrange(len(calls))
    call = calls[number]
    error = rng.choice(ERRORS[call])
    action = "short" if call == "write" and rng.random() < 0.3 else "fail"
    goes_on = rng.random() < 0.3
    fault = Fault(number + 1, action, error, repeated=rng.random() < 0.3)
    context.new_run(workload, run, base)
    options = CONTINUE if goes_on else ()
    result = context.forks.train(workload, run, fault, *options)
    outcome = checked_outcome(context, workload, run, result, error)
    return f"{'short ' if action == 'short' else ''}{call} {error}: {outcome}"


def checked_outcome(context: Context, workload: Workload, run: str, result: Result, error: str) -> str:
    if result.status == 0:
        workload.check_whole(run)
        outcome = "warning, the same bytes" if "training goes on" in result.output else "no error, the same bytes"
    else:
        is_lock = error in ("EAGAIN", "EACCES") and "run-locked" in result.output
        codes = ("run-locked",) if is_lock else ("unwritable-file", "unreadable-file", "bad-checkpoint")
        workload.check_error(run, result, codes)
        outcome = "error, then the same bytes"
    context.finish(workload, run)
    return outcome


def kill_at_call(context: Context, run: str, rng: Random) -> str:
    """SIGKILL right before or after a system call on a file of the run; a write is cut in half."""
    if not can_inject():
        return "skipped: no C compiler"
    workload, base = context.any_short(rng), rng.choice(["", "interrupted"])
    calls = context.calls(workload, base)
    number = rng.randrange(len(calls))
    place = rng.choice(["kill before", "kill after"])
    context.new_run(workload, run, base)
    result = context.forks.train(workload, run, Fault(number + 1, place))
    if result.status != -signal.SIGKILL:
        raise Violation(f"the process was not killed at call {number + 1}: {result}")
    workload.check_consistent(run)
    context.finish(workload, run)
    return f"{place} {calls[number]}: the same bytes"


# -- damaged checkpoints -----------------------------------------------------------------------------------------------


def damage(context: Context, run: str, rng: Random) -> str:
    """The newest checkpoint, or all of them, are damaged."""
    workload = context.any_short(rng)
    context.new_run(workload, run, "interrupted")
    *older, newest = sorted((workload.home / run / "checkpoints").glob("step-*"))
    kind = rng.choice([*DAMAGES])
    is_all = rng.random() < 0.15
    for path in (newest, *older) if is_all else (newest,):
        path.write_bytes(DAMAGES[kind](path.read_bytes(), rng))
    before = {path: path.read_bytes() for path in (newest, *older)}
    result = context.forks.train(workload, run)
    if not is_all:
        if f"warning[bad-checkpoint]: cannot resume the run from '{newest}'" not in result.output:
            raise Violation(f"{kind} of {newest.name} was not reported: {result}")
        workload.check_whole(run)
        return f"{kind}: the older checkpoint, the same bytes"
    if result.status != 1 or not all(str(path) in result.output for path in before):
        raise Violation(f"{kind} of all checkpoints was not reported: {result}")
    if {path: path.read_bytes() for path in before if path.exists()} != before:
        raise Violation("damaged checkpoints were changed")
    return f"{kind} of all: error"


def flip_bit(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zero_range(content: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(content))
    zeros = content[:start] + bytes(len(content[start:][:512])) + content[start + 512 :]
    return zeros if zeros != content else flip_bit(content, rng)


DAMAGES: dict[str, Callable[[bytes, Random], bytes]] = {
    "flipped bit": flip_bit,
    "cut file": lambda content, rng: content[: rng.randrange(len(content))],
    "empty file": lambda content, rng: b"",
    "range of zeros": zero_range,
    "only zeros": lambda content, rng: bytes(len(content)),
    "longer file": lambda content, rng: content + rng.randbytes(rng.randint(1, 100)),
    "random bytes": lambda content, rng: rng.randbytes(len(content)),
}


# -- full and read-only file systems -----------------------------------------------------------------------------------


def file_size_limit(context: Context, run: str, rng: Random) -> str:
    """Files may only have a limited size (RLIMIT_FSIZE)."""
    import resource  # not on Windows

    limit = rng.randrange(1, 16_000)
    limits = (limit, resource.RLIM_INFINITY)
    workload = context.any_short(rng)
    result = workload.train(run, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    return checked_outcome(context, workload, run, result, "EFBIG")


def full_disk(context: Context, run: str, rng: Random) -> str:
    """The run is a small file system in memory, which is enlarged later."""
    pages = rng.randint(2, 24)
    goes_on = rng.random() < 0.5
    script = """
        mount -t tmpfs -o "size=SIZE" tmpfs "$run" || exit 99
        "$@" >"$results/output" 2>&1; echo $? >"$results/status"
        mount -o remount,size=64m "$run" || exit 99
    """.replace("SIZE", f"{4 * pages}k")
    return on_own_file_system(context, context.short(), run, script, *(CONTINUE if goes_on else ()))


def disk_full_for_a_while(context: Context, run: str, rng: Random) -> str:
    """A file fills the file system of a run at a random instant, until the run has warned of it."""
    workload = context.any_long(rng)
    seconds = f"{rng.uniform(0, 0.3 * workload.seconds):.3f}"
    script = """
        mount -t tmpfs -o size=16m tmpfs "$run" || exit 99
        "$@" >"$results/output" 2>&1 & process=$!
        until [ -e "$run/run.json" ] || ! kill -0 $process; do sleep 0.01; done
        sleep SECONDS
        cat /dev/zero >"$run/filler" 2>/dev/null
        until grep -q "training goes on" "$results/output" || ! kill -0 $process 2>/dev/null; do sleep 0.01; done
        rm "$run/filler"
        wait $process; echo $? >"$results/status"
    """.replace("SECONDS", seconds)
    return on_own_file_system(context, workload, run, script, *CONTINUE)


def read_only(context: Context, run: str, rng: Random) -> str:
    """The run is on a file system that is read-only at first. (The superuser may write to read-only folders.)"""
    script = """
        mount -t tmpfs -o ro tmpfs "$run" || exit 99
        "$@" >"$results/output" 2>&1; echo $? >"$results/status"
        mount -o remount,rw "$run" || exit 99
    """
    return on_own_file_system(context, context.short(), run, script)


def on_own_file_system(context: Context, workload: Workload, run: str, script: str, *options: str) -> str:
    """Runs on a file system of its own, in a mount namespace, so that nothing is left mounted.

    The script mounts it and runs "$@", with the output and the exit status in files of the folder $results.
    """
    if not can_mount():
        return "skipped: mounting is not permitted"
    results = context.folder / f"{run}-results"
    (results / "run").mkdir(parents=True)
    (workload.home / run).mkdir()
    script = f"""
        run=$1 results=$2; shift 2
        {script}
        find "$run" -type f >"$results/files"
        "$@" >"$results/resumed" 2>&1 || exit 98
        cp -a "$run/." "$results/run"
    """
    arguments = [str(workload.home / run), str(results), *workload.command(run, *options)]
    command = [*UNSHARE, "sh", "-c", script, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(), check=False)
    if done.returncode:
        raise Violation(f"the script failed with {done.returncode}: {done.stderr} {read_text(results / 'resumed')}")
    status, output = int(read_text(results / "status")), read_text(results / "output")
    left_over = [line for line in read_text(results / "files").splitlines() if line.endswith(".tmp")]
    if left_over:
        raise Violation(f"temporary files were left: {left_over}")
    if status != 0 and (status != 2 or "error[unwritable-file]" not in output):
        raise Violation(f"exit status {status}: {output[-400:]}")
    (workload.home / run).rmdir()
    shutil.move(results / "run", workload.home / run)
    workload.check_whole(run)
    has_warned = "training goes on" in output
    seen = ["warnings"] * has_warned + ["error"] * (status != 0) or ["no error"]
    return f"{' and '.join(seen)}, then the same bytes"


UNSHARE = ("unshare", "--mount", "--map-root-user")


def can_mount() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    command = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def read_text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


TRIALS: dict[str, dict[str, Trial]] = {
    "kills": {"kill": kill, "stop": stop, "several": several, "kill at call": kill_at_call},
    "faults": {
        "system call": system_call,
        "damage": damage,
        "file size limit": file_size_limit,
        "full disk": full_disk,
        "disk full for a while": disk_full_for_a_while,
        "read-only": read_only,
    },
}
"""The trials by the option that gives their number."""

WEIGHTS: dict[str, int] = {"kill": 2, "stop": 1, "kill at call": 3, "system call": 8, "damage": 4}
"""How often a kind is tried, in comparison with the others; 1 if it is not named."""


def choose(option: str, rng: Random) -> str:
    kinds = [*TRIALS[option]]
    (kind,) = rng.choices(kinds, [WEIGHTS.get(kind, 1) for kind in kinds])
    return kind
