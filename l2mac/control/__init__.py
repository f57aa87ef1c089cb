"""The control unit and the instruction registry: fetch, execute, check, retire."""
