"""Clients that the proxy remembers: `learn` and `source_ip: table`, over failures, reloads, restarts
and damaged files."""
import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harness import checks, free_port, poll, scaled
from harness.child import DIES_WITH_US
from harness.proxy import BINARY, INSTRUMENTED

NAMES = ("app1", "app2", "app3", "app4")
CLIENTS = 1000 if INSTRUMENTED else 20000
TRUSTED = ["127.0.0.0/8"]
PROGRAM = str(Path(BINARY).parent / "bench" / "bench-clients")


def by_address(**keys):
    return [{"source_ip": "table", **keys}]


def by_learning(**keys):
    return [{"learn": "SID", **keys}]


def session(connection, request):
    """An application that gives a session id to whoever has none, and believes those it gets."""
    connection.read_body(request)
    backend, sid = connection.backend, request.cookies().get("SID")
    fields = []
    if sid is None:
        with backend.lock:
            backend.sessions[f"{backend.name}-{len(backend.sessions)}"] = 0
            sid = f"{backend.name}-{len(backend.sessions) - 1}"
        fields.append(("Set-Cookie", f"SID={sid}; Path=/; HttpOnly"))
    connection.respond(200, {"server": backend.name, "session": sid}, fields)


def came_from(address):
    return [("X-Forwarded-For", address)]


def has(sid):
    return [("Cookie", f"a=b; SID={sid}")]


def who(proxy, fields):
    """The server that answers a request on a connection of its own."""
    return proxy.get(fields=fields).json()["server"]


def addresses(count):
    return [f"198.51.{number >> 8}.{number & 255}" for number in range(count)]


