"""The evaluator E(D): run the checks in the sandbox and reach one verdict."""
