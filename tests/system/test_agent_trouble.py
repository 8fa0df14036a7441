"""Agents in the hands of people in a hurry: files that contradict each other, too many clients, an end
in the middle of a resync or with a backup that does not answer. Others are served meanwhile, and the
log says what happened and what to do."""
import json
import resource
import signal
import socket
import threading
import time
import urllib.request

import pytest
import redis
from harness import poll, scaled
from harness.agent import Agent
from harness.agents import Agents
from harness.ports import free_port
from harness.proxy import Metrics
from harness.redis import Wire, encode

COUNT = 150


def log(agent, text):
    return text in agent.stderr()


def metric(agent, name, **labels):
    url = f"http://127.0.0.1:{agent.admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=scaled(5)) as answer:
        return Metrics.parse(answer.read().decode()).value(name, **labels)


def fill(agents):
    clients = [agents.client(name) for name in agents.names]
    for i in range(COUNT):
        client = clients[i % len(clients)]
        client.get(f"sess:{i}")
        assert client.set(f"sess:{i}", f"value {i}", ex=600)
    return clients


def all_there(clients):
    for i in range(COUNT):
        assert clients[(i + 1) % len(clients)].get(f"sess:{i}") == b"value %d" % i


# ---- files that contradict each other ----


def test_peers_that_disagree_say_so_and_lose_nothing(tmp_path):
    own = {"b": {"backups": 2}, "c": {"consistency": "consistent"}}
    agents = Agents(tmp_path, own=own).start()
    try:
        clients = fill(agents)
        for name, others in (("a", "bc"), ("b", "ac"), ("c", "ab")):
            for other in others:
                said = f"peer {other} has another 'backups' or 'consistency' than this agent"
                poll(lambda n=name, t=said: log(agents.agents[n], t), 10, f"{name} tells of {other}")
        agents.kill("b")
        all_there([clients[0], clients[2]])
    finally:
        agents.stop()


def test_alike_peers_say_nothing(tmp_path):
    agents = Agents(tmp_path, backups=2, consistency="consistent").start()
    try:
        fill(agents)
        assert not any(log(agents.agents[name], "than this agent") for name in "abc")
    finally:
        agents.stop()


def test_a_second_agent_of_one_name_is_kept_out(tmp_path):
    """A file copied from another machine, with its name left in. Both files are right by themselves."""
    agents = Agents(tmp_path).start()
    address = f"127.0.0.1:{free_port()}"
    second = Agent(
        tmp_path / "second", node="b", mode="replicated", peer=address, peers={**agents.peers, "b": address}
    )
    try:
        clients = fill(agents)
        ends = agents.agents["a"].stderr().count("does not run")  # while they started
        second.start()
        for told in (agents.agents["a"], agents.agents["c"], second):
            poll(lambda t=told: log(t, "another process of that name is linked"), 10, "it is told")
        all_there(clients)
        assert agents.joined("a") and agents.joined("b") and agents.joined("c")
        assert agents.agents["a"].stderr().count("does not run") == ends
        second.kill()
        all_there(clients)
    finally:
        second.process.kill()
        second.process.wait()
        agents.stop()


def test_another_list_is_told_on_both_sides(tmp_path):
    agents = Agents(tmp_path, count=2).start()
    address = f"127.0.0.1:{free_port()}"
    third = Agent(
        tmp_path / "third", node="c", mode="replicated", peer=address, peers={**agents.peers, "c": address}
    )
    try:
        third.start()
        for told in (agents.agents["a"], third):
            poll(lambda t=told: log(t, "write the same names under `peers` on every node"), 10, "it is told")
        assert agents.client("a").set("sess:1", "v") and agents.client("b").get("sess:1") == b"v"
    finally:
        third.stop()
        agents.stop()


