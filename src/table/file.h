/* A table on disk: a head of 4096 bytes, then one record a bucket at a place that follows from its
 * number. Every record carries its own checksum and is looked at through pread alone, so damage
 * costs what it hit and can never be followed into memory.
 *
 *   head    magic, version, geometry, the secret of the hash, checksum
 *   record  8 x (hash, server id, expiry in seconds since 1970), checksum; all zero = empty
 *
 * Written in the byte order of the machine; another order is another version.
 * Threads: the keeper's, but hf_table_file_read on a descriptor that nobody replaces. Layer: table,
 * an inside of it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    HF_TABLE_FILE_HEAD = 4096,
    HF_TABLE_FILE_WAYS = 8,
    HF_TABLE_FILE_RUN = 384, /* records read or written by one call: 64 KiB */
    HF_TABLE_SECRET_SIZE = 16,
};

struct hf_table_file_entry {
    uint64_t hash; /* 0 = none */
    uint64_t server_id;
    uint32_t expiry_wall_s;
} __attribute__((packed));

struct hf_table_file_record {
    struct hf_table_file_entry entries[HF_TABLE_FILE_WAYS];
    uint64_t checksum;
} __attribute__((packed));

struct hf_table_geometry { /* where in the file a hash is */
    uint32_t shard_count, shard_buckets;
};

struct hf_table_file {
    int fd; /* owned; -1 = none */
    struct hf_table_geometry geometry;
    uint8_t secret[HF_TABLE_SECRET_SIZE];
};

/* Opens an existing file. 0; -ENOENT; -EBADMSG: it is none of ours, or its head is damaged; another
 * negative errno of the system. */
int hf_table_file_open(struct hf_table_file *file, const char *path);
/* Makes a file of that geometry and secret, mode 0600, in place of one that is there, and locks it
 * for this process. 0 or negative errno. */
int hf_table_file_make(struct hf_table_file *file, const char *path);
/* Locks for this process; -EBUSY while another one has it. */
int hf_table_file_lock(const struct hf_table_file *file);
void hf_table_file_close(struct hf_table_file *file);
uint64_t hf_table_file_buckets(const struct hf_table_file *file);

void hf_table_file_seal(struct hf_table_file_record *record, uint64_t bucket);
bool hf_table_file_sound(const struct hf_table_file_record *record, uint64_t bucket);
/* Up to HF_TABLE_FILE_RUN records from `bucket` on. How many were read whole, or negative errno. */
int hf_table_file_read(const struct hf_table_file *file, uint64_t bucket, unsigned count,
                       struct hf_table_file_record *out);
/* 0 or negative errno. */
int hf_table_file_write(const struct hf_table_file *file, uint64_t bucket, unsigned count,
                        const struct hf_table_file_record *records);
