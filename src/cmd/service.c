#include "cmd/service.h"
#include "net/listener.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int hf_service_watch_signals(struct hf_loop *loop, struct hf_event *event, hf_ready_fn ready)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    event->ready = ready;
    return hf_event_open_level(loop, event, fd);
}

int hf_service_next_signal(const struct hf_event *event)
{
    struct signalfd_siginfo info;
    bool some = event->fd >= 0 && read(event->fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
    return some ? (int)info.ssi_signo : 0;
}

const char *hf_service_signal_name(int signal_number)
{
    return signal_number == SIGTERM ? "SIGTERM" : "SIGINT";
}

bool hf_service_start_admin(const char *file, const struct hf_config *config,
                            const struct hf_admin_hooks *hooks, struct hf_admin **ret_admin)
{
    if (config->admin_bind.size == 0)
        return true;
    int result = hf_admin_start(config, hooks, ret_admin);
    if (result == 0)
        return true;
    char text[HF_ADDRESS_TEXT_MAX];
    hf_address_format(&config->admin_bind, text);
    fprintf(stderr, "%s: admin.bind %s: %s%s\n", file, text, strerror(-result),
            hf_listen_advice(&config->admin_bind, result));
    return false;
}
