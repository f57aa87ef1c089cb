"""The attacks on whoever uses boxes: export, terminal, log, tools, verdicts; `suite.py` joins them with the box's."""
