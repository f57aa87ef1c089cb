"""What runs inside the box, as PID 1; standard library only; the host never imports it."""
