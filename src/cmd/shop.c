/* The demo application: a shop whose carts live in its own memory, so that every client must come
 * back to the instance that it began with; or, told so, in a store beside it that speaks Redis.
 * One thread (libmicrohttpd's) owns the sessions. */
#include "base/assert.h"
#include "cmd/cmd.h"
#include "cmd/shop_page.h"
#include "cmd/shop_remote.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 4096, FIELD_MAX = 2 * HF_SHOP_TEXT_MAX, CONNECTIONS_MAX = 2000, IDLE_S = 120 };

static const char usage[] =
    "usage: holdfast shop [--port PORT] [--name NAME] [--sessions HOST:PORT]\n\n"
    "Runs the demo application on 127.0.0.1:PORT (3001): a small shop that keeps each visitor's "
    "name and\n"
    "cart in its own memory, or with --sessions in a Redis, which may be a session agent. The "
    "cookie is\n"
    "SHOPSESSID. GET / is a page for people, GET /cart and POST /login (name=), POST /cart (item=) "
    "answer\n"
    "JSON to programs, GET /healthz is for checks: 503 while that Redis cannot be reached.\n";

struct shop {
    const char *name;
    struct hf_shop_store store;     /* of a shop without: */
    struct hf_shop_remote *remote;  /* owned; NULL = sessions live in `store` */
    struct hf_shop_session visitor; /* of the request under way, with `remote` */
};

struct form { /* of one request; malloc'd, freed when the request is completed */
    struct MHD_PostProcessor *post;
    size_t body_size;
    char name[FIELD_MAX], item[FIELD_MAX];
};

/* The texts are cut at their size; a value that comes in pieces is put together by `at`.
 * rule zero: libmicrohttpd sets the parameters. */
static enum MHD_Result take_field(void *user, enum MHD_ValueKind kind, const char *key,
                                  const char *file, const char *type, const char *coding,
                                  const char *value, uint64_t at, size_t size)
{
    struct form *form = user;
    char *field = strcmp(key, "name") == 0 ? form->name : form->item;
    if (strcmp(key, "name") != 0 && strcmp(key, "item") != 0)
        return MHD_YES;
    for (size_t i = 0; i < size && at + i < FIELD_MAX - 1; i++)
        field[at + i] = value[i];
    return MHD_YES;
}

static enum MHD_Result answer(struct MHD_Connection *connection, const struct shop *shop,
                              unsigned status, struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "X-Served-By", shop->name);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, const struct shop *shop,
                                   unsigned status, const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    if (response)
        MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
    return answer(connection, shop, status, response);
}

static bool wants_html(struct MHD_Connection *connection)
{
    const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
    return accept && strstr(accept, "text/html") != NULL;
}

static struct MHD_Response *render(const struct hf_shop_view *view, bool html)
{
    size_t size = 0;
    char *text = html ? hf_shop_page_html(view, &size) : hf_shop_page_json(view, &size);
    if (!text)
        return NULL;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    else
        MHD_add_response_header(response, "Content-Type",
                                html ? "text/html; charset=utf-8" : "application/json");
    return response;
}

/* A session of that id, or a new one: *ret_fresh. 0, -ENOMEM, -EIO. */
static int open_session(struct shop *shop, struct hf_slice id, struct hf_shop_session **ret_session,
                        bool *ret_fresh)
{
    if (!shop->remote) {
        *ret_session = hf_shop_store_find(&shop->store, id);
        *ret_fresh = *ret_session == NULL;
        if (*ret_fresh)
            *ret_session = hf_shop_store_open(&shop->store);
        return *ret_session ? 0 : -ENOMEM;
    }
    int result = hf_shop_remote_load(shop->remote, id, &shop->visitor);
    *ret_session = &shop->visitor;
    *ret_fresh = result == -ENOENT;
    if (result != -ENOENT)
        return result;
    shop->visitor = (struct hf_shop_session){.item_count = 0};
    hf_shop_session_begin(&shop->visitor);
    return 0;
}

/* The visitor's session, a new one if need be, and how to show it. 0, -ENOMEM, -EIO. */
static int find_session(struct MHD_Connection *connection, struct shop *shop,
                        struct hf_shop_session **ret_session, struct hf_shop_view *ret_view)
{
    const char *id = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, "SHOPSESSID");
    bool fresh = false;
    int result = open_session(shop, hf_slice_text(id), ret_session, &fresh);
    if (result == 0)
        *ret_view = (struct hf_shop_view){.server = shop->name,
                                          .session = *ret_session,
                                          .fresh = fresh,
                                          .lost = fresh && id,
                                          .kept = shop->remote != NULL};
    return result;
}