def test_a_broken_file_changes_nothing(tmp_path):
    agents = Agents(tmp_path).start()
    try:
        clients = fill(agents)
        agent = agents.agents["a"]
        agent.file.write_text(agent.file.read_text().replace('"peers"', '"peeers"'))
        agent.process.send_signal(signal.SIGHUP)
        poll(lambda: log(agent, "the configuration in force stays"), 10, "the mistake is told")
        assert log(agent, "unknown key 'peeers'")
        all_there(clients)
    finally:
        agents.stop()


def test_what_the_mode_does_not_use_is_told_at_the_start(tmp_path):
    peers = {"a": f"127.0.0.1:{free_port()}", "b": f"127.0.0.1:{free_port()}"}
    store = {"url": f"redis://127.0.0.1:{free_port()}/0"}
    agent = Agent(tmp_path / "a", node="a", peer=peers["a"], peers=peers, external=store).start()
    try:
        assert log(agent, "warning: mode: local does not use 'peers', 'peer', its sessions have no copies")
        assert log(agent, "write mode: replicated")
        assert log(agent, "warning: mode: local does not use 'external', its store is not spoken to")
        status = agent.status()
        assert status["mode"] == "local" and status["replication"] is None and "store" not in status
    finally:
        agent.stop()


# ---- limits ----


@pytest.mark.parametrize("descriptors", [40, 100])
def test_few_descriptors(tmp_path, descriptors):
    """Whoever is connected is served, whoever is not is told why, and so is the operator: once."""
    running = Agent(tmp_path).start()
    running.stop()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, limits[1]))
    try:
        running.spawn()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    running.ready()
    first, crowd = Wire(running.port), []
    first.send(encode("SET", "sess:1", "v"))
    assert first.reply() == b"+OK\r\n"
    try:
        for _ in range(2 * descriptors):
            crowd.append(socket.create_connection(("127.0.0.1", running.port), timeout=scaled(5)))
        told = [one.recv(100) for one in crowd if is_refused(one)]
        if told:
            assert set(told) == {b"-ERR max number of clients reached\r\n"}
            assert running.stderr().count("as many as may be") == 1
            assert metric(running, "holdfast_agent_connections_total", result="refused") >= 1
        first.send(encode("GET", "sess:1"))
        assert first.reply() == b"$1\r\nv\r\n"
    finally:
        for one in crowd:
            one.close()
    poll(lambda: metric(running, "holdfast_agent_connections", front="redis") == 1, 10, "they are gone")
    with Wire(running.port) as after:
        after.send(encode("GET", "sess:1"))
        assert after.reply() == b"$1\r\nv\r\n"
    running.stop()


def is_refused(connection):
    connection.sendall(encode("PING"))
    try:
        return connection.recv(1, socket.MSG_PEEK) == b"-"
    except OSError:  # refused, and our PING met a closed socket
        return False


def test_a_full_store_refuses_the_new_and_keeps_the_old(tmp_path):
    running = Agent(tmp_path, memory="4MiB").start()
    client = redis.Redis(port=running.port, socket_timeout=scaled(10))
    assert client.set("sess:first", "v")
    with pytest.raises(redis.RedisError):
        for i in range(10000):
            client.set(f"sess:{i}", "v" * 4000)
    assert client.get("sess:first") == b"v" and client.set("sess:first", "w")
    assert client.get("sess:0") == b"v" * 4000
    poll(lambda: metric(running, "holdfast_agent_operations_refused_total") > 0, 10, "it is counted")
    assert metric(running, "holdfast_agent_sessions_evicted_total") == 0
    client.close()
    running.stop()


def test_a_full_store_that_evicts(tmp_path):
    running = Agent(tmp_path, memory="4MiB", when_full="evict").start()
    client = redis.Redis(port=running.port, socket_timeout=scaled(10))
    for i in range(3000):
        assert client.set(f"sess:{i}", "v" * 4000)
    assert client.get("sess:2999") == b"v" * 4000
    poll(lambda: metric(running, "holdfast_agent_sessions_evicted_total") > 0, 10, "it is counted")
    client.close()
    running.stop()


