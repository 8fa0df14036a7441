"""The proxies that bench/run compares: how each is configured, started, measured and stopped.

Every one does the same work: one thread, a client that keeps its server, keep-alive towards clients
and servers, X-Forwarded-For, -Proto and -Host set, no access log, no health checks. Those that are
compared with each other know their clients by the same thing: an own cookie unless the name says
-learn (the application's session cookie, in a table) or -source (the address, in a table).
"""
import collections
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

FOLDER = pathlib.Path(__file__).resolve().parent
START_S_MAX = 10
ADMIN_PORT_AFTER = 50  # of a Holdfast: its admin port, so many after its own
STOP_S_MAX = 5


class BenchError(Exception):
    """The comparison cannot be made, or a proxy answered wrongly."""


def fill(template, values):
    """The template of that name with each @KEY@ replaced; one that is left is an error."""
    text = (FOLDER / template).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    left = re.search(r"@[A-Z_]+@", text)
    if left:
        raise BenchError(f"{template}: {left.group()} has no value")
    return text


def lines(indent, items):
    return "\n".join(" " * indent + item for item in items)


TABLE_SIZE = 1000000  # entries, of every proxy that keeps a table
TABLE_EXPIRE = "30m"
INSERT = ["cookie SRV insert indirect nocache"]
STICK_LEARN = [f"stick-table type string len 40 size {TABLE_SIZE} expire {TABLE_EXPIRE}",
               "stick match req.cook(sid)", "stick store-response res.cook(sid)"]
STICK_SOURCE = [f"stick-table type ip size {TABLE_SIZE} expire {TABLE_EXPIRE}", "stick on src"]


def haproxy_config(settings, directory, port, plain=False, sticky=INSERT):
    headers = ["option forwardfor",
               "http-request set-header X-Forwarded-Proto http",
               "http-request set-header X-Forwarded-Host %[req.hdr(host)]"]
    servers = [f"server s{i} 127.0.0.1:{backend} cookie s{i}"
               for i, backend in enumerate(settings.backends)]
    return fill("haproxy.cfg.in", {"PORT": port, "SERVERS": lines(4, servers),
                                   "STICKY": lines(4, sticky),
                                   "HEADERS": "" if plain else lines(4, headers)})


def nginx_servers(ports):
    """max_fails=0, because the backends are gone between two rounds."""
    return [f"    server 127.0.0.1:{port} max_fails=0;" for port in ports]


def nginx_pins(settings):
    """One upstream a server, so that a cookie names a server; `all` for clients without one."""
    keepalive = ["    keepalive 128;", "    keepalive_requests 1000000000;", "}"]
    out = ["upstream all {", *nginx_servers(settings.backends), *keepalive]
    for i, port in enumerate(settings.backends):
        out += [f"upstream s{i} {{", *nginx_servers([port]), *keepalive]
    out += ["map $cookie_SRV $pool {", "    default all;",
            *[f"    s{i} s{i};" for i in range(len(settings.backends))], "}",
            'map "$pool $upstream_addr" $pin {', '    default "";',
            *[f'    "all 127.0.0.1:{port}" "SRV=s{i}; path=/";'
              for i, port in enumerate(settings.backends)], "}"]
    return lines(4, out), ["proxy_pass http://$pool;", "add_header Set-Cookie $pin;"]


def nginx_hash(settings):
    """The other sticky form that stock nginx has: the client's own random cookie, hashed."""
    out = ["upstream all {", "    hash $route;", *nginx_servers(settings.backends),
           "    keepalive 128;", "    keepalive_requests 1000000000;", "}",
           'map $cookie_SRV $route { "" $request_id; default $cookie_SRV; }',
           'map $cookie_SRV $pin { "" "SRV=$request_id; path=/"; default ""; }']
    return lines(4, out), ["proxy_pass http://all;", "add_header Set-Cookie $pin;"]


def nginx_config(settings, directory, port, plain=False, sticky=nginx_pins):
    upstreams, location = sticky(settings)
    headers = ["proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
               "proxy_set_header X-Forwarded-Proto $scheme;",
               "proxy_set_header X-Forwarded-Host $http_host;"]
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return fill("nginx.conf.in", {
        "PORT": port, "DIR": directory, "FILES": files, "CONNECTIONS": files - 100,
        "UPSTREAMS": upstreams, "LOCATION": lines(12, location),
        "HEADERS": "" if plain else lines(8, headers)})


