"""Interrupt code at every one of its lines, one after the other: a fault loop for Ctrl-C."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any


def interrupted_at(step: int, work: Callable[[], object], *modules: ModuleType) -> bool:
    """Do the work and press Ctrl-C before the given line that it executes of these modules, counted from 1.

    Gives False when it executes fewer lines; the work is then done.
    """
    left = step
    files = {module.__file__ for module in modules}

    def trace(frame: FrameType, what: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if what == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
