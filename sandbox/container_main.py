"""Start the program that the first argument selects.

Without an argument: the guest. `zygote`: the preloaded checkers. `unpack`: the unpacking of wheels.
"""

import sys

if sys.argv[1:] == ["zygote"]:
    from sandbox.checkers.process import serve

    serve()
elif sys.argv[1:2] == ["unpack"]:
    from sandbox.guest.layer import run

    sys.exit(run())
else:
    from sandbox.guest.main import main

    sys.exit(main())
