"""The paper's evaluation: run and measure every combination of task, variant and seed."""
