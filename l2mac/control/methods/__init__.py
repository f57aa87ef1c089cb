"""The methods that the paper compares L2MAC with, each a small program on the control unit's effects.

They have its tools, box, budgets and record, and none of its steering: no plan, no instructions, no checks after a
write, no summaries. docs/methods.md says what each does, and in which respects it is not its paper's.
"""
