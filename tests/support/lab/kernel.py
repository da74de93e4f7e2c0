# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls of Linux that Python 3.11 has no function for: namespaces and the parent-death signal.

Sources: unshare(2), setns(2), prctl(2), namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(status: int, call: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces of the kinds in ``flags``; raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def set_namespace(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace of ``kind`` that ``descriptor`` is open on; raises OSError."""
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends; raises OSError."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")


@contextlib.contextmanager
def network_namespace(descriptor: int) -> Iterator[None]:
    """Run the body with the calling thread, and what it starts, in the network namespace of ``descriptor``.

    Other threads stay where they are: a network namespace belongs to a thread. Raises OSError.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        set_namespace(descriptor, CLONE_NEWNET)
        try:
            yield
        finally:
            set_namespace(own, CLONE_NEWNET)
    finally:
        os.close(own)
