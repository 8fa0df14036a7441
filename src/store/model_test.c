/* The store against a naive model of it: the same random operations on both, and what both hold is
 * the same after each. The model is arrays and rules, written from store.h alone. A failure prints
 * the seed and the step; HF_STORE_SEED and HF_STORE_STEPS choose others. */
#include "store/blob.h"
#include "store/model.h"
#include <stdio.h>

enum {
    IDS = 60,
    STEPS = 60000,
    CHECK_EACH = 500,
    TOMB_MS = 20000,
    VALUE_MAX = 6000,
};

struct world {
    struct hf_store *store, *copy;
    struct hf_rng rng;
    uint64_t now_ms;
    uint32_t epoch;
    unsigned long step;
    struct model_record records[IDS];
};

static struct world world;
static char bytes[VALUE_MAX];

static uint32_t below(uint32_t bound)
{
    return hf_rng_below(&world.rng, bound);
}

/* Where a missing key is to be written: HF_STORE_OK once there is a record for it. */
static enum hf_store_status begin(struct model_record *record, unsigned key, bool reuse)
{
    if (record->state == HF_RECORD_OWNER || (record->state == HF_RECORD_TOMB && key > 0))
        return HF_STORE_OK;
    if (record->state == HF_RECORD_TOMB && !(reuse && world.epoch > record->version.epoch))
        return HF_STORE_TOMBSTONE;
    record->state = HF_RECORD_OWNER;
    record->version = (struct hf_version){.epoch = world.epoch, .birth = world.epoch};
    return HF_STORE_OK;
}

/* ---- both ---- */

static char id_text[16];

static struct hf_store_key key_for(unsigned id, unsigned key)
{
    static const char *const suffixes[MODEL_KEYS] = {"", "_LOCK", ":more"};
    snprintf(id_text, sizeof(id_text), "%s%u", id % 7 == 0 ? "long-id" : "i", id);
    struct hf_store_key found = hf_testing_key_of(hf_slice_text(id_text), "s:", suffixes[key]);
    found.satellite = key > 0;
    return found;
}

static uint64_t random_deadline(void)
{
    switch (below(6)) {
    case 0:
        return HF_DEADLINE_NEVER;
    case 1:
        return world.now_ms + below(300);
    case 2:
        return world.now_ms + 30000000 + below(200000);
    default:
        return world.now_ms + 20000 + below(3000);
    }
}

static struct hf_slice random_value(void)
{
    static const unsigned sizes[] = {4, 40, 400, VALUE_MAX};
    size_t size = below(sizes[below(4)]);
    memset(bytes, (int)('a' + below(2)), size);
    return hf_slice(bytes, size);
}

struct step { /* one operation: what was chosen, what the store said */
    unsigned id, key;
    struct hf_store_key name;
    struct hf_store_write write;
    struct model_record *record;
    struct model_key *model;
    struct hf_store_change change;
};

static struct step random_step(void)
{
    struct step step = {.id = below(IDS), .key = below(4) % MODEL_KEYS};
    step.name = key_for(step.id, step.key);
    step.record = &world.records[step.id];
    step.model = &step.record->keys[step.key];
    step.write = (struct hf_store_write){
        .now_ms = world.now_ms,
        .fresh = {.epoch = world.epoch, .birth = world.epoch},
        .reuse_tomb = below(2),
    };
    hf_model_age(step.record, world.now_ms);
    return step;
}

static bool foreign(const struct step *step)
{
    return step->record->state == HF_RECORD_BACKUP;
}

/* The store said OK and what it did; the model follows and compares. */
static void changed(struct step *step, enum hf_store_effect effect)
{
    assert_int_equal(step->change.effect, effect);
    struct model_record *record = step->record;
    record->version.sequence += effect != HF_STORE_NOTHING;
    if (effect == HF_STORE_VALUE)
        step->model->cas = step->change.cas;
    if (record->state != HF_RECORD_NONE)
        assert_true(hf_version_equal(step->change.version, record->version));
    if (record->state == HF_RECORD_OWNER && hf_model_keys(record) == 0)
        hf_model_drop_record(record);
}

static enum hf_store_effect gone_effect(const struct step *step)
{
    bool last = hf_model_keys(step->record) == 0 && step->record->state == HF_RECORD_OWNER;
    return last ? HF_STORE_REMOVED : HF_STORE_GONE;
}

