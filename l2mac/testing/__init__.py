"""Shipped fakes of a model and its server, for tests and demonstrations.

All fakes raise an error when their script runs out. `sandbox.testing` holds the fake sandbox.

- `l2mac.testing.model_server`: a model server over real HTTP on loopback, which answers by a script
  and misbehaves on request.
- `l2mac.testing.processor`: a processor that returns scripted replies without a server.
"""
