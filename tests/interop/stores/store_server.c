#include "store_server.h"
#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY_MS = 5, NO_SUCH_PROGRAM = 127 };

/* In the child: quiet, without our standard input, and not outliving us. */
static void become(const struct store_server *server, const char *const arguments[])
{
    char *copies[STORE_SERVER_ARGUMENTS_MAX + 1] = {0};
    int nothing = open("/dev/null", O_RDWR);
    for (size_t i = 0; arguments[i] != NULL; i++) {
        REQUIRE(i < STORE_SERVER_ARGUMENTS_MAX);
        copies[i] = strdup(strcmp(arguments[i], "@") == 0 ? server->socket : arguments[i]);
    }
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(nothing, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(server->folder) == 0)
        execvp(copies[0], copies);
    _exit(NO_SUCH_PROGRAM);
}

static int connect_once(const struct store_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = STORE_SERVER_WAIT_MS / 1000};
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, server->socket, strlen(server->socket) + 1);
    REQUIRE(made >= 0 && setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0);
    if (connect(made, (struct sockaddr *)&address, sizeof(address)) == 0)
        return made;
    close(made);
    return -1;
}

bool store_server_start(struct store_server *server, const char *const arguments[])
{
    snprintf(server->folder, sizeof(server->folder), "/tmp/hf-store-XXXXXX");
    REQUIRE(mkdtemp(server->folder) != NULL);
    snprintf(server->socket, sizeof(server->socket), "%s/socket", server->folder);
    server->pid = fork();
    REQUIRE(server->pid >= 0);
    if (server->pid == 0)
        become(server, arguments);
    for (int waited_ms = 0; waited_ms < STORE_SERVER_WAIT_MS; waited_ms += RETRY_MS) {
        int status, probe = connect_once(server);
        if (probe >= 0) {
            close(probe);
            return true;
        }
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == NO_SUCH_PROGRAM);
            rmdir(server->folder);
            return false;
        }
        poll(NULL, 0, RETRY_MS);
    }
    REQUIRE(!"the store did not start in time");
    return false;
}

void store_server_stop(struct store_server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    unlink(server->socket);
    rmdir(server->folder);
}

int store_server_connect(const struct store_server *server)
{
    int made = connect_once(server);
    REQUIRE(made >= 0);
    return made;
}

void store_server_send(int socket, struct hf_slice bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(socket, bytes.bytes, bytes.size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EPIPE)
            return; /* it closed the connection: its last answer can still be read */
        REQUIRE(sent > 0);
        bytes = hf_slice(bytes.bytes + sent, bytes.size - (size_t)sent);
    }
}

bool store_server_receive(int socket, char *buffer, size_t *size)
{
    REQUIRE(*size < STORE_SERVER_REPLY_MAX);
    ssize_t got = recv(socket, buffer + *size, STORE_SERVER_REPLY_MAX - *size, 0);
    REQUIRE(got >= 0 || errno == ECONNRESET);
    *size += got > 0 ? (size_t)got : 0;
    return got > 0;
}