static enum hf_store_effect move_deadline(struct model_key *key, uint64_t deadline_ms)
{
    bool told = hf_deadline_moved(world.now_ms, key->told_ms, deadline_ms);
    key->deadline_ms = deadline_ms;
    key->told_ms = told ? deadline_ms : key->told_ms;
    return told ? HF_STORE_DEADLINE : HF_STORE_NOTHING;
}

static enum hf_store_status when_says(const struct step *step, const struct hf_store_set *set)
{
    if (set->when == HF_STORE_IF_NEW && step->model->there)
        return HF_STORE_EXISTS;
    if (set->when >= HF_STORE_IF_EXISTS && !step->model->there)
        return HF_STORE_MISSING;
    if (set->when == HF_STORE_IF_CAS && set->cas != step->model->cas)
        return HF_STORE_MISMATCH;
    return HF_STORE_OK;
}

static void model_set(struct step *step, const struct hf_store_set *set)
{
    struct model_key *key = step->model;
    if (!set->keep_deadline && set->deadline_ms <= world.now_ms) {
        bool there = key->there;
        hf_model_drop_key(key);
        changed(step, there ? gone_effect(step) : HF_STORE_NOTHING);
        return;
    }
    bool same = key->there && !key->hash && key->flags == set->flags &&
                hf_slice_equal(hf_model_slice(&key->value), set->value);
    uint64_t deadline_ms = set->deadline_ms;
    if (set->keep_deadline)
        deadline_ms = key->there ? key->deadline_ms : HF_DEADLINE_NEVER;
    if (same) {
        changed(step, set->keep_deadline ? HF_STORE_NOTHING : move_deadline(key, deadline_ms));
        return;
    }
    uint64_t told_ms = set->keep_deadline && key->there ? key->deadline_ms : deadline_ms;
    hf_model_drop_key(key);
    key->there = true;
    key->flags = set->flags;
    hf_model_put(&key->value, set->value);
    key->deadline_ms = deadline_ms;
    key->told_ms = told_ms;
    changed(step, HF_STORE_VALUE);
}

static void do_set(void)
{
    struct step step = random_step();
    struct hf_store_set set = {
        .value = random_value(),
        .flags = below(2),
        .when = below(5) < 2 ? HF_STORE_ALWAYS : below(4),
        .cas = step.model->cas + (below(4) == 0),
        .keep_deadline = below(4) == 0,
        .deadline_ms = random_deadline(),
    };
    enum hf_store_status got =
        hf_store_set(world.store, &step.name, &set, &step.write, &step.change);
    if (foreign(&step)) {
        assert_int_equal(got, HF_STORE_NOT_OWNER);
        return;
    }
    enum hf_store_status wanted = when_says(&step, &set);
    bool vanishes = !set.keep_deadline && set.deadline_ms <= world.now_ms;
    if (wanted == HF_STORE_OK && !step.model->there && !vanishes)
        wanted = begin(step.record, step.key, step.write.reuse_tomb);
    assert_int_equal(got, wanted);
    if (wanted == HF_STORE_OK)
        model_set(&step, &set);
}

static void do_extend(void)
{
    struct step step = random_step();
    struct hf_store_extend how = {
        .bytes = HF_SLICE("xyz"), .end = below(2), .create = below(2), .cas = 0};
    if (step.model->there && !step.model->hash && step.model->value.size > VALUE_MAX)
        return;
    enum hf_store_status got =
        hf_store_extend(world.store, &step.name, &how, &step.write, &step.change);
    enum hf_store_status wanted = HF_STORE_OK;
    if (foreign(&step))
        wanted = HF_STORE_NOT_OWNER;
    else if (step.model->there && step.model->hash)
        wanted = HF_STORE_WRONG_TYPE;
    else if (!step.model->there)
        wanted =
            how.create ? begin(step.record, step.key, step.write.reuse_tomb) : HF_STORE_MISSING;
    assert_int_equal(got, wanted);
    if (wanted != HF_STORE_OK)
        return;
    struct model_key *key = step.model;
    static char joined[VALUE_MAX + 8];
    size_t old = key->value.size, first = how.end == HF_STORE_APPEND ? 0 : 3;
    memcpy(joined + first, key->there ? key->value.bytes : "", old);
    memcpy(joined + (how.end == HF_STORE_APPEND ? old : 0), "xyz", 3);
    if (!key->there)
        key->deadline_ms = HF_DEADLINE_NEVER;
    key->there = true;
    key->told_ms = key->deadline_ms;
    hf_model_put(&key->value, hf_slice(joined, old + 3));
    changed(&step, HF_STORE_VALUE);
}

