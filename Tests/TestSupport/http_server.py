"""Serves a folder over HTTP for tests, and fails as it is told. Prints its port, then a line for each request."""

import argparse
import hashlib
import http.server
import os
import random
import select
import socket
import ssl
import struct
import threading

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--fail", type=float, default=0, help="the part of the requests that fail")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--kinds", default="503,429,reset,cut", help="of the failures; also 'stall'")
parser.add_argument("--no-ranges", action="store_true")
parser.add_argument("--no-validators", action="store_true")
parser.add_argument("--hold-after", type=int, help="of the first whole file, send so many bytes and then no more")
parser.add_argument("--certificate", help="a file with key and certificate: speak HTTPS")
parser.add_argument("--elsewhere", default="", help="where /elsewhere/NAME leads")
options = parser.parse_args()

lock = threading.Lock()
draws = random.Random(options.seed)
failures = {}  # how often each path has failed in a row
held = options.hold_after is None


def failure(path):
    """What goes wrong with this request, if anything. A path fails twice in a row at most."""
    with lock:
        if failures.get(path, 0) < 2 and draws.random() < options.fail:
            failures[path] = failures.get(path, 0) + 1
            return draws.choice(options.kinds.split(","))
        failures[path] = 0
        return ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def said(self, status, note=""):
        asked = self.headers.get("Range", "-")
        print(f"{self.command} {self.path} {asked} {status} {note}".rstrip(), flush=True)

    def answer(self, status, fields=(), note=""):
        self.said(status, note)
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        global held
        path = self.path.split("?")[0]
        if path == "/loop":
            return self.answer(302, [("Location", "/loop")])
        if path.startswith("/redirect/"):
            return self.answer(302, [("Location", path[len("/redirect") :])])
        if path.startswith("/elsewhere/"):
            return self.answer(302, [("Location", options.elsewhere + path[len("/elsewhere") :])])
        if path.startswith("/status/"):
            return self.answer(int(path[len("/status/") :]))
        kind = failure(path)
        if kind in ("503", "429"):
            return self.answer(int(kind), [("Retry-After", "1")] if kind == "429" else [], "failure")
        try:
            with open(os.path.join(options.folder, path.lstrip("/")), "rb") as file:
                facts = os.fstat(file.fileno())
                data = file.read()
        except OSError:
            return self.answer(404)
        tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        start, end, status = 0, len(data), 200
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes=") and not options.no_ranges and self.headers.get("If-Range", tag) == tag:
            first, last = asked[len("bytes=") :].split("-")
            start, end, status = int(first), min(len(data), int(last or len(data)) + 1), 206
            if start >= len(data):
                return self.answer(416, [("Content-Range", f"bytes */{len(data)}")])
        self.send_response(status)
        self.send_header("Content-Length", str(end - start))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if not options.no_validators:
            self.send_header("ETag", tag)
            self.send_header("Last-Modified", self.date_time_string(int(facts.st_mtime)))
        self.end_headers()
        body = data[start:end]
        with lock:
            holds = not held and status == 200 and len(body) > options.hold_after
            held = held or holds
        self.said(status, "held" if holds else kind)
        if holds:
            self.wfile.write(body[: options.hold_after])
            self.wfile.flush()
            select.select([self.connection], [], [])  # until the other end is closed
            self.close_connection = True
            return
        if kind:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if kind == "stall":
                select.select([self.connection], [], [], 60)
            if kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that went away


server = Server(("127.0.0.1", options.port), Handler)
if options.certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"port {server.server_port}", flush=True)
server.serve_forever()
