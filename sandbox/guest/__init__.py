"""PID 1 of the container; standard library only, and never imported by the host."""