static void do_expire(void)
{
    struct step step = random_step();
    uint64_t deadline_ms = below(20) == 0 ? world.now_ms : random_deadline();
    enum hf_store_status got =
        hf_store_expire(world.store, &step.name, deadline_ms, &step.write, &step.change);
    if (foreign(&step) || !step.model->there) {
        assert_int_equal(got, foreign(&step) ? HF_STORE_NOT_OWNER : HF_STORE_MISSING);
        return;
    }
    assert_int_equal(got, HF_STORE_OK);
    if (deadline_ms > world.now_ms) {
        changed(&step, move_deadline(step.model, deadline_ms));
        return;
    }
    hf_model_drop_key(step.model);
    changed(&step, gone_effect(&step));
}

static void end_session(struct step *step)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++)
        if (i == 0 || i == step->key)
            hf_model_drop_key(&step->record->keys[i]);
    step->record->state = HF_RECORD_TOMB;
    step->record->deadline_ms = world.now_ms + TOMB_MS;
    changed(step, HF_STORE_TOMBED);
}

static void do_delete(void)
{
    struct step step = random_step();
    struct hf_store_delete how = {.tomb_ms = step.key == 0 && below(2) ? TOMB_MS : 0};
    if (below(3) == 0)
        how.cas = step.model->cas + below(2);
    enum hf_store_status got =
        hf_store_delete(world.store, &step.name, &how, &step.write, &step.change);
    enum hf_store_status wanted = HF_STORE_OK;
    if (foreign(&step))
        wanted = HF_STORE_NOT_OWNER;
    else if (!step.model->there)
        wanted = HF_STORE_MISSING;
    else if (how.cas != 0 && how.cas != step.model->cas)
        wanted = HF_STORE_MISMATCH;
    assert_int_equal(got, wanted);
    if (wanted != HF_STORE_OK)
        return;
    if (how.tomb_ms > 0) {
        end_session(&step);
        return;
    }
    hf_model_drop_key(step.model);
    changed(&step, gone_effect(&step));
}

/* ---- hashes ---- */

static struct hf_slice field_name(unsigned number)
{
    static char names[MODEL_FIELDS][8];
    snprintf(names[number], sizeof(names[number]), "f%u", number);
    return hf_slice_text(names[number]);
}

static void do_hash_set(void)
{
    struct step step = random_step();
    unsigned numbers[MODEL_FIELDS], count = 1 + below(below(5) == 0 ? 40 : 4);
    struct hf_store_field fields[MODEL_FIELDS];
    struct hf_slice value = hf_slice(bytes, random_value().size % 60);
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = below(MODEL_FIELDS);
        fields[i] = (struct hf_store_field){field_name(numbers[i]), value};
    }
    struct hf_store_hash_set set = {.fields = fields, .field_count = count};
    enum hf_store_status got =
        hf_store_hash_set(world.store, &step.name, &set, &step.write, &step.change);
    enum hf_store_status wanted = HF_STORE_OK;
    if (foreign(&step))
        wanted = HF_STORE_NOT_OWNER;
    else if (step.model->there && !step.model->hash)
        wanted = HF_STORE_WRONG_TYPE;
    else if (!step.model->there)
        wanted = begin(step.record, step.key, step.write.reuse_tomb);
    assert_int_equal(got, wanted);
    if (wanted != HF_STORE_OK)
        return;
    struct model_key *key = step.model;
    unsigned created = 0, same = 0;
    for (unsigned i = 0; i < count; i++) {
        struct model_bytes *field = &key->fields[numbers[i]];
        created += !field->there;
        same += field->there && hf_slice_equal(hf_model_slice(field), value);
        hf_model_put(field, value);
    }
    assert_int_equal(set.created, created);
    if (!key->there)
        key->deadline_ms = HF_DEADLINE_NEVER;
    bool unchanged = key->there && created == 0 && same == count;
    key->there = key->hash = true;
    key->told_ms = unchanged ? key->told_ms : key->deadline_ms;
    changed(&step, unchanged ? HF_STORE_NOTHING : HF_STORE_VALUE);
}

