"""Interrupts of tests that run in the background."""

import signal


def accept_interrupts() -> None:
    """Restores SIGINT in this process, and in those that it starts.

    A shell without job control has its background processes ignore the signal, and all their children inherit that:
    commands then rightly go on when a test interrupts them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
