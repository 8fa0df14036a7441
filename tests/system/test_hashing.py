"""Keys in a field, in the query and in the path, and each hash over them: who stays, who moves, how
weights and bounds hold, and who decides when a sealed cookie came too."""
from collections import Counter

import pytest
from harness import Client, poll
from harness.backend import application, hang

HASHES = ("mod", "maglev", "ring", "rendezvous", "jump")
CONSISTENT = HASHES[1:]
STRATEGIES = {
    "header": {"header": "X-Tenant"},
    "query": {"query": "sid"},
    "path_param": {"path_param": "jsessionid"},
}


def request_of(strategy, key):
    """Target and fields of a request that carries the key."""
    return {
        "header": ("/cart", [("X-Tenant", key)]),
        "query": (f"/cart?page=1&sid={key}&sid=other", []),
        "path_param": (f"/shop;jsessionid={key}/cart;jsessionid=other?page=1", []),
    }[strategy]


def homes(proxy, strategy, count, start=0):
    """key -> name of the server that answered, over one connection."""
    found = {}
    with proxy.client() as client:
        for number in range(start, start + count):
            target, fields = request_of(strategy, f"key{number}")
            answer = client.get(target, fields=fields)
            assert answer.status == 200 and answer.pins() == []
            found[number] = answer.json()["server"]
    return found


def with_pool(proxy, **keys):
    return {**proxy.config, "pools": [{**proxy.config["pools"][0], **keys}]}


def rows_of(servers, weights=None):
    weights = weights or [1] * len(servers)
    return [
        {"name": s.name, "address": f"127.0.0.1:{s.port}", "weight": w}
        for s, w in zip(servers, weights)
    ]


def fleet(backends, first=1, last=10):
    return backends(*[f"app{number}" for number in range(first, last + 1)])


def changed(before, after):
    return {key for key in before if before[key] != after[key]}


