"""Shipped fakes of the model's side, for tests and demonstrations; each raises when its script runs out.

- `l2mac.testing.model_server`: a model server over real HTTP on loopback, which answers by script and misbehaves on
  request.
- `l2mac.testing.processor`: a processor that gives scripted replies without any server.

The fake of a sandbox is `sandbox.testing`.
"""
