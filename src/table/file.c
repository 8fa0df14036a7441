#include "table/file.h"

#include "base/assert.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_VERSION = 1, BUCKETS_MAX_LOG2 = 32 };
static const char file_magic[8] = "hfpins\r\n";

struct head {
    char magic[8];
    uint32_t version;
    uint32_t shard_count, shard_buckets;
    uint8_t secret[HF_TABLE_SECRET_SIZE];
    uint8_t unused[4];
    uint64_t checksum; /* of all before it */
};

static uint64_t head_checksum(const struct head *head)
{
    return hf_hash64(hf_slice((const char *)head, offsetof(struct head, checksum)), FILE_VERSION);
}

uint64_t hf_table_file_buckets(const struct hf_table_file *file)
{
    return (uint64_t)file->geometry.shard_count * file->geometry.shard_buckets;
}

static bool head_good(const struct head *head)
{
    uint64_t buckets = (uint64_t)head->shard_count * head->shard_buckets;
    return memcmp(head->magic, file_magic, sizeof(file_magic)) == 0 &&
           head->version == FILE_VERSION && head->checksum == head_checksum(head) && buckets > 0 &&
           buckets >> BUCKETS_MAX_LOG2 == 0;
}

int hf_table_file_open(struct hf_table_file *file, const char *path)
{
    struct head head = {0};
    *file = (struct hf_table_file){.fd = open(path, O_RDWR | O_CLOEXEC)};
    if (file->fd < 0)
        return -errno;
    ssize_t got = pread(file->fd, &head, sizeof(head), 0);
    int result = got < 0 ? -errno : 0;
    if (result == 0 && ((size_t)got < sizeof(head) || !head_good(&head)))
        result = -EBADMSG;
    if (result < 0) {
        hf_table_file_close(file);
        return result;
    }
    file->geometry = (struct hf_table_geometry){head.shard_count, head.shard_buckets};
    memcpy(file->secret, head.secret, sizeof(head.secret));
    return 0;
}

int hf_table_file_lock(const struct hf_table_file *file)
{
    if (flock(file->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static int write_all(int fd, const void *from, size_t size, off_t at)
{
    const char *next = from;
    while (size > 0) {
        ssize_t done = pwrite(fd, next, size, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        next += done;
        at += done;
        size -= (size_t)done;
    }
    return 0;
}

int hf_table_file_make(struct hf_table_file *file, const char *path)
{
    struct head head = {.version = FILE_VERSION,
                        .shard_count = file->geometry.shard_count,
                        .shard_buckets = file->geometry.shard_buckets};
    memcpy(head.magic, file_magic, sizeof(file_magic));
    memcpy(head.secret, file->secret, sizeof(head.secret));
    head.checksum = head_checksum(&head);
    file->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return -errno;
    int result = hf_table_file_lock(file);
    /* Holes read as empty records. */
    off_t size = (off_t)(HF_TABLE_FILE_HEAD +
                         hf_table_file_buckets(file) * sizeof(struct hf_table_file_record));
    if (result == 0 && ftruncate(file->fd, size) < 0)
        result = -errno;
    if (result == 0)
        result = write_all(file->fd, &head, sizeof(head), 0);
    if (result < 0)
        hf_table_file_close(file);
    return result;
}

void hf_table_file_close(struct hf_table_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static uint64_t record_checksum(const struct hf_table_file_record *record, uint64_t bucket)
{
    struct hf_slice bytes =
        hf_slice((const char *)record, offsetof(struct hf_table_file_record, checksum));
    uint64_t checksum = hf_hash64(bytes, bucket + 1);
    return checksum != 0 ? checksum : 1;
}

void hf_table_file_seal(struct hf_table_file_record *record, uint64_t bucket)
{
    record->checksum = record_checksum(record, bucket);
}

bool hf_table_file_sound(const struct hf_table_file_record *record, uint64_t bucket)
{
    static const struct hf_table_file_record empty;
    return record->checksum == record_checksum(record, bucket) ||
           memcmp(record, &empty, sizeof(empty)) == 0;
}

static off_t offset_of(uint64_t bucket)
{
    return (off_t)(HF_TABLE_FILE_HEAD + bucket * sizeof(struct hf_table_file_record));
}

int hf_table_file_read(const struct hf_table_file *file, uint64_t bucket, unsigned count,
                       struct hf_table_file_record *out)
{
    REQUIRE(count <= HF_TABLE_FILE_RUN);
    size_t size = count * sizeof(*out), have = 0;
    while (have < size) {
        ssize_t got =
            pread(file->fd, (char *)out + have, size - have, offset_of(bucket) + (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (int)(have / sizeof(*out));
}

int hf_table_file_write(const struct hf_table_file *file, uint64_t bucket, unsigned count,
                        const struct hf_table_file_record *records)
{
    REQUIRE(count <= HF_TABLE_FILE_RUN);
    return write_all(file->fd, records, count * sizeof(*records), offset_of(bucket));
}