@pytest.mark.parametrize("hash_word", HASHES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_key_one_server(run_proxy, backends, strategy, hash_word):
    """On every connection and worker, and with a file that lists the servers backwards."""
    servers = backends("app1", "app2", "app3", "app4")
    keys = {"affinity": [{**STRATEGIES[strategy], "hash": hash_word}]}
    proxy = run_proxy(rows_of(servers), pool_keys=keys)
    first = homes(proxy, strategy, 40)
    assert set(first.values()) == {server.name for server in servers}
    assert homes(proxy, strategy, 40) == first
    proxy.reload(with_pool(proxy, servers=rows_of(servers)[::-1]))
    assert homes(proxy, strategy, 40) == first
    assert proxy.metrics().verdicts() == {"hashed": 120}
    target, fields = request_of(strategy, "")
    assert proxy.get(target, fields=fields).status == 200
    assert proxy.metrics().verdicts() == {"hashed": 120, "none": 1}


@pytest.mark.parametrize("hash_word", HASHES)
def test_a_server_added_by_reload_moves_its_share(run_proxy, backends, hash_word):
    """1 of 11 has to move, and all of those to the new server; maglev moves some more."""
    servers, count = fleet(backends), 660
    affinity = [{"header": "X-Tenant", "hash": hash_word}]
    proxy = run_proxy(rows_of(servers), pool_keys={"affinity": affinity})
    before = homes(proxy, "header", count)
    servers.append(backends("app11"))
    proxy.reload(with_pool(proxy, servers=rows_of(servers)))
    after = homes(proxy, "header", count)
    moved = changed(before, after)
    to_new = {key for key, name in after.items() if name == "app11"}
    assert to_new <= moved
    if hash_word == "mod":  # 10 of 11 do: binomial, six standard deviations
        assert 555 <= len(moved) <= 645
        return
    assert 16 <= len(to_new) <= 104  # 60 +- six standard deviations
    assert len(moved - to_new) <= (0.03 * count if hash_word == "maglev" else 0)


@pytest.mark.parametrize("hash_word", CONSISTENT)
def test_a_dead_server_loses_its_own_and_gets_them_back(run_proxy, backends, hash_word):
    servers = fleet(backends, last=5)
    affinity = [{"query": "sid", "hash": hash_word}]
    proxy = run_proxy(rows_of(servers), pool_keys={"affinity": affinity, "passive": {"failures": 0}})
    before = homes(proxy, "query", 100)
    proxy.set_state("app3", "maintenance")
    gone = homes(proxy, "query", 100)
    assert changed(before, gone) == {key for key, name in before.items() if name == "app3"}
    assert len({gone[key] for key in changed(before, gone)}) >= 3, "they spread"
    proxy.set_state("app3", "ready")
    assert homes(proxy, "query", 100) == before
    servers[2].stop()  # nobody judges it: each request fails there and goes on to the same stand-in
    assert homes(proxy, "query", 100) == gone


def test_a_reload_changes_the_hash(run_proxy, backends):
    servers = fleet(backends, last=4)
    proxy = run_proxy(
        rows_of(servers), pool_keys={"affinity": [{"header": "X-Tenant", "hash": "mod"}]}
    )
    seen = {}
    for hash_word in (*HASHES, *HASHES):
        affinity = [{"header": "X-Tenant", "hash": hash_word}]
        proxy.reload(with_pool(proxy, affinity=affinity, balance="round_robin"))
        found = homes(proxy, "header", 60)
        assert seen.setdefault(hash_word, found) == found
    assert len({tuple(found.values()) for found in seen.values()}) == len(HASHES)


@pytest.mark.parametrize("hash_word", HASHES)
def test_weights(run_proxy, backends, hash_word):
    """6 : 3 : 1 of 600 keys, within six standard deviations (and what a ring's points deviate)."""
    servers = fleet(backends, last=3)
    rows = rows_of(servers, (6, 3, 1))
    affinity = [{"path_param": "jsessionid", "hash": hash_word}]
    proxy = run_proxy(rows, pool_keys={"affinity": affinity})
    counts = Counter(homes(proxy, "path_param", 600).values())
    for name, share in (("app1", 0.6), ("app2", 0.3), ("app3", 0.1)):
        spread = 6 * (600 * share * (1 - share)) ** 0.5
        assert abs(counts[name] - 600 * share) <= spread * 1.1, counts


def hang_on_request(connection, request):
    (hang if b"/hang" in request.target else application)(connection, request)


def hold(proxy, servers, key, count):
    """Requests of one key that hang, begun one after the other; name -> how many are there."""
    held = []
    for number in range(count):
        held.append(Client(proxy.port).ask("/hang", fields=[("X-Tenant", key)]))
        poll(
            lambda: sum(proxy.server(s.name)["active"] for s in servers) == number + 1,
            what=f"request {number + 1} hangs",
            interval=0.005,
        )
    return held, {s.name: proxy.server(s.name)["active"] for s in servers}


@pytest.mark.parametrize("hash_word", HASHES)
def test_bounded_load_under_held_requests(run_proxy, backends, hash_word):
    """All come with one key. Unbounded its server would have all 16; the bound lets it have
    ceil(1.25 * 16 / 4) = 5, and whoever is next in the key's sequence as many."""
    servers = backends("app1", "app2", "app3", "app4", behave=hang_on_request)
    affinity = [{"header": "X-Tenant", "hash": hash_word, "bounded_load": 1.25}]
    proxy = run_proxy(rows_of(servers), workers=1, pool_keys={"affinity": affinity})
    home = proxy.get("/", fields=[("X-Tenant", "hot")]).json()["server"]
    held, active = hold(proxy, servers, "hot", 16)
    assert active[home] == 5 and max(active.values()) == 5 and sum(active.values()) == 16
    found = proxy.metrics().verdicts()
    assert found["bounded"] >= 8 and found["hashed"] + found["bounded"] == 17
    for client in held:
        client.close()
    poll(lambda: all(proxy.server(s.name)["active"] == 0 for s in servers), what="all have gone")
    assert proxy.get("/", fields=[("X-Tenant", "hot")]).json()["server"] == home


def test_without_a_bound_one_key_has_one_server(run_proxy, backends):
    servers = backends("app1", "app2", "app3", behave=hang_on_request)
    affinity = [{"header": "X-Tenant", "hash": "maglev"}]
    proxy = run_proxy(rows_of(servers), workers=1, pool_keys={"affinity": affinity})
    held, active = hold(proxy, servers, "hot", 8)
    assert sorted(active.values()) == [0, 0, 8]
    for client in held:
        client.close()


@pytest.mark.parametrize("balance", ["ip_hash", *CONSISTENT])
def test_a_hash_as_the_balancer(run_proxy, backends, balance):
    """The address decides where a new client is pinned; then its cookie does, wherever it is."""
    servers = fleet(backends, last=3)
    proxy = run_proxy(rows_of(servers), pool_keys={"balance": balance})
    found = {}
    for number in range(1, 25):
        source, served = f"127.0.{number}.{number}", set()
        for _ in range(2):
            with Client(proxy.port, source=source) as client:
                answer = client.get("/")
                served.add(answer.json()["server"])
        assert len(served) == 1
        found[source] = (served.pop(), answer.pin())
    assert {name for name, _ in found.values()} == {server.name for server in servers}
    for name, pin in list(found.values())[:6]:
        again = proxy.get("/", fields=[("Cookie", f"HOLDFAST={pin}")])
        assert again.json()["server"] == name and again.pins() == []


def test_a_url_never_outranks_a_sealed_cookie(run_proxy, backends):
    servers = fleet(backends, last=4)
    affinity = [
        {"cookie": "HOLDFAST", "mode": "insert"},
        {"header": "X-Tenant", "hash": "maglev"},
        {"query": "sid", "hash": "maglev"},
        {"path_param": "jsessionid", "hash": "maglev"},
    ]
    proxy = run_proxy(rows_of(servers), pool_keys={"affinity": affinity})
    pins = {}
    for number in range(40):  # without a cookie the link decides, and the client is pinned there
        answer = proxy.get(f"/;jsessionid=p{number}?sid=q{number}")
        pins.setdefault(answer.json()["server"], answer.pin())
    assert len(pins) == 4
    for home, pin in pins.items():
        for number in range(10):  # links of others
            answer = proxy.get(
                f"/;jsessionid=p{number}?sid=q{number}",
                fields=[("Cookie", f"HOLDFAST={pin}"), ("X-Tenant", f"t{number}")],
            )
            assert answer.json()["server"] == home and answer.pins() == []
    # Of the strategy that decided.
    assert proxy.metrics().verdicts() == {"hashed": 40, "pinned": 40}
    poll(lambda: len(proxy.access_log()) == 80, what="all are in the log")
    told = Counter(row["why"] for row in proxy.access_log())
    assert told == {"hashed": 40, "pinned": 40}
    forged = proxy.get("/?sid=q1", fields=[("Cookie", "HOLDFAST=" + "A" * 88)])
    link = proxy.get("/?sid=q1")
    assert forged.json()["server"] == link.json()["server"] and len(forged.pins()) == 1
