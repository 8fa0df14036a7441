/* Input: a byte that seals or does not, then the file of a table as a disk gives it back. Whatever
 * stands there, it is opened or refused, no record is read from outside of it, and what is found of
 * a key is an identity with time left. Sealed: head and records get right checksums, so that more
 * than checksums is looked at. */
#include "base/hash.h"
#include "fuzz.h"
#include "table/keeper.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHECKSUM_AT = 40, HEAD_SEED = 1, FILE_MAX = 64 * 1024, PATH_ROOM = 64 };

/* As file.c lays its head out: magic 8, version 4, geometry 8, secret 16, nothing 4, checksum 8. */
static void seal(char *bytes, size_t size)
{
    struct hf_table_file_record record;
    uint64_t checksum;
    if (size < CHECKSUM_AT + sizeof(checksum))
        return;
    memcpy(bytes, "hfpins\r\n", 8);
    memcpy(bytes + 8, &(uint32_t){1}, 4);
    checksum = hf_hash64(hf_slice(bytes, CHECKSUM_AT), HEAD_SEED);
    memcpy(bytes + CHECKSUM_AT, &checksum, sizeof(checksum));
    size_t at = HF_TABLE_FILE_HEAD;
    for (uint64_t bucket = 0; at + sizeof(record) <= size; bucket++, at += sizeof(record)) {
        memcpy(&record, bytes + at, sizeof(record));
        hf_table_file_seal(&record, bucket);
        memcpy(bytes + at, &record, sizeof(record));
    }
}

static void look(struct hf_table *table, const char *bytes, size_t size)
{
    static struct hf_table_file_record run[HF_TABLE_FILE_RUN];
    uint64_t buckets = hf_table_file_buckets(&table->probe);
    size_t there = size > HF_TABLE_FILE_HEAD ? (size - HF_TABLE_FILE_HEAD) / sizeof(run[0]) : 0;
    REQUIRE(buckets > 0);
    int got = hf_table_file_read(&table->probe, 0, HF_TABLE_FILE_RUN, run);
    REQUIRE(got >= 0 && (size_t)got == (there < HF_TABLE_FILE_RUN ? there : HF_TABLE_FILE_RUN));
    for (int i = 0; i < got; i++) {
        REQUIRE(memcmp(&run[i], bytes + HF_TABLE_FILE_HEAD + (size_t)i * sizeof(run[0]),
                       sizeof(run[0])) == 0);
        for (unsigned way = 0; way < HF_TABLE_FILE_WAYS; way++) {
            uint32_t left_s = 0;
            uint64_t found = hf_keeper_probe(table, run[i].entries[way].hash | 1, &left_s);
            REQUIRE(found == 0 || (left_s > 0 && left_s <= HF_TABLE_EXPIRE_MAX_S));
        }
    }
    REQUIRE(hf_table_file_read(&table->probe, buckets + there, 1, run) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hf_table table;
    char path[PATH_ROOM];
    if (size < 1 || size > FILE_MAX)
        return 0;
    char *bytes = fuzz_copy(data + 1, --size);
    if (data[0] & 1)
        seal(bytes, size);
    int fd = memfd_create("table", MFD_CLOEXEC);
    REQUIRE(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int result = hf_table_file_open(&table.probe, path);
    REQUIRE(result == 0 || result == -EBADMSG);
    if (result == 0)
        look(&table, bytes, size);
    hf_table_file_close(&table.probe);
    close(fd);
    free(bytes);
    return 0;
}
