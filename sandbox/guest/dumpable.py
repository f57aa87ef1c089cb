"""Whether code of the same uid may trace this process or open what is below its /proc directory."""

from __future__ import annotations

import ctypes

_PR_SET_DUMPABLE = 4


def set_dumpable(*, value: bool) -> None:
    """Set the process's dumpable flag (prctl(2), PR_SET_DUMPABLE).

    Raises:
        OSError: The kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, int(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) was refused")
