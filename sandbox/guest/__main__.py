"""Start the guest, or with `zygote` as the argument the preloaded checkers."""

import sys

if sys.argv[1:] == ["zygote"]:
    from sandbox.guest.zygote import serve

    serve()
else:
    from sandbox.guest.main import main

    sys.exit(main())
