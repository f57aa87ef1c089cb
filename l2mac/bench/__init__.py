"""The paper's evaluation: run and measure tasks, variants and seeds."""
