"""Listen on TCP, UDP and an abstract socket; leave a socket and a file."""

import json
import os
import socket
import sys
import time

tcp = socket.create_server(("0.0.0.0", 7007))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 7007))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0" + sys.argv[1])
abstract.listen()
named = socket.socket(socket.AF_UNIX)
named.bind("/workspace/docker.sock")
named.listen()
os.chmod("/workspace/docker.sock", 0o777)
with open("/workspace/left-behind", "w") as file:
    file.write(sys.argv[1])
os.chmod("/workspace", 0o777)
time.sleep(900)
print(json.dumps("ended"))