/* A store that is away is no reason to forget a visitor: the error says to come again. */
static enum MHD_Result answer_trouble(struct MHD_Connection *connection, const struct shop *shop,
                                      int error)
{
    if (error == -ENOMEM)
        return answer_text(connection, shop, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n");
    fprintf(stderr, "%s: %s\n", shop->name, hf_shop_remote_error(shop->remote));
    return answer_text(connection, shop, MHD_HTTP_SERVICE_UNAVAILABLE,
                       "your session cannot be reached now; try again\n");
}

/* Without its store the shop serves nobody, and another one could: visitors should go there. */
static enum MHD_Result answer_health(struct MHD_Connection *connection, const struct shop *shop)
{
    if (shop->remote && hf_shop_remote_ping(shop->remote) < 0)
        return answer_text(connection, shop, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "the sessions cannot be reached\n");
    return answer_text(connection, shop, MHD_HTTP_OK, "ok\n");
}

/* Page, log-in and cart: all that has a session. */
static enum MHD_Result serve(struct MHD_Connection *connection, struct shop *shop,
                             const struct form *form, const char *path)
{
    struct hf_shop_view view;
    struct hf_shop_session *session;
    int result = find_session(connection, shop, &session, &view);
    if (result < 0)
        return answer_trouble(connection, shop, result);
    bool page = strcmp(path, "/") == 0, posted = form->post != NULL;
    if (posted && strcmp(path, "/login") == 0)
        hf_shop_session_login(session, hf_slice_text(form->name));
    else if (posted && hf_shop_session_add(session, hf_slice_text(form->item)) != 0)
        return answer_text(connection, shop, MHD_HTTP_CONFLICT, "the cart is full\n");
    if (shop->remote)
        result = hf_shop_remote_save(shop->remote, session, posted || view.fresh);
    if (result < 0)
        return answer_trouble(connection, shop, result);
    bool redirect = posted && wants_html(connection); /* so that "reload" does not post again */
    struct MHD_Response *response = render(&view, page);
    if (!response)
        return MHD_NO;
    if (redirect)
        MHD_add_response_header(response, "Location", "/");
    if (view.fresh) {
        char cookie[HF_SHOP_ID_SIZE + 64];
        snprintf(cookie, sizeof(cookie), "SHOPSESSID=%s; Path=/; HttpOnly; SameSite=Lax",
                 session->id);
        MHD_add_response_header(response, "Set-Cookie", cookie);
    }
    return answer(connection, shop, redirect ? MHD_HTTP_SEE_OTHER : MHD_HTTP_OK, response);
}

static enum MHD_Result dispatch(struct MHD_Connection *connection, struct shop *shop,
                                const struct form *form, const char *method, const char *path)
{
    bool post = strcmp(method, "POST") == 0;
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool cart = strcmp(path, "/cart") == 0, login = strcmp(path, "/login") == 0;
    if (strcmp(path, "/healthz") == 0 && get)
        return answer_health(connection, shop);
    if (!cart && !login && strcmp(path, "/") != 0)
        return answer_text(connection, shop, MHD_HTTP_NOT_FOUND, "there is no such page\n");
    if (!(get && !login) && !(post && (cart || login)))
        return answer_text(connection, shop, MHD_HTTP_METHOD_NOT_ALLOWED, "not like this\n");
    if (form->body_size > BODY_MAX)
        return answer_text(connection, shop, MHD_HTTP_CONTENT_TOO_LARGE, "that is too much\n");
    if (post && (!form->post || (login ? form->name : form->item)[0] == '\0'))
        return answer_text(connection, shop, MHD_HTTP_BAD_REQUEST,
                           "send a form with name= (login) or item= (cart)\n");
    return serve(connection, shop, form, path);
}

/* Called once for the head, for each piece of the body, and at the end.
 * rule zero: libmicrohttpd sets the parameters. */
static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *body,
                              size_t *body_size, void **request)
{
    struct form *form = *request;
    if (!form) {
        form = *request = calloc(1, sizeof(*form));
        if (form && strcmp(method, "POST") == 0)
            form->post = MHD_create_post_processor(connection, 1024, take_field, form);
        return form ? MHD_YES : MHD_NO;
    }
    if (*body_size == 0)
        return dispatch(connection, user, form, method, path);
    form->body_size += *body_size;
    if (form->post && form->body_size <= BODY_MAX)
        MHD_post_process(form->post, body, *body_size);
    *body_size = 0;
    return MHD_YES;
}

static void completed(void *user, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode code)
{
    struct form *form = *request;
    if (form && form->post)
        MHD_destroy_post_processor(form->post);
    free(form);
    *request = NULL;
}

static int serve_until_signal(struct shop *shop, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sigset_t signals; /* blocked before the thread starts, so that sigwait alone sees them */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    hf_shop_store_init(&shop->store);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, port, NULL, NULL, handle, shop, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "holdfast shop: cannot listen on 127.0.0.1:%u: %s\n", port,
                strerror(errno));
        return HF_EXIT_FAILED;
    }
    printf("%s: http://127.0.0.1:%u\n", shop->name, port);
    fflush(stdout);
    int signal_number = 0;
    sigwait(&signals, &signal_number);
    MHD_stop_daemon(daemon);
    hf_shop_store_fini(&shop->store);
    hf_shop_remote_free(&shop->remote);
    return HF_EXIT_DONE;
}

/* False: not an option, or not a good value of one. */
static bool take_option(struct shop *shop, int option, uint64_t *port)
{
    switch (option) {
    case 'n':
        shop->name = optarg;
        return true;
    case 'p':
        return hf_slice_to_u64(hf_slice_text(optarg), port) && *port > 0 && *port <= UINT16_MAX;
    case 's':
        hf_shop_remote_free(&shop->remote);
        return hf_shop_remote_new(optarg, &shop->remote) == 0;
    default:
        return false;
    }
}

int hf_cmd_shop(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"sessions", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static struct shop shop = {.name = "shop"};
    uint64_t port = 3001;
    int option;
    while ((option = getopt_long(argc, argv, "p:n:s:h", options, NULL)) != -1) {
        if (option == 'h')
            return fputs(usage, stdout) < 0 ? HF_EXIT_FAILED : HF_EXIT_DONE;
        if (!take_option(&shop, option, &port)) {
            fputs(usage, stderr);
            return HF_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return HF_EXIT_USAGE;
    }
    return serve_until_signal(&shop, (uint16_t)port);
}
