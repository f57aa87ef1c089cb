"""What runs inside the sandbox, as PID 1; standard library only; the host never imports it."""