static void do_hash_delete(void)
{
    struct step step = random_step();
    struct hf_slice names[MODEL_FIELDS];
    unsigned count = 1 + below(below(8) == 0 ? MODEL_FIELDS : 3), numbers[MODEL_FIELDS],
             deleted = 0;
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = below(MODEL_FIELDS);
        names[i] = field_name(numbers[i]);
    }
    struct hf_store_hash_delete how = {.fields = names, .field_count = count};
    enum hf_store_status got =
        hf_store_hash_delete(world.store, &step.name, &how, &step.write, &step.change);
    if (foreign(&step) || !step.model->there) {
        assert_int_equal(got, foreign(&step) ? HF_STORE_NOT_OWNER : HF_STORE_MISSING);
        return;
    }
    assert_int_equal(got, step.model->hash ? HF_STORE_OK : HF_STORE_WRONG_TYPE);
    if (got != HF_STORE_OK)
        return;
    unsigned left = 0;
    for (unsigned i = 0; i < count; i++) {
        deleted += step.model->fields[numbers[i]].there;
        hf_model_drop(&step.model->fields[numbers[i]]);
    }
    for (unsigned i = 0; i < MODEL_FIELDS; i++)
        left += step.model->fields[i].there;
    assert_int_equal(how.deleted, deleted);
    if (left == 0)
        hf_model_drop_key(step.model);
    else if (deleted > 0)
        step.model->told_ms = step.model->deadline_ms;
    enum hf_store_effect effect = deleted > 0 ? HF_STORE_VALUE : HF_STORE_NOTHING;
    changed(&step, left == 0 ? gone_effect(&step) : effect);
}

/* ---- roles, copies, time ---- */

static void do_assign(void)
{
    struct step step = random_step();
    struct model_record *record = step.record;
    if (record->state == HF_RECORD_NONE || record->state == HF_RECORD_TOMB)
        return;
    if (hf_model_keys(record) == 0)
        return;
    struct hf_store_role role = {
        .state = record->state == HF_RECORD_OWNER ? HF_RECORD_BACKUP : HF_RECORD_OWNER,
        .version = {.epoch = ++world.epoch, .sequence = 1, .birth = record->version.birth},
        .owner = 3,
    };
    assert_int_equal(
        hf_store_assign(world.store, step.name.id, step.name.id_hash, &role, world.now_ms),
        HF_STORE_OK);
    record->state = role.state;
    record->version = role.version;
    hf_model_age(record, world.now_ms);
}

static void do_copy(void)
{
    static char blob[1 << 17];
    struct step step = random_step();
    struct hf_blob_out out = {.bytes = blob, .room = sizeof(blob)};
    enum hf_store_status got =
        hf_blob_encode(world.store, &step.name, HF_BLOB_RECORD, world.now_ms, &out);
    if (got != HF_STORE_OK || hf_model_keys(step.record) == 0)
        return;
    struct hf_blob_apply how = {
        .blob = {blob, out.size},
        .role = {.state = HF_RECORD_BACKUP, .version = step.record->version},
        .base_ms = world.now_ms,
        .now_ms = world.now_ms,
        .force = true,
    };
    struct hf_store_record seen;
    assert_int_equal(hf_blob_apply(world.copy, step.name.id, step.name.id_hash, &how), HF_STORE_OK);
    if (!hf_store_find(world.copy, step.name.id, step.name.id_hash, world.now_ms, &seen))
        return; /* all keys had expired, and nothing was copied */
    static char again[1 << 17];
    struct hf_blob_out second = {.bytes = again, .room = sizeof(again)};
    assert_int_equal(hf_blob_encode(world.copy, &step.name, HF_BLOB_RECORD, world.now_ms, &second),
                     HF_STORE_OK);
    assert_int_equal(second.size, out.size);
    assert_true(hf_version_equal(seen.version, step.record->version));
}

static void do_time(void)
{
    world.now_ms += below(10) == 0 ? below(40000) : below(50);
    world.epoch += below(3) == 0;
    while (below(2) && hf_store_tick(world.store, world.now_ms, 1 + below(50)))
        continue;
    hf_store_tick(world.copy, world.now_ms, 100);
}

/* ---- comparing ---- */