def holdfast_config(settings, directory, port, affinity="{cookie: SRV, mode: insert}"):
    servers = [f'- {{name: s{i}, address: "127.0.0.1:{backend}"}}'
               for i, backend in enumerate(settings.backends)]
    return fill("holdfast.yaml.in", {
        "PORT": port, "ADMIN_PORT": port + ADMIN_PORT_AFTER, "DIR": directory,
        "AFFINITY": affinity,
        "CONNECTIONS": settings.websockets + 1000, "SERVERS": lines(6, servers)})


# program, its arguments before the file, the configuration's author, what the clients must do
# (bench-load's options), and how many cookies each of them is given
Kind = collections.namedtuple("Kind", "program arguments author clients cookies",
                              defaults=([], 1))
LOGIN, SOURCES = ["--login"], ["--sources"]


def holdfast_kinds(settings):
    command = (settings.holdfast, ["proxy", "-c"])
    found = {
        "holdfast": Kind(*command, holdfast_config),
        "holdfast-learn": Kind(*command, lambda *a: holdfast_config(
            *a, f"{{learn: sid, expire: {TABLE_EXPIRE}, size: {TABLE_SIZE}}}"), LOGIN),
        "holdfast-source": Kind(*command, lambda *a: holdfast_config(
            *a, f"{{source_ip: table, expire: {TABLE_EXPIRE}, size: {TABLE_SIZE}}}"), SOURCES, 0),
    }
    if settings.before:
        found["holdfast-before"] = Kind(settings.before, ["proxy", "-c"], holdfast_config)
    return found


def peer_kinds():
    haproxy, nginx = ("haproxy", ["-db", "-f"]), ("nginx", ["-g", "daemon off;", "-c"])
    return {
        "haproxy": Kind(*haproxy, haproxy_config),
        "nginx": Kind(*nginx, nginx_config),
        "haproxy-plain": Kind(*haproxy, lambda *a: haproxy_config(*a, plain=True)),
        "nginx-plain": Kind(*nginx, lambda *a: nginx_config(*a, plain=True)),
        "nginx-hash": Kind(*nginx, lambda *a: nginx_config(*a, sticky=nginx_hash)),
        "haproxy-learn": Kind(*haproxy, lambda *a: haproxy_config(*a, sticky=STICK_LEARN), LOGIN),
        "haproxy-source": Kind(*haproxy, lambda *a: haproxy_config(*a, sticky=STICK_SOURCE),
                               SOURCES, 0),
    }


def kinds(settings):
    """name -> Kind, of every proxy that can be compared."""
    return {**holdfast_kinds(settings), **peer_kinds()}


def processes(root):
    """The process and all its descendants."""
    parents = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        parents[int(entry.parent.name)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


class Proxy:
    """One running proxy, pinned to its core. Use with `with`."""

    def __init__(self, name, settings, port):
        self.name, self.settings, self.port = name, settings, port
        self.kind = kinds(settings)[name]
        self.directory = settings.directory / name
        self.process = None

    def __enter__(self):
        if self.directory.exists():
            shutil.rmtree(self.directory)
        self.directory.mkdir(parents=True)
        config = self.directory / "config"
        config.write_text(self.kind.author(self.settings, self.directory, self.port))
        if self.name.startswith("holdfast"):  # a cookie key that anyone may read would be refused
            self.directory.chmod(0o700)
        core = self.settings.proxy_core
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self.kind.program, *self.kind.arguments, str(config)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        try:
            self.wait_ready()
        except BenchError:
            self.__exit__()
            raise
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                listening = probe.connect_ex(("127.0.0.1", self.port)) == 0
            workers = len(self.pids()) > 1 or not self.name.startswith("nginx")
            if listening and workers:
                return
            time.sleep(0.05)
        text = (self.directory / "log").read_text(errors="replace")
        raise BenchError(f"{self.name} does not start: {text.strip() or 'no message'}")

    def pids(self):
        return processes(self.process.pid)

    def memory(self):
        """{"rss", "pss", "private"} in bytes, summed over all its processes."""
        sums = {"rss": 0, "pss": 0, "private": 0}
        for pid in self.pids():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            rows = re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)
            sizes = {key: int(kilobytes) * 1024 for key, kilobytes in rows}
            sums["rss"] += sizes["Rss"]
            sums["pss"] += sizes["Pss"]
            sums["private"] += sizes["Private_Clean"] + sizes["Private_Dirty"]
        return sums

    def settled_memory(self):
        """Its memory once two readings in a row agree, or after three seconds."""
        last = self.memory()
        for _ in range(12):
            time.sleep(0.25)
            now = self.memory()
            if now == last:
                break
            last = now
        return last

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
