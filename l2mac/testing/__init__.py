"""Shipped fakes of the outside world, for tests and demonstrations.

All fakes raise an error when their script runs out.

- `l2mac.testing.model_server`: a model server over real HTTP on loopback, which answers by a script
  and misbehaves on request.
- `l2mac.testing.memory_sandbox`: sandboxes that keep files in memory, execute nothing, and can be
  lost at any call.
- `l2mac.testing.processor`: a processor that returns scripted replies without a server.
"""
