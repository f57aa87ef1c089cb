"""The methods that the paper compares L2MAC with.

Each is a small program on the control unit's ports. They have its tools, sandbox, budgets and
trace, and none of its steering: no plan, no instructions, no checks after a write, no summaries.
docs/methods.md says how each works, and in which respects it differs from its paper.
"""
