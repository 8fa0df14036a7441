"""The demo application with its sessions in a store that speaks the protocol of Redis."""
import subprocess

import pytest
import requests
from harness import Browser, checks, free_port, poll, pool
from harness.agents import Agents
from harness.process import Process
from harness.proxy import BINARY as HOLDFAST


class Redis(Process):
    """A redis-server that keeps nothing on disk."""

    def __init__(self, directory):
        super().__init__("redis-server", directory / "redis.log")
        self.port = free_port()

    def start(self):
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""])
        self.ready(self.port)

    def stop(self):
        if self.process:
            super().stop()


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def shops(redis, tmp_path):
    made = {name: Process(name, tmp_path / f"{name}.log") for name in ("app1", "app2")}
    ports = {name: free_port() for name in made}
    for name, shop in made.items():
        shop.spawn([HOLDFAST, "shop", "--name", name, "--port", str(ports[name]), "--sessions",
                    f"127.0.0.1:{redis.port}"])
        shop.ready(ports[name])
    yield [f"http://127.0.0.1:{port}" for port in ports.values()]
    for shop in made.values():
        shop.stop()


def test_two_shops_have_one_session(shops):
    browser = requests.Session()
    assert browser.post(f"{shops[0]}/login", {"name": "Zoë <b>"}, timeout=5).json()["fresh"]
    browser.post(f"{shops[1]}/cart", {"item": "tea"}, timeout=5)
    browser.post(f"{shops[0]}/cart", {"item": "bread"}, timeout=5)
    cart = browser.get(f"{shops[1]}/cart", timeout=5).json()
    assert (cart["server"], cart["user"], cart["items"], cart["fresh"], cart["lost"]) == (
        "app2", "Zoë <b>", ["tea", "bread"], False, False)
    page = browser.get(f"{shops[0]}/", headers={"Accept": "text/html"}, timeout=5).text
    assert "Zoë &lt;b&gt;" in page and "the agent beside app1" in page


def test_a_session_lives_on_while_it_is_used(shops, redis):
    browser = requests.Session()
    browser.post(f"{shops[0]}/login", {"name": "ada"}, timeout=5)
    key = f"sess:{browser.cookies['SHOPSESSID']}"
    ask = ["redis-cli", "-p", str(redis.port)]
    subprocess.run([*ask, "expire", key, "100"], check=True, capture_output=True)
    browser.get(f"{shops[1]}/cart", timeout=5)
    left = int(subprocess.run([*ask, "ttl", key], check=True, capture_output=True).stdout)
    assert 1790 < left <= 1800
    subprocess.run([*ask, "del", key], check=True, capture_output=True)
    cart = browser.get(f"{shops[0]}/cart", timeout=5).json()
    assert (cart["fresh"], cart["lost"], cart["user"]) == (True, True, None)


def test_a_store_that_is_away_loses_nobody(shops, redis):
    browser = requests.Session()
    browser.post(f"{shops[0]}/login", {"name": "ada"}, timeout=5)
    before = browser.cookies["SHOPSESSID"]
    redis.stop()
    answer = browser.get(f"{shops[0]}/cart", timeout=5)
    assert answer.status_code == 503 and "try again" in answer.text
    assert browser.cookies["SHOPSESSID"] == before and "Set-Cookie" not in answer.headers
    assert requests.get(f"{shops[0]}/healthz", timeout=5).status_code == 503
    redis.start()
    assert requests.get(f"{shops[0]}/healthz", timeout=5).status_code == 200
    assert browser.get(f"{shops[0]}/cart", timeout=5).json()["lost"]  # that redis kept nothing on disk


def test_a_shop_without_its_agent_is_left(run_proxy, tmp_path):
    """Its check asks the agent, so its users go where their sessions are."""
    names = ["app1", "app2", "app3"]
    agents = Agents(tmp_path, names=names).start()
    shops = {name: Process(name, tmp_path / f"{name}.log") for name in names}
    rows = []
    for name, shop in shops.items():
        port = free_port()
        shop.spawn([HOLDFAST, "shop", "--name", name, "--port", str(port), "--sessions",
                    f"127.0.0.1:{agents.agents[name].port}"])
        shop.ready(port)
        rows.append({"name": name, "address": f"127.0.0.1:{port}", "agent": agents.peers[name]})
    proxy = run_proxy(pools=pool(rows, session={"cookie": "SHOPSESSID"}, health=checks()))
    for name in names:
        proxy.wait_state(name, "ready")
    user = Browser(proxy.port)
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    user.request("/login", "POST", form, b"name=ada")
    user.request("/cart", "POST", form, b"item=tea")
    left = user.servers[-1]
    agents.kill(left)
    poll(lambda: user.request("/cart").status == 200, 10, "somebody else serves the user")
    cart = user.request("/cart").json()
    assert cart["server"] != left and (cart["user"], cart["items"], cart["fresh"]) == ("ada", ["tea"], False)
    assert {status for _, _, status in user.errors} <= {503}
    for shop in shops.values():
        shop.stop()
    agents.stop()


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":6379", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "h:x"])
def test_a_bad_address_is_refused(address):
    done = subprocess.run([HOLDFAST, "shop", "--sessions", address], capture_output=True, text=True, timeout=10,
                          check=False)
    assert done.returncode == 2 and "--sessions HOST:PORT" in done.stderr
