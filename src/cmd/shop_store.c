#include "cmd/shop_store.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/rng.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct hf_list *bucket_of(struct hf_shop_store *store, struct hf_slice id)
{
    return &store->buckets[hf_hash64(id, 0) & (HF_SHOP_BUCKETS - 1)];
}

static void forget(struct hf_shop_store *store, struct hf_shop_session *session)
{
    REQUIRE(store->count > 0);
    hf_list_remove(&session->bucket);
    hf_list_remove(&session->used);
    store->count--;
    free(session);
}

/* Cut between characters of UTF-8, not within one. */
static void copy_text(char out[HF_SHOP_TEXT_MAX], struct hf_slice text)
{
    size_t size = text.size;
    if (size >= HF_SHOP_TEXT_MAX) {
        size = HF_SHOP_TEXT_MAX - 1;
        while (size > 0 && ((unsigned char)text.bytes[size] & 0xc0) == 0x80)
            size--;
    }
    if (size > 0)
        memcpy(out, text.bytes, size);
    out[size] = '\0';
}

void hf_shop_store_init(struct hf_shop_store *store)
{
    for (size_t i = 0; i < HF_SHOP_BUCKETS; i++)
        hf_list_init(&store->buckets[i]);
    hf_list_init(&store->used);
    store->count = 0;
    store->sessions_max = HF_SHOP_SESSIONS_MAX;
}

void hf_shop_store_fini(struct hf_shop_store *store)
{
    HF_LIST_EACH(&store->used, node)
    forget(store, hf_container_of(node, struct hf_shop_session, used));
    REQUIRE(store->count == 0);
}

struct hf_shop_session *hf_shop_store_find(struct hf_shop_store *store, struct hf_slice id)
{
    if (id.size != HF_SHOP_ID_SIZE)
        return NULL;
    HF_LIST_EACH(bucket_of(store, id), node)
    {
        struct hf_shop_session *session = hf_container_of(node, struct hf_shop_session, bucket);
        if (!hf_slice_equal(hf_slice(session->id, HF_SHOP_ID_SIZE), id))
            continue;
        hf_list_remove(&session->used);
        hf_list_push_front(&store->used, &session->used);
        return session;
    }
    return NULL;
}

void hf_shop_session_begin(struct hf_shop_session *session)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[HF_SHOP_ID_SIZE / 2];
    hf_random_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        session->id[2 * i] = digits[random[i] >> 4];
        session->id[2 * i + 1] = digits[random[i] & 15];
    }
}

struct hf_shop_session *hf_shop_store_open(struct hf_shop_store *store)
{
    struct hf_shop_session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    if (store->count == store->sessions_max)
        forget(store, hf_container_of(store->used.previous, struct hf_shop_session, used));
    hf_shop_session_begin(session);
    hf_list_push_front(bucket_of(store, hf_slice(session->id, HF_SHOP_ID_SIZE)), &session->bucket);
    hf_list_push_front(&store->used, &session->used);
    store->count++;
    return session;
}

void hf_shop_session_login(struct hf_shop_session *session, struct hf_slice user)
{
    copy_text(session->user, user);
}

int hf_shop_session_add(struct hf_shop_session *session, struct hf_slice item)
{
    REQUIRE(session->item_count <= HF_SHOP_ITEMS_MAX);
    if (session->item_count == HF_SHOP_ITEMS_MAX)
        return -ENOSPC;
    copy_text(session->items[session->item_count++], item);
    return 0;
}