def test_who_does_not_authenticate_is_closed(tmp_path):
    """In ten seconds, whatever half request he has sent; who did is not."""
    running = Agent(tmp_path, password="secret").start()
    with Wire(running.port) as known:
        known.send(encode("AUTH", "secret"))
        assert known.reply() == b"+OK\r\n"
        with socket.create_connection(("127.0.0.1", running.port), timeout=scaled(40)) as silent:
            silent.sendall(b"*2\r\n$4\r\nAU")
            assert silent.recv(1) == b""
        poll(
            lambda: metric(running, "holdfast_agent_connections_total", front="redis", result="overdue") == 1,
            10,
            "it is counted",
        )
        known.send(encode("PING"))
        assert known.reply() == b"+PONG\r\n"
    running.stop()


# ---- ends ----


def ended_within(agent, seconds):
    agent.process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert agent.process.wait(scaled(seconds)) == 0
    return time.monotonic() - begun


def test_an_end_with_a_backup_that_does_not_answer_is_bounded(tmp_path):
    agents = Agents(tmp_path).start()
    try:
        clients = fill(agents)
        with agents.stopped("b"):
            agents.left.add("a")
            ended_within(agents.agents["a"], 20)
        all_there(clients[1:])
    finally:
        agents.stop()


def test_an_end_with_no_peer_at_all_is_bounded(tmp_path):
    agents = Agents(tmp_path)
    agents.start("a")
    client = agents.client("a")
    assert client.set("sess:1", "v")
    agents.left.add("a")
    ended_within(agents.agents["a"], 20)
    agents.stop()


def test_an_end_in_the_middle_of_a_resync_loses_nothing(tmp_path):
    agents = Agents(tmp_path).start()
    try:
        clients = fill(agents)
        for _ in range(3):
            agents.leave("c")
            agents.agents["c"].spawn()
            agents.agents["c"].ready()  # it listens; what it is told is under way
            agents.agents["c"].stop()
        agents.start("c")
        all_there([clients[0], clients[1], agents.client("c")])
    finally:
        agents.stop()


def test_all_are_restarted_under_load_and_no_session_is_lost(tmp_path):
    """Users go on at agents that run; what each was answered is what he reads later."""
    agents = Agents(tmp_path).start()
    over, wrong, written = threading.Event(), [], [0]

    def user(number):
        key, version, names = f"sess:{number}", 0, agents.names
        connections = {
            name: redis.Redis(port=agents.agents[name].port, socket_timeout=scaled(10)) for name in names
        }
        while not over.is_set():
            name = names[(number + version) % len(names)]
            try:
                read = connections[name].get(key)
                if version > 0 and (read is None or int(read) < version):
                    wrong.append((key, name, version, read))
                connections[name].set(key, version + 1)
                version += 1
                written[0] += 1
            except redis.ConnectionError:
                number += 1  # this one is down: another
            except redis.ResponseError as refused:
                if not str(refused).startswith("TRYAGAIN"):
                    wrong.append((key, name, str(refused)))

    users = [threading.Thread(target=user, args=(i,)) for i in range(6)]
    try:
        for one in users:
            one.start()
        for name in agents.names:
            agents.leave(name)
            agents.start(name)
        poll(lambda: written[0] > 600, 20, "they have worked")
    finally:
        over.set()
        for one in users:
            one.join(scaled(20))
        agents.stop()
    assert not wrong


def test_status_tells_the_peers_of_one_that_is_alone(tmp_path):
    agents = Agents(tmp_path)
    agents.start("a")
    try:
        told = json.dumps(agents.status("a")["replication"])
        assert told.count('"linked": false') == 2
        for other in "bc":
            assert log(agents.agents["a"], f"peer {other} ({agents.peers[other]}) does not run")
    finally:
        agents.stop()
