#include "cmd/shop_page.h"
#include "base/assert.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>The corner shop</title>\n<style>\n"
    "body{font:16px/1.6 system-ui,sans-serif;max-width:34em;margin:3em auto;padding:0 1em;"
    "color:#1d2733;background:#f6f4ef}\n"
    "main{background:#fff;border-radius:14px;padding:1.6em 2em;box-shadow:0 1px 8px #0001}\n"
    "h1{font-size:1.5em;margin:0 0 .6em}\nform{display:inline}\n"
    ".server{float:right;color:#fff;border-radius:99px;padding:.1em .9em;font-weight:600}\n"
    "button,input{font:inherit;padding:.35em .9em;border:1px solid #cfd6dd;border-radius:8px;"
    "background:#fff}\nbutton{cursor:pointer}\nbutton:hover{background:#eef3f7}\n"
    ".lost{background:#fdecea;border-left:4px solid #c0392b;padding:.5em 1em}\n"
    "footer{color:#67727e;font-size:.85em;margin-top:1.4em}\n</style>\n<main>\n";

static const char *const goods[] = {"tea", "bread", "apples", "cheese", "coffee"};

/* For HTML text and quoted attributes. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity)
            fputs(entity, out);
        else
            fputc(*text, out);
    }
}

static void put_user(FILE *out, const struct hf_shop_session *session)
{
    if (session->user[0] == '\0') {
        fputs("<form method=\"post\" action=\"/login\"><label>Who are you? "
              "<input name=\"name\" required maxlength=\"63\" autofocus></label> "
              "<button>Log in</button></form>\n",
              out);
        return;
    }
    fputs("<p>Hello, <b>", out);
    put_escaped(out, session->user);
    fputs("</b>.</p>\n", out);
}

static void put_cart(FILE *out, const struct hf_shop_session *session)
{
    fprintf(out, "<h2>Your cart (%u)</h2>\n", session->item_count);
    fputs(session->item_count > 0 ? "<ul>\n" : "<p>It is empty.</p>\n", out);
    for (unsigned i = 0; i < session->item_count; i++) {
        fputs("<li>", out);
        put_escaped(out, session->items[i]);
        fputs("</li>\n", out);
    }
    fputs(session->item_count > 0 ? "</ul>\n<p>" : "<p>", out);
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++)
        fprintf(out,
                "<form method=\"post\" action=\"/cart\"><input type=\"hidden\" name=\"item\" "
                "value=\"%s\"><button>+ %s</button></form>\n",
                goods[i], goods[i]);
    fputs("</p>\n", out);
}

char *hf_shop_page_html(const struct hf_shop_view *view, size_t *ret_size)
{
    REQUIRE(view->server && view->session);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs(head, out);
    unsigned hue = (unsigned)(hf_hash64(hf_slice_text(view->server), 3) % 360);
    fprintf(out, "<span class=\"server\" style=\"background:hsl(%u,55%%,38%%)\">", hue);
    put_escaped(out, view->server);
    fputs("</span>\n<h1>The corner shop</h1>\n", out);
    if (view->lost)
        fprintf(out, "<p class=\"lost\">You had a session, but %s</p>\n",
                view->kept ? "nobody has it any more."
                           : "not on this server: it lived in the memory of another one.");
    put_user(out, view->session);
    put_cart(out, view->session);
    fprintf(out, "<footer>Session %.8s&hellip; lives %s ", view->session->id,
            view->kept ? "with the agent beside" : "in the memory of");
    put_escaped(out, view->server);
    fprintf(out, "%s. <a href=\"/\">Again</a></footer>\n</main>\n</html>\n",
            view->kept ? ", and at a backup" : " and nowhere else");
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    *ret_size = size;
    return text;
}

json_t *hf_shop_text_json(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_string("(not UTF-8)");
}

char *hf_shop_page_json(const struct hf_shop_view *view, size_t *ret_size)
{
    REQUIRE(view->server && view->session);
    const struct hf_shop_session *session = view->session;
    json_t *items = json_array();
    for (unsigned i = 0; i < session->item_count; i++)
        json_array_append_new(items, hf_shop_text_json(session->items[i]));
    json_t *user = session->user[0] ? hf_shop_text_json(session->user) : json_null();
    json_t *object = json_pack("{s:s, s:o, s:o, s:b, s:b}", "server", view->server, "user", user,
                               "items", items, "fresh", view->fresh, "lost", view->lost);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text)
        *ret_size = strlen(text);
    return text;
}
