"""Jobs as a run request states them."""

from collections.abc import Sequence
from typing import Any

from sandbox.protocol import MAX_JOBS
from sandbox.results import Job

_CHECKERS = ("pytest", "pylint", "prose", "survey", "count", "coverage")


def job_specs(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Give the jobs of a run request.

    Raises:
        ValueError: They are too many, or one is of no kind that there is.
    """
    if not 0 < len(jobs) <= MAX_JOBS:
        raise ValueError(f"a run has from 1 to {MAX_JOBS} jobs, not {len(jobs)}")
    return [_job_spec(job) for job in jobs]


def _job_spec(job: Job) -> dict[str, Any]:
    if bool(job.argv) == bool(job.checker) or job.checker not in ("", *_CHECKERS):
        raise ValueError(
            f"job {job.name!r} needs either a program or one of the checkers {_CHECKERS}"
        )
    if job.checker:
        others = {"others": list(job.others)} if job.others else {}
        return {"name": job.name, "kind": job.checker, "paths": list(job.paths), **others}
    return {"name": job.name, "kind": "exec", "argv": list(job.argv)}
