#include "store/blob.h"
#include "fuzz.h"
#include "store/shard.h"

/* Input: a blob as a peer might send it. It is refused and nothing has changed, or it is taken;
 * what was taken encodes to a blob that another store takes, and that encodes to the same bytes
 * there. */

enum { NOW_MS = 1000000, MEMORY = 64 << 20, BLOB_MAX = 1 << 20 };

static const uint8_t hash_key[16] = "fuzz-fuzz-fuzz-";
static struct hf_store *stores[2];
static char encoded[2][BLOB_MAX];

/* New stores when the names that blobs bring have filled theirs. */
static void prepare(struct hf_store **store)
{
    if (*store != NULL && (*store)->name_count > HF_STORE_NAMES_MAX - 2 * HF_STORE_KEYS_MAX)
        hf_store_free(store);
    if (*store != NULL)
        return;
    struct hf_store_options options = {.memory = MEMORY, .now_ms = NOW_MS};
    memcpy(options.hash_key, hash_key, sizeof(hash_key));
    REQUIRE(hf_store_new(&options, store) == 0);
}

static const struct hf_store_key key = {.id = {"id", 2}, .prefix = {"s:", 2}};

static uint64_t id_hash(void)
{
    return hf_store_hash(hash_key, key.id);
}

static enum hf_store_status apply(struct hf_store *store, struct hf_slice blob, uint32_t sequence)
{
    struct hf_blob_apply how = {
        .blob = blob,
        .role = {.state = HF_RECORD_BACKUP, .version = {1, sequence, 1}, .deadline_ms = NOW_MS + 1},
        .base = {1, sequence - 1, 1},
        .base_ms = NOW_MS,
        .now_ms = NOW_MS,
    };
    return hf_blob_apply(store, key.id, id_hash(), &how);
}

static struct hf_slice encode(unsigned number)
{
    struct hf_store_key name = key;
    name.id_hash = id_hash();
    struct hf_blob_out out = {.bytes = encoded[number], .room = BLOB_MAX};
    if (hf_blob_encode(stores[number], &name, HF_BLOB_RECORD, NOW_MS, &out) != HF_STORE_OK)
        return hf_slice(NULL, 0);
    struct hf_slice blob = hf_slice(encoded[number], out.size);
    REQUIRE(hf_blob_valid(blob));
    return blob;
}

static void forget(struct hf_store *store)
{
    struct hf_store_role none = {.state = HF_RECORD_NONE};
    REQUIRE(hf_store_assign(store, key.id, id_hash(), &none, NOW_MS) == HF_STORE_OK);
    struct hf_store_stats stats;
    hf_store_stats(store, &stats);
    REQUIRE(stats.keys == 0 && stats.bytes_logical == 0);
    hf_memory_check(&store->memory);
}

/* A part needs a record that it is a part of. */
static void give_base(struct hf_store *store)
{
    static const char base[] = {1, HF_BLOB_RECORD, 0};
    struct hf_store_role grant = {
        .state = HF_RECORD_OWNER, .version = {1, 1, 1}, .deadline_ms = NOW_MS + 1000};
    REQUIRE(hf_store_assign(store, key.id, id_hash(), &grant, NOW_MS) == HF_STORE_OK);
    REQUIRE(apply(store, hf_slice(base, sizeof(base)), 2) == HF_STORE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    struct hf_slice blob = hf_slice(bytes, size);
    prepare(&stores[0]);
    prepare(&stores[1]);
    give_base(stores[0]);
    enum hf_store_status status = apply(stores[0], blob, 3);
    REQUIRE((status == HF_STORE_BAD) == !hf_blob_valid(blob));
    REQUIRE(status == HF_STORE_OK || status == HF_STORE_BAD || status == HF_STORE_NO_BASE);
    struct hf_slice first = encode(0);
    if (status == HF_STORE_OK && first.size > 0) {
        REQUIRE(apply(stores[1], first, 3) == HF_STORE_OK);
        REQUIRE(hf_slice_equal(first, encode(1)));
    }
    forget(stores[0]);
    forget(stores[1]);
    free(bytes);
    return 0;
}