# --- very many clients ---------------------------------------------------------------------------
@pytest.fixture
def servers():
    """Four servers in one process, and a function that lets a number of clients ask each once."""
    ports = [free_port() for _ in NAMES]
    process = subprocess.Popen(
        [*DIES_WITH_US, PROGRAM, "serve", ",".join(map(str, ports))], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    yield list(zip(NAMES, ports))
    process.kill()
    process.wait()
    process.stdout.close()


def ask(proxy, how, known, count=CLIENTS):
    """Each client asks once. known: a file of who served whom, written the first time, and held
    against from then on."""
    command = [PROGRAM, "ask", str(proxy.port), how, str(count), str(known)]
    done = subprocess.run(command, capture_output=True, timeout=scaled(50), check=False)
    proxy.alive()
    report = json.loads(done.stdout)
    assert report["failed"] == 0 and report["strayed"] == 0, report
    # Of few clients chance may leave a server out.
    assert report["servers"] == len(NAMES) or count < 100, report
    return report


def wait_written(proxy):
    """Until all that the table knows now is on disk."""
    began = time.monotonic()

    def written():
        behind = proxy.metric("holdfast_table_lag_milliseconds") / 1000
        return behind < time.monotonic() - began - 0.05

    poll(written, 10, "the table is on disk")


@pytest.mark.parametrize("how, affinity", [("address", by_address()), ("learn", by_learning())])
def test_all_clients_return_over_reload_and_restart(run_proxy, servers, tmp_path, how, affinity):
    """The short form of bench/many-clients, which has a million."""
    known = tmp_path / "known"
    quiet = {"level": "info", "access": "off"}
    proxy = run_proxy(
        servers, pool_keys={"affinity": affinity}, trusted_proxies=TRUSTED, log=quiet
    )
    assert ask(proxy, how, known)["first"]
    assert not ask(proxy, how, known)["first"]
    proxy.reload({**proxy.config, "pools": [{**proxy.config["pools"][0], "balance": "random"}]})
    ask(proxy, how, known)
    proxy.stop()
    proxy.start()
    ask(proxy, how, known)
    wait_written(proxy)
    proxy.kill()
    proxy.start()
    ask(proxy, how, known)
    # Who asked before his entry was loaded was found in the file: so not all count as loaded.
    poll(lambda: proxy.metric("holdfast_table_entries") == CLIENTS, 10, "all entries are there")
    assert proxy.metric("holdfast_table_evictions_total") == 0


def test_100_first_requests_at_once_of_each_client_have_one_server(run_proxy, servers, tmp_path):
    proxy = run_proxy(
        servers,
        pool_keys={"affinity": by_address(), "balance": "random"},
        trusted_proxies=TRUSTED,
    )
    report = ask(proxy, "race", tmp_path / "known", count=CLIENTS // 100)
    assert report["requests"] == CLIENTS // 100 * 100
    assert proxy.metric("holdfast_table_inserts_total") == CLIENTS // 100


def all_at_once(proxy, fields, count=100):
    """The servers that answer so many requests, all sent before the first answer is read."""
    clients = [proxy.client() for _ in range(count)]
    gate = threading.Barrier(count)

    def send(client):
        gate.wait()
        client.ask(fields=fields)

    threads = [threading.Thread(target=send, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = [client.response().json()["server"] for client in clients]
    for client in clients:
        client.sock.close()
    return set(answers)


@pytest.mark.parametrize(
    "affinity, fields",
    [
        (by_learning(), has("made-before-this-proxy")),
        ([{"cookie": "HOLDFAST"}, *by_address()], came_from("198.51.100.7")),
        ([{"cookie": "HOLDFAST"}, *by_learning()], has("made-before-this-proxy")),
        ([{"cookie": "HOLDFAST"}, {"header": "X-Session"}], [("X-Session", "one of many")]),
    ],
)
def test_100_first_requests_at_once_have_one_server(run_proxy, backends, affinity, fields):
    proxy = run_proxy(
        backends(*NAMES, behave=session),
        pool_keys={"affinity": affinity, "balance": "random"},
        trusted_proxies=TRUSTED,
    )
    assert len(all_at_once(proxy, fields)) == 1


# --- what moves a client, and what does not ------------------------------------------------------
def fail_once(connection, request):
    connection.backend.behave = session
    connection.read_body(request)
    connection.reset()


@pytest.mark.parametrize("affinity", [by_address(), by_learning()])
def test_one_failed_request_moves_nobody(run_proxy, backends, affinity):
    made = backends(*NAMES, behave=session)
    proxy = run_proxy(made, pool_keys={"affinity": affinity}, trusted_proxies=TRUSTED)
    first = proxy.get(fields=came_from("198.51.100.7")).json()
    fields = came_from("198.51.100.7") + has(first["session"])
    home = next(backend for backend in made if backend.name == first["server"])
    home.behave = fail_once
    home.close_idle()
    assert who(proxy, fields) != home.name, "somebody stands in"
    for _ in range(5):
        assert who(proxy, fields) == home.name
    assert proxy.metric("holdfast_pins_total", kind="moved") == 0


@pytest.mark.parametrize("affinity", [by_address(), by_learning()])
def test_a_server_judged_down_loses_its_clients_for_good(run_proxy, backends, affinity):
    made = backends(*NAMES, behave=session)
    proxy = run_proxy(
        made, pool_keys={"affinity": affinity, "health": checks()}, trusted_proxies=TRUSTED
    )
    first = {a: proxy.get(fields=came_from(a)).json() for a in addresses(40)}
    fields = {a: came_from(a) + has(answer["session"]) for a, answer in first.items()}
    home = made[0]
    home.stop()
    proxy.wait_state(home.name, "down")
    second = {a: who(proxy, fields[a]) for a in first}
    assert home.name not in second.values()
    for address, answer in first.items():
        assert answer["server"] in (home.name, second[address]), "who had another server stays"
    home.start()
    proxy.wait_state(home.name, "ready")
    assert {a: who(proxy, fields[a]) for a in first} == second
    lost = sum(answer["server"] == home.name for answer in first.values())
    assert lost > 0 and proxy.metric("holdfast_pins_total", kind="moved") == lost


def test_a_server_keeps_its_clients_under_another_address_and_place(run_proxy, backends):
    made = backends(*NAMES, behave=session)
    keys = {"affinity": by_address()}
    proxy = run_proxy(made, pool_keys=keys, trusted_proxies=TRUSTED, workers=1)
    first = {a: who(proxy, came_from(a)) for a in addresses(40)}
    rows = [{"name": b.name, "address": f"127.0.0.1:{b.port}"} for b in made]
    rows.reverse()
    moved = backends("app2", behave=session)
    rows[2]["address"] = f"127.0.0.1:{moved.port}"
    proxy.reload({**proxy.config, "pools": [{**proxy.config["pools"][0], "servers": rows}]})
    assert {a: who(proxy, came_from(a)) for a in first} == first
    assert len(moved.requests) == 10


# --- keys of requests ---------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["header", "query", "path_param"])
def test_a_key_of_the_request_keeps_its_server(run_proxy, backends, kind):
    made = backends(*NAMES, behave=session)
    proxy = run_proxy(made, pool_keys={"affinity": [{kind: "Key"}]}, workers=1)

    def served(key):
        targets = {"header": "/", "query": f"/?a=b&Key={key}", "path_param": f"/a;Key={key}?b"}
        fields = [("key", key)] if kind == "header" else []
        return proxy.get(targets[kind], fields=fields).json()["server"]

    first = {key: served(key) for key in addresses(40)}
    assert {name: list(first.values()).count(name) for name in NAMES} == dict.fromkeys(NAMES, 10)
    pool = proxy.config["pools"][0]
    more = [*pool["servers"], {"name": "app5", "address": f"127.0.0.1:{backends('app5').port}"}]
    proxy.reload({**proxy.config, "pools": [{**pool, "servers": more}]})
    proxy.stop()
    proxy.start()
    assert {key: served(key) for key in first} == first
    assert served("new-key") in (*NAMES, "app5")
    assert proxy.metric("holdfast_table_entries") == 41


# --- who a client is -----------------------------------------------------------------------------
def test_addresses_are_believed_from_trusted_proxies_alone(run_proxy, backends):
    made = backends(*NAMES, behave=session)
    affinity = by_address(ipv4_prefix=24, ipv6_prefix=48)
    proxy = run_proxy(made, pool_keys={"affinity": affinity}, trusted_proxies=TRUSTED, workers=1)
    networks = {}
    for address, network in [
        ("198.51.100.1", 1),
        ("198.51.101.1", 2),
        ("198.51.100.255", 1),
        ("198.51.101.77, 127.0.0.9", 2),
        ("2001:db8:1:1::1", 3),
        ("2001:db8:1:ffff::2", 3),
        ("2001:db8:2::1", 4),
    ]:
        server = who(proxy, came_from(address))
        assert networks.setdefault(network, server) == server, address
    assert proxy.metric("holdfast_table_entries") == 4
    assert set(networks.values()) == set(NAMES)
    distrustful = run_proxy(made, pool_keys={"affinity": by_address()}, trusted_proxies=[])
    assert len({who(distrustful, came_from(a)) for a in addresses(20)}) == 1
    assert distrustful.metric("holdfast_table_entries") == 1


def test_a_header_field_of_the_answer_is_learned(run_proxy, backends):
    def tells(connection, request):
        connection.read_body(request)
        name = connection.backend.name
        connection.respond(200, {"server": name}, [("Mcp-Session-Id", f"session-of-{name}")])

    affinity = [{"learn": "Mcp-Session-Id", "from": "header"}]
    proxy = run_proxy(backends(*NAMES, behave=tells), pool_keys={"affinity": affinity}, workers=1)
    for _ in NAMES:
        proxy.get()
    for name in NAMES:
        for _ in range(3):
            assert who(proxy, [("mcp-session-id", f"session-of-{name}")]) == name
    assert proxy.metric("holdfast_table_entries") == len(NAMES)


def test_invented_ids_make_no_entries(run_proxy, backends):
    proxy = run_proxy(backends(*NAMES, behave=session), pool_keys={"affinity": by_learning()})
    with proxy.client() as client:
        for number in range(200):
            client.get(fields=has(f"invented{number}"))
    assert proxy.metric("holdfast_table_entries") == 0
    assert proxy.metric("holdfast_affinity_verdicts_total", verdict="unlisted") == 200


# --- bounds --------------------------------------------------------------------------------------
def test_beyond_its_size_idle_entries_go_and_are_counted(run_proxy, backends):
    proxy = run_proxy(
        backends(*NAMES, behave=session),
        pool_keys={"affinity": by_address(size=100)},
        trusted_proxies=TRUSTED,
    )
    with proxy.client() as client:
        for address in addresses(1000):
            server = client.get(fields=came_from(address)).json()["server"]
            assert client.get(fields=came_from(address)).json()["server"] == server
    entries = proxy.metric("holdfast_table_entries")
    assert 100 <= entries < 400
    assert proxy.metric("holdfast_table_evictions_total") == 1000 - entries
    assert proxy.metric("holdfast_table_size") == 100


def test_idle_entries_expire_over_a_restart_too(run_proxy, backends):
    proxy = run_proxy(
        backends(*NAMES, behave=session),
        pool_keys={"affinity": by_address(expire="1s")},
        trusted_proxies=TRUSTED,
    )
    for address in addresses(20):
        who(proxy, came_from(address))
    proxy.stop()
    proxy.start()

    # Those that were idle for long enough by then are not loaded.
    poll(lambda: re.search(r"\d+ entries loaded", proxy.stderr()), 10, "the table is loaded")
    poll(lambda: not knows(proxy, "198.51.0.1"), 20, "an idle client is a new one")


def knows(proxy, address):
    before = proxy.metric("holdfast_affinity_verdicts_total", verdict="unlisted")
    who(proxy, came_from(address))
    return proxy.metric("holdfast_affinity_verdicts_total", verdict="unlisted") == before


def test_another_size_keeps_every_client_over_reload_and_restart(run_proxy, backends):
    proxy = run_proxy(
        backends(*NAMES, behave=session),
        pool_keys={"affinity": by_address(size=1000)},
        trusted_proxies=TRUSTED,
    )
    first = {a: who(proxy, came_from(a)) for a in addresses(200)}
    for size in (50000, 700):
        rows = by_address(size=size)
        proxy.reload({**proxy.config, "pools": [{**proxy.config["pools"][0], "affinity": rows}]})
        poll(lambda: proxy.metric("holdfast_table_size") == size, 10, "the size is taken on")
        assert {a: who(proxy, came_from(a)) for a in first} == first
    proxy.stop()
    proxy.start()
    assert {a: who(proxy, came_from(a)) for a in first} == first


# --- files that cannot be used -------------------------------------------------------------------
def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def garbage(path):
    path.write_bytes(os.urandom(path.stat().st_size))


def another_version(path):
    content = bytearray(path.read_bytes())
    content[8] += 1
    path.write_bytes(content)


def flipped_everywhere(path):
    content = bytearray(path.read_bytes())
    for at in range(5000, len(content), 97):
        content[at] ^= 0x55
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, garbage, another_version, flipped_everywhere])
def test_a_damaged_file_costs_its_entries_alone(run_proxy, backends, damage):
    proxy = run_proxy(
        backends(*NAMES, behave=session),
        pool_keys={"affinity": by_address(size=1000)},
        trusted_proxies=TRUSTED,
    )
    first = {a: who(proxy, came_from(a)) for a in addresses(200)}
    proxy.stop()
    (file,) = Path(proxy.config["state_dir"]).glob("*.pins")
    damage(file)
    proxy.start()
    second = {a: who(proxy, came_from(a)) for a in first}
    assert {a: who(proxy, came_from(a)) for a in first} == second
    told = "damaged or missing" if damage in (cut, flipped_everywhere) else "starts empty"
    poll(lambda: told in proxy.stderr(), 10, "what the damage costs is told")
    assert str(file) in proxy.stderr()
    assert file.with_name(file.name + ".corrupt").exists() == (told == "starts empty")
    proxy.stop()
    proxy.start()
    assert {a: who(proxy, came_from(a)) for a in first} == second


def test_a_folder_that_cannot_be_written_costs_persistence_alone(run_proxy, backends):
    proxy = run_proxy(
        backends(*NAMES, behave=session),
        pool_keys={"affinity": by_address()},
        trusted_proxies=TRUSTED,
        state_dir="/proc/self",
    )
    first = {a: who(proxy, came_from(a)) for a in addresses(50)}
    assert {a: who(proxy, came_from(a)) for a in first} == first
    poll(lambda: "memory alone" in proxy.stderr(), 10, "the folder is told")
