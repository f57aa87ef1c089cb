"""Checks of commands and preloaded checkers: surroundings and results."""

import json

from sandbox.conformance.expect import holds, python, same, shell
from sandbox.interface import Sandbox
from sandbox.results import Cause, Job, JobResult

_ENVIRONMENT = {
    "HOME", "LANG", "PATH", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONNOUSERSITE", "TMPDIR",
}  # fmt: skip
_ARGUMENTS = (
    "", " ", "a b", "$HOME", "`id`", "$(id)", "; id", "| id", "&& id", "> out", "*", "?", "~", "'",
    '"', "\\", "\n",
    "\t", "--help", "-c", "%s", "{}", "ünïcödé", "\x1b[31m", "\udcff", "x" * 100_000,
)  # fmt: skip
_PRINT_ARGUMENTS = "import sys, json; print(json.dumps(sys.argv[1:]))"
_FIND_CHECKER = r"""
import os
def checker():
    for pid in os.listdir('/proc'):
        if pid.isdigit() and int(pid) not in (1, os.getpid()):
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if file.read().endswith(b'\0zygote\0'):
                    return int(pid)
    raise SystemExit('no checker')
"""
_SUITE = {
    "calc.py": b'"""Sums."""\n\n\ndef add(a, b):\n    """Add."""\n    return a + b\n',
    "test_calc.py": b"from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
}
_TESTS = Job("tests", checker="pytest")


def passes_arguments_literally(sandbox: Sandbox) -> None:
    """Pass every argument unchanged, without a shell."""
    result = python(sandbox, _PRINT_ARGUMENTS, *_ARGUMENTS)
    same(json.loads(result.output.head or b"null"), list(_ARGUMENTS), "the arguments")


def starts_nothing_that_cannot_be_started(sandbox: Sandbox) -> None:
    """End an unstartable command with 126 or 127 and a reason, like a shell."""
    sandbox.write({"not-executable.txt": b"x"})
    for argv, code in (
        (("no-such-program",), 127),
        (("./not-executable.txt",), 126),
        (("",), 127),
        (("true", "nul\0byte"), 127),
        (("true", "x" * 200_000), 127),
    ):
        result = sandbox.run([Job("broken", argv)]).jobs[0]
        same((result.cause, result.code), (Cause.EXITED, code), f"the end of {argv[0]!r}")
        holds(b"cannot start" in result.errors.head, "its standard error gives the reason")


def feeds_standard_input(sandbox: Sandbox) -> None:
    """Deliver all input to readers, and do not wait for programs that read none."""
    content = bytes(range(256)) * 4096
    echo = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[-1000:])"
    same(python(sandbox, echo, stdin=content).output.head, content[-1000:], "the standard input")
    same(python(sandbox, echo).output.head, b"", "an empty standard input")
    same(
        python(sandbox, "print(1)", stdin=content).output.head,
        b"1\n",
        "the output of a program that reads nothing",
    )


def tells_how_a_process_ended(sandbox: Sandbox) -> None:
    """Report exit codes and signals separately."""
    for code in (0, 1, 42, 127, 255):
        result = shell(sandbox, f"exit {code}")
        same((result.cause, result.code), (Cause.EXITED, code), f"the end by exit {code}")
    for number in (6, 9, 11, 15):
        result = shell(sandbox, f"kill -{number} $$")
        same((result.cause, result.code), (Cause.SIGNALLED, number), f"the end by signal {number}")


def gives_a_fixed_environment(sandbox: Sandbox) -> None:
    """Set allowed variables, working directory, descriptors 0, 1, 2 only."""
    facts = """
import json, os
with open('/proc/self/environ') as file: entries = file.read().split('\\0')
names = [entry.split('=')[0] for entry in entries if entry]
open_fds = [fd for fd in range(3, 1024) if os.path.exists(f'/proc/self/fd/{fd}')]
print(json.dumps([sorted(names), os.getcwd(), open_fds, os.getuid() >= 10000, os.umask(0),
    os.getsid(0) == os.getpid()]))"""
    wanted = [sorted(_ENVIRONMENT), "/workspace", [], True, 0o22, True]
    same(
        json.loads(python(sandbox, facts).output.head or b"null"),
        wanted,
        "a command's surroundings",
    )


def gives_tests_the_same_surroundings(sandbox: Sandbox) -> None:
    """Run checkers in the same environment, without the parent's state."""
    names = sorted([*_ENVIRONMENT, "PYTEST_VERSION", "PYTEST_CURRENT_TEST"])
    test = f"""
import os

def test_surroundings():
    assert sorted(os.environ) == {names!r}
    assert os.getcwd() == '/workspace' and os.getsid(0) == os.getpid()
    kinds = {{os.readlink(f'/proc/self/fd/{{fd}}').split(':')[0]
             for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{{fd}}')}}
    assert 'socket' not in kinds, kinds
"""
    sandbox.write({"test_surroundings.py": test.encode()})
    result = sandbox.run([_TESTS]).jobs[0]
    holds(result.succeeded, f"the test passes: {result.output.text(1500)}")


def runs_jobs_side_by_side(sandbox: Sandbox) -> None:
    """Run several jobs at once and return their results in the requested order."""
    jobs = [
        Job(f"job {n}", ("sh", "-c", f"sleep 0.3; echo {n}; echo {n} >&2; exit {n}"))
        for n in range(8)
    ]
    result = sandbox.run(jobs)
    names = [job.name for job in jobs]
    same([job.name for job in result.jobs], names, "the names")
    same([job.code for job in result.jobs], list(range(8)), "the exit codes")
    same(
        [job.output.head + job.errors.head for job in result.jobs],
        [b"%d\n%d\n" % (n, n) for n in range(8)],
        "outputs",
    )


