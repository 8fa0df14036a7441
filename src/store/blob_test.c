#include "store/blob.h"
#include "store/testing.h"
#include <stdio.h>

enum {
    BLOB_MAX = 1 << 20,
    LATER_MS = HF_TESTING_NOW_MS + 5000, /* the receiver's clock: another machine's */
    LEFT_MS = 60000,
};

static struct hf_store *from, *to;
static struct hf_store_key key, lock;
static struct hf_store_change change;
static char bytes[BLOB_MAX];

static int begin(void **state)
{
    from = hf_testing_store(&hf_testing_options);
    to = hf_testing_store(&hf_testing_options);
    key = hf_testing_key("a");
    lock = hf_testing_lock("a");
    return 0;
}

static int end(void **state)
{
    hf_shard_check(from);
    hf_shard_check(to);
    hf_store_free(&from);
    hf_store_free(&to);
    return 0;
}

static struct hf_slice encode(const struct hf_store_key *of, enum hf_blob_part part)
{
    struct hf_blob_out out = {.bytes = bytes, .room = sizeof(bytes)};
    assert_int_equal(hf_blob_encode(from, of, part, HF_TESTING_NOW_MS, &out), HF_STORE_OK);
    assert_true(hf_blob_valid(hf_slice(bytes, out.size)));
    return hf_slice(bytes, out.size);
}

static struct hf_blob_apply how_for(struct hf_slice blob, struct hf_version version,
                                    struct hf_version base)
{
    return (struct hf_blob_apply){
        .blob = blob,
        .role = {.state = HF_RECORD_BACKUP, .version = version, .owner = 4},
        .base = base,
        .base_ms = LATER_MS,
        .now_ms = LATER_MS,
    };
}

static enum hf_store_status apply(const struct hf_blob_apply *how)
{
    return hf_blob_apply(to, key.id, key.id_hash, how);
}

static struct hf_store_record held(void)
{
    struct hf_store_record record = {0};
    hf_store_find(to, key.id, key.id_hash, LATER_MS, &record);
    return record;
}

/* Makes `to` the owner of what it holds, so that it can be looked at. */
static void promote(void)
{
    struct hf_store_role role = {.state = HF_RECORD_OWNER, .version = {9, 1, 1}};
    assert_int_equal(hf_store_assign(to, key.id, key.id_hash, &role, LATER_MS), HF_STORE_OK);
}

static struct hf_version fill(void)
{
    hf_testing_set(from, &key, HF_SLICE("value"), HF_TESTING_NOW_MS + LEFT_MS);
    return hf_testing_set(from, &lock, HF_SLICE("owner"), 0).version;
}

/* A whole record arrives as it was, its deadlines on the receiver's clock. */
static void a_record_arrives_whole(void **state)
{
    struct hf_version version = fill();
    struct hf_blob_apply how =
        how_for(encode(&key, HF_BLOB_RECORD), version, (struct hf_version){0});
    assert_int_equal(apply(&how), HF_STORE_OK);
    struct hf_store_record record = held();
    assert_int_equal(record.state, HF_RECORD_BACKUP);
    assert_int_equal(record.key_count, 2);
    assert_int_equal(record.owner, 4);
    assert_true(hf_version_equal(record.version, version));
    struct hf_store_value got;
    assert_int_equal(hf_store_get(to, &key, LATER_MS, &got), HF_STORE_NOT_OWNER);
    /* Equal versions have equal digests, whoever holds them in whatever role. */
    unsigned bucket = hf_digest_bucket(key.id_hash);
    assert_memory_equal(&hf_store_digests(from)[bucket], &hf_store_digests(to)[bucket],
                        sizeof(struct hf_digest));
    promote();
    assert_int_equal(hf_store_get(to, &key, LATER_MS, &got), HF_STORE_OK);
    assert_true(hf_slice_equal(got.bytes, HF_SLICE("value")));
    assert_int_equal(got.deadline_ms, LATER_MS + LEFT_MS);
    struct hf_store_value sent;
    assert_int_equal(hf_store_get(from, &key, HF_TESTING_NOW_MS, &sent), HF_STORE_OK);
    assert_int_equal(got.cas, sent.cas);
    hf_testing_holds(to, &lock, HF_SLICE("owner"));
}

static void only_newer_records_come_in_unless_forced(void **state)
{
    struct hf_version version = fill(), older = version;
    older.sequence--;
    struct hf_blob_apply how =
        how_for(encode(&key, HF_BLOB_RECORD), version, (struct hf_version){0});
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_int_equal(apply(&how), HF_STORE_OLDER);
    how.role.version = older;
    assert_int_equal(apply(&how), HF_STORE_OLDER);
    assert_true(hf_version_equal(held().version, version));
    how.force = true;
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_true(hf_version_equal(held().version, older));
    struct hf_store_role tomb = {
        .state = HF_RECORD_TOMB, .version = {5, 1, 1}, .deadline_ms = LATER_MS + 1000};
    assert_int_equal(hf_store_assign(to, key.id, key.id_hash, &tomb, LATER_MS), HF_STORE_OK);
    how.force = false;
    how.role.version = (struct hf_version){8, 1, 1};
    assert_int_equal(apply(&how), HF_STORE_OLDER); /* a tombstone wins over all born before */
    how.role.version = (struct hf_version){8, 1, 6};
    assert_int_equal(apply(&how), HF_STORE_OK);
}

