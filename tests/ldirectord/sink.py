"""A mail server that keeps what it is sent: python sink.py FILE"""

import os
import socketserver
import sys


class Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        lines: list[str] = []
        self.say("220 sink ESMTP")
        data = False
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            lines.append(line)
            if data:
                if line == ".":
                    data = False
                    self.say("250 kept")
                    with open(sys.argv[1], "a") as kept:
                        kept.write("\n".join(lines) + "\n====\n")
                    lines.clear()
            elif line == "DATA":
                data = True
                self.say("354 go on")
            elif line == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("127.0.0.1", 25), Session) as server:
    print("up", os.getpid(), flush=True)
    server.serve_forever()