def runs_preloaded_checkers(sandbox: Sandbox) -> None:
    """Run tests and lint, each with a report of its findings."""
    sandbox.write(_SUITE)
    jobs = [_TESTS, Job("lint", checker="pylint", paths=tuple(_SUITE))]
    result = sandbox.run(jobs)
    holds(all(job.succeeded for job in result.jobs), f"both succeed: {result.jobs}")
    same([line["e"] for line in _report(result.job("lint"))], ["end"], "the report of a clean lint")
    outcomes = [
        line.get("outcome") for line in _report(result.job("tests")) if line["e"] == "phase"
    ]
    same(outcomes, ["passed"] * 3, "the phases of the one test")
    sandbox.write({"calc.py": b"def add(a, b):\n    return a - b + undefined_name\n"})
    result = sandbox.run(jobs)
    same(result.job("tests").code, 1, "the exit code of failing tests")
    symbols = [line["symbol"] for line in _report(result.job("lint")) if line["e"] == "message"]
    same(symbols, ["undefined-variable"], "the lint's findings")


def forgets_between_checks(sandbox: Sandbox) -> None:
    """Check the store's current files, unaffected by earlier checks."""
    poison = b"import calc, sys\ncalc.add = lambda a, b: 3\nsys.modules['calc'] = calc\n"
    sandbox.write({**_SUITE, "calc.py": b"def add(a, b):\n    return 0\n", "conftest.py": poison})
    holds(sandbox.run([_TESTS]).jobs[0].succeeded, "a conftest can bend its own run")
    sandbox.delete(["conftest.py"])
    same(sandbox.run([_TESTS]).jobs[0].code, 1, "the exit code once it is gone")
    sandbox.write(_SUITE)
    holds(sandbox.run([_TESTS]).jobs[0].succeeded, "the tests pass with the fixed code")


def revives_a_killed_checker(sandbox: Sandbox) -> None:
    """Run checks again after a command has killed or stopped the preloaded process."""
    sandbox.write(_SUITE)
    sandbox.run([_TESTS])
    for number in (9, 19):
        python(sandbox, _FIND_CHECKER + f"os.kill(checker(), {number})")
        holds(
            sandbox.run([_TESTS]).jobs[0].succeeded,
            f"tests pass after the checker got signal {number}",
        )


def loses_jobs_with_their_checker(sandbox: Sandbox) -> None:
    """Report a check as lost, never as passed, if its process was killed."""
    kill = (
        _FIND_CHECKER
        + "\nimport time\n\ndef test_kill():\n    os.kill(checker(), 9)\n    time.sleep(20)\n"
    )
    sandbox.write({"test_kill.py": kill.encode()})
    result = sandbox.run([_TESTS], timeout_s=15)
    same(
        (result.jobs[0].cause, result.survivors),
        (Cause.LOST, 0),
        "the end of tests whose checker was killed",
    )
    sandbox.delete(["test_kill.py"])
    sandbox.write(_SUITE)
    holds(sandbox.run([_TESTS]).jobs[0].succeeded, "tests pass with the next checker")


def starts_no_check_that_nobody_waits_for(sandbox: Sandbox) -> None:
    """Drop a check whose timeout passed before it began."""
    sandbox.write({"test_late.py": b"def test_late():\n    open('late.txt', 'w').close()\n"})
    python(sandbox, _FIND_CHECKER + "os.kill(checker(), 9)")
    same(sandbox.run([_TESTS], timeout_s=0.02).jobs[0].cause, Cause.TIMEOUT, "the cause")
    result = sandbox.run([Job("wait", ("sleep", "2"))])
    same((result.changes, result.leftovers), ((), 0), "what happened in the two seconds after")


def takes_no_end_for_that_of_another(sandbox: Sandbox) -> None:
    """Report each check's own end, also after one that hung and is reported late."""
    sandbox.write({"test_hangs.py": b"def test_hangs():\n    while True:\n        pass\n"})
    for _ in range(2):
        same(
            sandbox.run([_TESTS], timeout_s=1.5).jobs[0].cause,
            Cause.TIMEOUT,
            "the cause of tests that hang",
        )
    sandbox.delete(["test_hangs.py"])
    sandbox.write(_SUITE)
    for _ in range(3):
        holds(
            (job := sandbox.run([_TESTS]).jobs[0]).succeeded,
            f"tests pass after those that hung: {job}",
        )
        same(_report(job)[-1]["e"], "end", "the end of their report")


def _report(job: JobResult) -> list[dict[str, object]]:
    return [json.loads(line) for line in job.report.head.splitlines()]


CHECKS = (
    passes_arguments_literally,
    starts_nothing_that_cannot_be_started,
    feeds_standard_input,
    tells_how_a_process_ended,
    gives_a_fixed_environment,
    gives_tests_the_same_surroundings,
    runs_jobs_side_by_side,
    runs_preloaded_checkers,
    forgets_between_checks,
    revives_a_killed_checker,
    loses_jobs_with_their_checker,
    starts_no_check_that_nobody_waits_for,
    takes_no_end_for_that_of_another,
)
