"""Follow a run from inside a Python program, and use its files.

L2MAC_MODEL=... L2MAC_BASE_URL=... python examples/embedded_run.py "a command line to-do list"
"""

import sys

import l2mac
from l2mac.control.outcome import Status
from l2mac.safe_text import one_line
from l2mac.trace.events import Checked, InstructionStarted, ToolRan


def main(task: str) -> int:
    """Execute the task and return 0 only if all checks pass in a fresh sandbox."""
    with l2mac.Run(task, max_tokens=2_000_000) as run:
        for event in run:
            match event:
                case InstructionStarted():
                    print(f"instruction {event.number} of {event.total}")
                case ToolRan():
                    paths = ", ".join(one_line(change.path, 60) for change in event.changes)
                    print(f"  {event.name}: {paths}")
                case Checked():
                    print(f"  checked: {event.summary}")
                case _:
                    pass  # the model's text, the sandbox's receipt, tokens and cost
        result = run.result
    print(f"{result.status}: {', '.join(sorted(result.files))}")
    return 0 if result.status is Status.COMPLETED else 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "a command line to-do list with due dates"))
