"""Large sessions between agents whose wires are slow: they take long, and are neither refused nor lost."""
import redis

RATE = 4 << 20  # bytes a second: 5 MiB take longer than any wait for what is small
SIZE = 5 << 20


def client(cluster, name):
    return redis.Redis(unix_socket_path=cluster.servers[name].store, socket_timeout=60)


def test_a_large_session_is_read_and_written_everywhere(run_cluster):
    cluster = run_cluster(delays=True)
    clients = [client(cluster, name) for name in cluster.names]
    cluster.net.rate(RATE)
    values = [bytes([65 + number]) * SIZE for number in range(4)]
    assert clients[0].set("sess:large", values[0])
    for number, one in enumerate(clients):  # the session moves to each that reads it
        assert one.get("sess:large") == values[number], cluster.names[number]
        assert clients[number - 1].set("sess:large", values[number + 1]), "written from elsewhere"
        assert one.get("sess:large") == values[number + 1]
    cluster.net.rate(0)
    cluster.kill(cluster.names[2])  # its owner: another has it
    assert clients[0].get("sess:large") == values[3]
