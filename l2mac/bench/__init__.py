"""The paper's evaluation as a program: tasks, methods and seeds make cells; each is run, measured and summed up."""