/* A grant comes before its content: an owner's record without keys takes the same version. */
static void a_granted_record_is_filled_under_its_version(void **state)
{
    struct hf_version version = fill();
    struct hf_store_role grant = {
        .state = HF_RECORD_OWNER, .version = version, .deadline_ms = LATER_MS + 1000};
    assert_int_equal(hf_store_assign(to, key.id, key.id_hash, &grant, LATER_MS), HF_STORE_OK);
    struct hf_blob_apply how =
        how_for(encode(&key, HF_BLOB_RECORD), version, (struct hf_version){0});
    how.role.state = HF_RECORD_OWNER;
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_int_equal(held().key_count, 2);
    assert_int_equal(apply(&how), HF_STORE_OLDER);
}

static void parts_need_their_base(void **state)
{
    struct hf_version first = fill();
    struct hf_blob_apply how = how_for(encode(&key, HF_BLOB_RECORD), first, (struct hf_version){0});
    assert_int_equal(apply(&how), HF_STORE_OK);
    struct hf_version second = hf_testing_set(from, &key, HF_SLICE("2"), 0).version;
    struct hf_version third = hf_testing_set(from, &key, HF_SLICE("3"), 0).version;
    how = how_for(encode(&key, HF_BLOB_KEY), third, second);
    assert_int_equal(apply(&how), HF_STORE_NO_BASE);
    assert_true(hf_version_equal(held().version, first));
    how.base = first;
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_int_equal(apply(&how), HF_STORE_OLDER);
    promote();
    struct hf_store_value got;
    assert_int_equal(hf_store_get(to, &key, LATER_MS, &got), HF_STORE_OK);
    assert_true(hf_slice_equal(got.bytes, HF_SLICE("3")) && got.deadline_ms == HF_DEADLINE_NEVER);
    hf_testing_holds(to, &lock, HF_SLICE("owner"));
}

static void a_deadline_travels_alone(void **state)
{
    struct hf_version first = fill();
    struct hf_blob_apply how = how_for(encode(&key, HF_BLOB_RECORD), first, (struct hf_version){0});
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_int_equal(
        hf_store_expire(from, &key, HF_TESTING_NOW_MS + 2 * LEFT_MS, &hf_testing_write, &change),
        HF_STORE_OK);
    how = how_for(encode(&key, HF_BLOB_DEADLINE), change.version, change.base);
    assert_true(how.blob.size < 64);
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_int_equal(held().version.sequence, first.sequence + 1);
    promote();
    struct hf_store_value got;
    assert_int_equal(hf_store_get(to, &key, LATER_MS, &got), HF_STORE_OK);
    assert_int_equal(got.deadline_ms, LATER_MS + 2 * LEFT_MS);
    assert_true(hf_slice_equal(got.bytes, HF_SLICE("value")));
    /* Of a key that the receiver has not, it cannot be all. */
    struct hf_version held_version = held().version;
    struct hf_store_key more = hf_testing_key_of(HF_SLICE("a"), "sess:", ":more");
    hf_testing_set(from, &more, HF_SLICE("x"), HF_TESTING_NOW_MS + LEFT_MS);
    how = how_for(encode(&more, HF_BLOB_DEADLINE), (struct hf_version){9, 2, 1}, held_version);
    assert_int_equal(apply(&how), HF_STORE_NO_BASE);
    assert_int_equal(held().key_count, 2);
}

static void a_key_that_is_gone_says_so(void **state)
{
    struct hf_version first = fill();
    struct hf_blob_apply how = how_for(encode(&key, HF_BLOB_RECORD), first, (struct hf_version){0});
    assert_int_equal(apply(&how), HF_STORE_OK);
    struct hf_store_delete gone = {0};
    assert_int_equal(hf_store_delete(from, &lock, &gone, &hf_testing_write, &change), HF_STORE_OK);
    how = how_for(encode(&lock, HF_BLOB_KEY), change.version, change.base);
    assert_int_equal(apply(&how), HF_STORE_OK);
    assert_int_equal(held().key_count, 1);
    struct hf_blob_out out = {.bytes = bytes, .room = sizeof(bytes)};
    assert_int_equal(hf_blob_encode(from, &lock, HF_BLOB_DEADLINE, HF_TESTING_NOW_MS, &out),
                     HF_STORE_MISSING);
    struct hf_store_key other = hf_testing_key("other");
    assert_int_equal(hf_blob_encode(from, &other, HF_BLOB_RECORD, HF_TESTING_NOW_MS, &out),
                     HF_STORE_MISSING);
}