static void compare_fields(const struct model_key *key, const struct hf_store_key *name)
{
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    unsigned count = 0, wanted = 0;
    for (unsigned i = 0; i < MODEL_FIELDS; i++) {
        struct hf_slice got;
        enum hf_store_status status =
            hf_store_hash_get(world.store, name, field_name(i), world.now_ms, &got);
        assert_int_equal(status, key->fields[i].there ? HF_STORE_OK : HF_STORE_MISSING);
        assert_true(!key->fields[i].there || hf_slice_equal(got, hf_model_slice(&key->fields[i])));
        wanted += key->fields[i].there;
    }
    while (hf_store_hash_next(world.store, name, world.now_ms, &cursor, &field))
        count++;
    assert_int_equal(count, wanted);
}

static void compare_key(unsigned id, unsigned number)
{
    struct model_record *record = &world.records[id];
    struct model_key *key = &record->keys[number];
    struct hf_store_key name = key_for(id, number);
    struct hf_store_value got;
    enum hf_store_status wanted = key->there ? HF_STORE_OK : HF_STORE_MISSING;
    if (record->state == HF_RECORD_BACKUP)
        wanted = HF_STORE_NOT_OWNER;
    assert_int_equal(hf_store_get(world.store, &name, world.now_ms, &got), wanted);
    if (wanted != HF_STORE_OK)
        return;
    assert_int_equal(got.kind, key->hash ? HF_STORE_HASH : HF_STORE_STRING);
    assert_true(got.deadline_ms == key->deadline_ms && got.cas == key->cas);
    if (key->hash)
        compare_fields(key, &name);
    else
        assert_true(got.flags == key->flags &&
                    hf_slice_equal(got.bytes, hf_model_slice(&key->value)));
}

static bool count_one(void *user, const struct hf_store_record *record)
{
    (void)record;
    ++*(unsigned *)user;
    return true;
}

static void compare_all(void)
{
    unsigned wanted = 0, seen = 0;
    for (unsigned id = 0; id < IDS; id++) {
        hf_model_age(&world.records[id], world.now_ms);
        struct hf_store_key name = key_for(id, 0);
        struct hf_store_record found;
        bool there = world.records[id].state != HF_RECORD_NONE;
        wanted += there;
        assert_int_equal(hf_store_find(world.store, name.id, name.id_hash, world.now_ms, &found),
                         there);
        if (there) {
            assert_int_equal(found.state, world.records[id].state);
            assert_true(hf_version_equal(found.version, world.records[id].version));
        }
        for (unsigned key = 0; key < MODEL_KEYS; key++)
            compare_key(id, key);
    }
    struct hf_store_scan scan = {
        .visit = count_one, .user = &seen, .now_ms = world.now_ms, .count = 7, .bucket = -1};
    uint64_t cursor = 0;
    do {
        hf_store_scan(world.store, &cursor, &scan);
    } while (cursor != 0);
    assert_int_equal(seen, wanted);
    hf_shard_check(world.store);
    hf_shard_check(world.copy);
}

typedef void (*operation_fn)(void);

static void run(uint64_t seed, unsigned long steps)
{
    static const operation_fn operations[] = {
        do_set,    do_set,         do_set,  do_set,  do_extend, do_expire, do_hash_set,
        do_delete, do_hash_delete, do_time, do_time, do_copy,   do_assign,
    };
    struct hf_store_options options = hf_testing_options;
    world = (struct world){.now_ms = HF_TESTING_NOW_MS, .epoch = 1};
    world.store = hf_testing_store(&options);
    world.copy = hf_testing_store(&options);
    hf_rng_seed(&world.rng, seed);
    for (; world.step < steps; world.step++) {
        operations[below(sizeof(operations) / sizeof(operations[0]))]();
        if (world.step % CHECK_EACH == 0)
            compare_all();
    }
    compare_all();
    for (unsigned id = 0; id < IDS; id++)
        hf_model_drop_record(&world.records[id]);
    hf_store_free(&world.store);
    hf_store_free(&world.copy);
}

static unsigned long setting(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

static void the_store_does_what_the_model_does(void **state)
{
    unsigned long first = setting("HF_STORE_SEED", 1), seeds = setting("HF_STORE_SEEDS", 4);
    for (unsigned long seed = first; seed < first + seeds; seed++) {
        print_message("seed %lu\n", seed);
        run(seed, setting("HF_STORE_STEPS", STEPS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_store_does_what_the_model_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
