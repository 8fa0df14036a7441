#include "net/listener.h"
#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RESUME_MS = 100,
    HIGH_TABLE_MAX = 32768, /* descriptors; the kernel's table is as large as the highest one */
    HIGH_COUNT = 64,
};

static int set_on(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int set_options(int fd, const struct hf_address *address, bool shared)
{
    if (address->any.sa_family == AF_UNIX)
        return 0;
    int error = set_on(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (error == 0 && shared)
        error = set_on(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (error == 0 && address->any.sa_family == AF_INET6) {
        bool any = IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
        error = set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, !any);
    }
    return error;
}

/* A process that was killed leaves its socket file behind, and bind refuses a path that exists. */
static bool remove_stale_file(const struct hf_address *address)
{
    struct stat status;
    if (lstat(address->local.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, &address->any, address->size) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale && unlink(address->local.sun_path) == 0;
}

static int bind_and_listen(int fd, const struct hf_address *address, bool shared)
{
    int error = set_options(fd, address, shared);
    if (error != 0)
        return error;
    int bound = bind(fd, &address->any, address->size);
    if (bound != 0 && errno == EADDRINUSE && address->any.sa_family == AF_UNIX) {
        bound = remove_stale_file(address) ? bind(fd, &address->any, address->size) : -1;
        if (bound != 0)
            return -EADDRINUSE;
    }
    if (bound != 0 || listen(fd, HF_LISTEN_BACKLOG) != 0)
        return -errno;
    return 0;
}

static int listen_on(const struct hf_address *address, bool shared)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = bind_and_listen(fd, address, shared);
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

static int listen_or_ipv4(const struct hf_address *address, bool shared)
{
    REQUIRE(address != NULL);
    REQUIRE(address->size > 0);
    int fd = listen_on(address, shared);
    bool no_ipv6 = fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL;
    if (!no_ipv6 || address->any.sa_family != AF_INET6 ||
        !IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr))
        return fd;
    struct hf_address ipv4 = {.size = sizeof(ipv4.v4)};
    ipv4.v4.sin_family = AF_INET;
    ipv4.v4.sin_port = address->v6.sin6_port;
    return listen_on(&ipv4, shared);
}

int hf_listen(const struct hf_address *address)
{
    return listen_or_ipv4(address, true);
}

/* Gives it a number above those of connections. Linux closes what a killed process had open from
 * the highest number down. With a low one the backlog would still take connections, to reset them,
 * from clients that saw their connections close. Where it cannot be moved it stays. */
static int move_up(int fd)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= (rlim_t)2 * HIGH_COUNT)
        return fd;
    int table = limit.rlim_cur < HIGH_TABLE_MAX ? (int)limit.rlim_cur : HIGH_TABLE_MAX;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, table - HIGH_COUNT);
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

int hf_listen_alone(const struct hf_address *address)
{
    int fd = listen_or_ipv4(address, false);
    return fd < 0 ? fd : move_up(fd);
}

const char *hf_listen_advice(const struct hf_address *address, int error)
{
    bool local = address->any.sa_family == AF_UNIX;
    switch (-error) {
    case EADDRINUSE:
        return local ? "; stop the other program, or remove what is there if it is no socket"
                     : "; stop the other program or choose another port";
    case EADDRNOTAVAIL:
        return "; write an address of this machine";
    case EACCES:
        return local ? "; let this user write to the folder"
                     : "; choose a port above 1023, or give the process CAP_NET_BIND_SERVICE";
    case ENOENT:
        return local ? "; make the folder first" : "";
    default:
        return "";
    }
}

static void apply_pause(struct hf_listener *listener)
{
    bool paused = listener->paused || hf_timer_armed(&listener->resume);
    hf_event_pause(listener->loop, &listener->event, paused);
}

static void resume_expired(struct hf_timer *timer)
{
    apply_pause(hf_container_of(timer, struct hf_listener, resume));
}

/* Level-triggered, the listener would be reported in every turn until descriptors are freed. */
static void rest(struct hf_listener *listener)
{
    listener->exhausted_count++;
    hf_timer_set(hf_loop_timers(listener->loop), &listener->resume,
                 hf_loop_now_ms(listener->loop) + RESUME_MS);
    apply_pause(listener);
}

enum accept_result { ACCEPTED, FAILED_ONE, DRAINED, EXHAUSTED };

static enum accept_result accept_one(struct hf_listener *listener)
{
    struct hf_address peer = {.size = sizeof(peer.local)};
    int fd = accept4(listener->event.fd, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        listener->accepted(listener, fd, &peer);
        return ACCEPTED;
    }
    if (errno == EAGAIN)
        return DRAINED;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return EXHAUSTED;
    return FAILED_ONE; /* that client alone: accept(2) passes errors of its connection on */
}

static void ready(struct hf_event *event, unsigned bits)
{
    struct hf_listener *listener = hf_container_of(event, struct hf_listener, event);
    for (int i = 0; i < HF_ACCEPT_BURST; i++) {
        enum accept_result result = accept_one(listener);
        if (result == EXHAUSTED)
            rest(listener);
        if (result == EXHAUSTED || result == DRAINED)
            return;
        if (listener->event.fd < 0 || listener->paused) /* by `accepted` */
            return;
    }
}

int hf_listener_open(struct hf_listener *listener, struct hf_loop *loop, int fd,
                     hf_accepted_fn accepted, void *user)
{
    REQUIRE(listener != NULL && loop != NULL);
    REQUIRE(fd >= 0 && accepted != NULL);
    *listener = (struct hf_listener){
        .event = {.fd = -1, .ready = ready},
        .loop = loop,
        .accepted = accepted,
        .user = user,
        .address = {.size = sizeof(listener->address.local)},
        .resume = {.expired = resume_expired},
    };
    if (getsockname(fd, &listener->address.any, &listener->address.size) != 0)
        return -errno;
    /* accepted sockets inherit it, which saves a system call each */
    int error =
        listener->address.any.sa_family == AF_UNIX ? 0 : set_on(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return error != 0 ? error : hf_event_open_level(loop, &listener->event, fd);
}

void hf_listener_pause(struct hf_listener *listener, bool paused)
{
    REQUIRE(listener != NULL);
    REQUIRE(listener->event.fd >= 0);
    if (listener->paused == paused)
        return;
    listener->paused = paused;
    apply_pause(listener);
}

void hf_listener_close(struct hf_listener *listener, hf_closed_fn closed)
{
    REQUIRE(listener != NULL);
    if (listener->event.fd < 0 || listener->closing)
        return;
    listener->closing = true;
    enum accept_result result = ACCEPTED;
    for (int i = 0; i < HF_LISTEN_BACKLOG && (result == ACCEPTED || result == FAILED_ONE); i++)
        result = accept_one(listener);
    hf_timer_cancel(hf_loop_timers(listener->loop), &listener->resume);
    listener->event.closed = closed;
    hf_event_close(listener->loop, &listener->event);
}