/* Small hashes, and those with an index. */
static void hashes_travel(void **state)
{
    static const unsigned counts[] = {5, 500};
    static char names[500][8];
    static struct hf_store_field fields[500];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(names[i], sizeof(names[i]), "f%u", i);
        fields[i] = (struct hf_store_field){hf_slice_text(names[i]), hf_slice_text(names[i])};
    }
    for (unsigned round = 0; round < 2; round++) {
        struct hf_store_hash_set set = {.fields = fields, .field_count = counts[round]};
        assert_int_equal(hf_store_hash_set(from, &key, &set, &hf_testing_write, &change),
                         HF_STORE_OK);
        struct hf_version version = {.epoch = 10 + round, .sequence = 1, .birth = 1};
        struct hf_blob_apply how =
            how_for(encode(&key, HF_BLOB_RECORD), version, (struct hf_version){0});
        how.role.state = HF_RECORD_OWNER;
        assert_int_equal(apply(&how), HF_STORE_OK);
        for (unsigned i = 0; i < counts[round]; i++) {
            struct hf_slice got;
            assert_int_equal(hf_store_hash_get(to, &key, fields[i].name, LATER_MS, &got),
                             HF_STORE_OK);
            assert_true(hf_slice_equal(got, fields[i].value));
        }
    }
}

static void too_little_room_says_how_much_is_needed(void **state)
{
    fill();
    struct hf_blob_out out = {.bytes = bytes, .room = sizeof(bytes)};
    assert_int_equal(hf_blob_encode(from, &key, HF_BLOB_RECORD, HF_TESTING_NOW_MS, &out),
                     HF_STORE_OK);
    size_t needed = out.size;
    for (size_t room = 0; room < needed; room++) {
        bytes[room] = '#';
        out.room = room;
        assert_int_equal(hf_blob_encode(from, &key, HF_BLOB_RECORD, HF_TESTING_NOW_MS, &out),
                         HF_STORE_TOO_LARGE);
        assert_int_equal(out.size, needed);
        assert_int_equal(bytes[room], '#');
    }
}

/* Cut anywhere, and with any byte of its heads changed, a blob is refused or still within bounds;
 * what it is put into stays as it was when it is refused. */
static void nothing_comes_of_a_bad_blob(void **state)
{
    struct hf_version version = fill();
    struct hf_slice blob = encode(&key, HF_BLOB_RECORD);
    struct hf_blob_apply how = how_for(blob, version, (struct hf_version){0});
    for (size_t size = 0; size < blob.size; size++) {
        how.blob.size = size;
        assert_int_equal(apply(&how), HF_STORE_BAD);
    }
    how.blob.size = blob.size + 1;
    assert_int_equal(apply(&how), HF_STORE_BAD);
    assert_int_equal(held().state, HF_RECORD_NONE);
    how.blob = blob;
    static const struct {
        size_t at;
        uint8_t byte;
    } bad[] = {{0, 2}, {1, 3}, {1, HF_BLOB_KEY}, {2, 17}, {2, 1}, {3, 9}, {4, 2}, {5, 255}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char was = bytes[bad[i].at];
        bytes[bad[i].at] = (char)bad[i].byte;
        assert_int_equal(apply(&how), HF_STORE_BAD);
        bytes[bad[i].at] = was;
    }
    assert_int_equal(apply(&how), HF_STORE_OK);
}

/* ---- another name ---- */

static void a_key_gets_another_name(void **state)
{
    fill();
    struct hf_store_key name = hf_testing_key("b");
    struct hf_blob_put put = {
        .blob = encode(&key, HF_BLOB_KEY), .base_ms = HF_TESTING_NOW_MS, .only_new = true};
    assert_int_equal(hf_blob_put(to, &name, &put, &hf_testing_write, &change), HF_STORE_OK);
    assert_true(change.created_record);
    hf_testing_holds(to, &name, HF_SLICE("value"));
    struct hf_store_value got;
    assert_int_equal(hf_store_get(to, &name, HF_TESTING_NOW_MS, &got), HF_STORE_OK);
    assert_int_equal(got.deadline_ms, HF_TESTING_NOW_MS + LEFT_MS);
    assert_int_equal(hf_blob_put(to, &name, &put, &hf_testing_write, &change), HF_STORE_EXISTS);
    put.blob = encode(&key, HF_BLOB_RECORD);
    assert_int_equal(hf_blob_put(to, &name, &put, &hf_testing_write, &change), HF_STORE_BAD);
    struct hf_store_key missing = hf_testing_key_of(HF_SLICE("a"), "no:", "");
    put.blob = encode(&missing, HF_BLOB_KEY);
    put.only_new = false;
    assert_int_equal(hf_blob_put(to, &name, &put, &hf_testing_write, &change), HF_STORE_MISSING);
    hf_testing_holds(to, &name, HF_SLICE("value"));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_record_arrives_whole),
        ROW(only_newer_records_come_in_unless_forced),
        ROW(a_granted_record_is_filled_under_its_version),
        ROW(parts_need_their_base),
        ROW(a_deadline_travels_alone),
        ROW(a_key_that_is_gone_says_so),
        ROW(hashes_travel),
        ROW(too_little_room_says_how_much_is_needed),
        ROW(nothing_comes_of_a_bad_blob),
        ROW(a_key_gets_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
