"""Stands between a client and the server, passes everything on and writes it down as a case.

It takes plain HTTP and TLS on one port, as the server does. What it writes is in the language of
`cases/api`: the requests as they were sent, and of each answer the fields that the clients read,
which `reads.txt` lists. It knows no client and no action.
"""

import http.client
import json
import pathlib
import re
import socket
import socketserver
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler

# Bound to a time, a key or a run: the test that plays the case makes them anew.
REDONE = ("AccessKeyId", "Signature", "SignatureNonce", "Timestamp")
# Differ from run to run whatever the client does.
VOLATILE = (
    "CreationTime", "CreatedTime", "Ipv6CidrBlock", "MacAddress", "RequestId", "Revision",
)
# Headers that say how a request is to be read.
HEADERS = ("accept", "content-type", "x-acs-action", "x-acs-version")
# An id that the server made up.
ID = re.compile(r"\b(vpc|vsw|vrt|vtb|sg|sgr|pl|eni)-[a-z0-9]{12,}\b")
COLUMNS = 96


class Exchange:
    """A request and its answer."""

    def __init__(self, method, target, headers, body, status, answer):
        self.method, self.headers, self.status = method, headers, status
        self.path, _, self.query = target.partition("?")
        self.body = body.decode()
        self.answer = json.loads(answer)
        pairs = urllib.parse.parse_qsl(f"{self.query}&{self.body}", keep_blank_values=True)
        self.parameters = {name: value for name, value in pairs if name not in REDONE}
        self.action = self.parameters.get("Action", "")

    def is_read(self):
        """Whether it changes nothing."""
        return self.action.startswith(("Describe", "List", "Get"))


class Recorder:
    """A server on a free port of the loopback device that passes everything on."""

    def __init__(self, upstream, certificate=None, key=None):
        self.exchanges = []
        lock = threading.Lock()
        exchanges = self.exchanges
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                # The first byte of a handshake over TLS is 0x16, which begins no method.
                first = self.request.recv(1, socket.MSG_PEEK)
                if context and first == b"\x16":
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with lock:
                    connection = http.client.HTTPConnection(*upstream, timeout=60)
                    connection.request(self.command, self.path, body, dict(self.headers))
                    reply = connection.getresponse()
                    answer = reply.read()
                    connection.close()
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    exchanges.append(
                        Exchange(self.command, self.path, headers, body, reply.status, answer)
                    )
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.headers["Content-Type"])
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                # A client that hangs up is no news.
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        """Takes no more calls."""
        self.server.shutdown()
        self.server.server_close()


def reads(path):
    """What clients read of each action's answer: lists of paths; `*` is every item of a list."""
    fields, action = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            action = line.strip()
            fields[action] = []
        else:
            fields[action].append(line.strip().split("."))
    return fields


