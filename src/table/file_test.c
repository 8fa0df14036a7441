/* Records on disk: what is damaged is told from what is sound. */
#include "base/test.h"
#include "table/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/holdfast-file-XXXXXX";
static char path[64];

static int open_folder(void **state)
{
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/t", folder);
    return 0;
}

static int close_folder(void **state)
{
    return rmdir(folder);
}

static struct hf_table_file_record record(uint64_t bucket)
{
    struct hf_table_file_record one = {0};
    one.entries[3] = (struct hf_table_file_entry){
        .hash = bucket + 1000, .server_id = 42, .expiry_wall_s = 2000000000};
    hf_table_file_seal(&one, bucket);
    return one;
}

static void what_is_written_is_read(void **state)
{
    struct hf_table_file file = {.geometry = {2, 50}, .secret = "0123456789abcde"}, again;
    struct hf_table_file_record out[3] = {record(98), record(99)}, in[3];
    assert_int_equal(hf_table_file_open(&again, path), -ENOENT);
    assert_int_equal(hf_table_file_make(&file, path), 0);
    assert_int_equal(hf_table_file_write(&file, 98, 2, out), 0);
    assert_int_equal(hf_table_file_open(&again, path), 0);
    assert_int_equal(hf_table_file_buckets(&again), 100);
    assert_memory_equal(again.secret, file.secret, sizeof(file.secret));
    assert_int_equal(hf_table_file_lock(&again), -EBUSY);
    assert_int_equal(hf_table_file_read(&again, 97, 3, in), 3);
    assert_true(hf_table_file_sound(&in[0], 97)); /* a hole: empty */
    assert_memory_equal(&in[1], out, 2 * sizeof(out[0]));
    assert_int_equal(hf_table_file_read(&again, 99, 3, in), 1); /* the end */
    hf_table_file_close(&file);
    assert_int_equal(hf_table_file_lock(&again), 0);
    hf_table_file_close(&again);
    unlink(path);
}

static void a_record_with_any_other_byte_is_unsound(void **state)
{
    struct hf_table_file_record good = record(7), bad;
    assert_true(hf_table_file_sound(&good, 7));
    assert_false(hf_table_file_sound(&good, 8)); /* at a place that is not its own */
    for (size_t at = 0; at < sizeof(good); at++) {
        bad = good;
        ((unsigned char *)&bad)[at] ^= 0x10;
        assert_false(hf_table_file_sound(&bad, 7));
    }
}

static void a_damaged_or_short_head_is_refused(void **state)
{
    struct hf_table_file file = {.geometry = {1, 16}}, again;
    assert_int_equal(hf_table_file_make(&file, path), 0);
    for (off_t at = 0; at < 40; at++) {
        char byte, flipped;
        assert_int_equal(pread(file.fd, &byte, 1, at), 1);
        flipped = (char)(byte ^ 1);
        assert_int_equal(pwrite(file.fd, &flipped, 1, at), 1);
        assert_int_equal(hf_table_file_open(&again, path), -EBADMSG);
        assert_int_equal(again.fd, -1);
        assert_int_equal(pwrite(file.fd, &byte, 1, at), 1);
    }
    assert_int_equal(ftruncate(file.fd, 20), 0);
    assert_int_equal(hf_table_file_open(&again, path), -EBADMSG);
    assert_int_equal(ftruncate(file.fd, 0), 0);
    assert_int_equal(hf_table_file_open(&again, path), -EBADMSG);
    hf_table_file_close(&file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_record_with_any_other_byte_is_unsound),
        cmocka_unit_test(a_damaged_or_short_head_is_refused),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
