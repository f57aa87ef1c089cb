"""Interrupt code at every one of its lines, one after the other: a fault loop for Ctrl-C."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Protocol


class _Tracer(Protocol):
    def __call__(self, frame: FrameType, event: str, argument: object, /) -> "_Tracer | None": ...


def interrupted_at(step: int, work: Callable[[], object], *modules: ModuleType) -> bool:
    """Do the work and raise KeyboardInterrupt before the given line of these modules.

    Args:
        step: The line, counted from 1 in the order of execution.
        work: The work.
        modules: The modules whose lines count.

    Returns:
        Whether the work was interrupted. It has ended when it executes fewer lines.
    """
    left = step
    files = {module.__file__ for module in modules}

    def trace(frame: FrameType, event: str, _: object, /) -> _Tracer | None:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
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