class Writer:
    """Makes the text of a case of exchanges."""

    def __init__(self, fields):
        self.fields = fields
        self.names, self.counts = {}, {}
        self.unread, self.absent = set(), set()
        # Whether some call has made several rules.
        self.many_at_once = False

    def case(self, title, exchanges):
        """The text; reads that repeat an earlier one, with no write between them, are left out."""
        lines, seen = [f"case {title}"], set()
        for each in exchanges:
            key = (each.action, json.dumps(each.parameters, sort_keys=True), each.status)
            if each.is_read():
                if key in seen:
                    continue
                seen.add(key)
            else:
                seen.clear()
            lines += self.exchange(each)
        return "\n".join(lines) + "\n"

    def exchange(self, each):
        self.many_at_once |= "Permissions" in each.parameters
        lines = ["", f"sent {each.method} {each.path}"]
        lines += self.wrapped("?", each.query) + self.wrapped("&", each.body)
        for name in HEADERS:
            if name in each.headers:
                lines.append(f"  header {name}: {each.headers[name]}")
        code = f" {each.answer['Code']}" if each.status != 200 else ""
        lines.append(f"=> {each.status}{code}")
        if each.status == 200:
            lines += self.checks(each)
        return lines

    def wrapped(self, mark, text):
        lines, current = [], ""
        for piece in filter(None, text.split("&")):
            name, equals, value = piece.partition("=")
            piece = f"{name}={'*' if name in REDONE else self.named(value)}" if equals else name
            if current and len(current) + len(piece) > COLUMNS:
                lines.append(f"  {mark} {current}")
                current = piece
            else:
                current = f"{current}&{piece}" if current else piece
        return lines + ([f"  {mark} {current}"] if current else [])

    def named(self, text):
        """The text with `$name` in place of ids that an answer gave."""
        return ID.sub(lambda id: f"${self.names[id[0]]}" if id[0] in self.names else id[0], text)

    def checks(self, each):
        fields = self.fields.get(each.action)
        if fields is None:
            self.unread.add(each.action)
            return []
        for field in fields:
            if not any(True for _ in values(each.answer, field)):
                self.absent.add(f"{each.action} {'.'.join(field)}")
        lines = []
        for name, value in (pruned(each.answer, fields) or {}).items():
            lines += self.check(name, value)
        return lines

    def check(self, path, value):
        """Lines for one field: a list item by item, each in a line of its own."""
        lines = self.aside(path, value)
        if isinstance(value, list):
            lines.append(f"  {path} count {len(value)}")
            for index, item in enumerate(self.in_order(path, value)):
                lines += self.check(f"{path}.{index}", item)
        elif isinstance(value, dict) and len(value) == 1:
            [(name, inner)] = value.items()
            lines = self.check(f"{path}.{name}", inner)
        elif isinstance(value, dict):
            text = json.dumps(without_volatile(value), separators=(",", ":"), ensure_ascii=False)
            lines.append(f"  {path} like {self.named(text)}")
        elif path.rpartition(".")[2] not in VOLATILE and not lines:
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"  {path} = {self.named(text)}".rstrip())
        return lines

    def in_order(self, path, items):
        """Those whose place is the same in every run: groups, and rules of one call, go by id."""
        if path == "SecurityGroups.SecurityGroup" and len(items) > 1:
            return []
        return items[:1] if path == "Permissions.Permission" and self.many_at_once else items

    def aside(self, path, value):
        """What has a line of its own: new ids, which get names, and what is volatile."""
        if isinstance(value, dict):
            inner = [self.aside(f"{path}.{name}", item) for name, item in value.items()]
            return [line for lines in inner for line in lines]
        if isinstance(value, list):
            return []
        if path.rpartition(".")[2] in VOLATILE:
            kind = {str: "string", bool: "bool", int: "number"}[type(value)]
            return [f"  {path} is {kind}"]
        if isinstance(value, str) and ID.fullmatch(value) and value not in self.names:
            kind = value.partition("-")[0]
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.names[value] = f"{kind}{self.counts[kind]}"
            return [f"  {path} as {self.names[value]}"]
        return []


def pruned(value, fields):
    """The value with nothing but the fields."""
    if [] in fields:
        return value
    if isinstance(value, list):
        inner = [field[1:] for field in fields if field[0] == "*"]
        return [pruned(item, inner) for item in value]
    heads = dict.fromkeys(field[0] for field in fields if isinstance(value, dict))
    inner = {head: [field[1:] for field in fields if field[0] == head] for head in heads}
    return {head: pruned(value[head], inner[head]) for head in heads if head in value}


def without_volatile(value):
    """The value without what differs from run to run."""
    if isinstance(value, list):
        return [without_volatile(item) for item in value]
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if name not in VOLATILE}
        return {name: without_volatile(item) for name, item in kept.items()}
    return value


def values(value, field):
    """The values at a path; an empty list has what its items would have."""
    if not field:
        yield value
    elif field[0] == "*" and isinstance(value, list):
        if not value:
            yield value
        for item in value:
            yield from values(item, field[1:])
    elif isinstance(value, dict) and field[0] in value:
        yield from values(value[field[0]], field[1:])
