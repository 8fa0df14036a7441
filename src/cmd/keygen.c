/* A key of 256 random bits as text, for cookie_keys. */
#include "base/rng.h"
#include "cmd/cmd.h"
#include "proto/token.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KEY_TEXT_SIZE = 2 * HF_TOKEN_KEY_SIZE + 1 }; /* hexadecimal and a newline */

static const char usage[] =
    "usage: holdfast keygen [FILE]\n\n"
    "Writes 32 random bytes as 64 hexadecimal digits to FILE, which must not exist yet (mode "
    "0600),\n"
    "or to standard output. Name the file in cookie_keys: - {id: 1, file: FILE}\n";

static void make_key(char out[KEY_TEXT_SIZE])
{
    uint8_t key[HF_TOKEN_KEY_SIZE];
    hf_random_bytes(key, sizeof(key));
    hf_token_key_format(key, out);
    out[KEY_TEXT_SIZE - 1] = '\n'; /* over the NUL */
    OPENSSL_cleanse(key, sizeof(key));
}

/* 0 or negative errno; a short write is an error, for half a key is none. */
static int write_key(int fd, const char text[KEY_TEXT_SIZE])
{
    ssize_t written = write(fd, text, KEY_TEXT_SIZE);
    if (written < 0)
        return -errno;
    return written == KEY_TEXT_SIZE ? 0 : -EIO;
}

static int write_file(const char *file, const char text[KEY_TEXT_SIZE])
{
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int result = write_key(fd, text);
    if (result == 0 && fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
        result = -errno;
    if (close(fd) != 0 && result == 0)
        result = -errno;
    if (result != 0)
        unlink(file);
    return result;
}

int hf_cmd_keygen(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int option = getopt_long(argc, argv, "h", options, NULL);
    if (option == 'h') {
        fputs(usage, stdout);
        return HF_EXIT_DONE;
    }
    if (option != -1 || argc - optind > 1) {
        fputs(usage, stderr);
        return HF_EXIT_USAGE;
    }
    const char *file = optind < argc ? argv[optind] : NULL;
    char text[KEY_TEXT_SIZE];
    make_key(text);
    int result = file ? write_file(file, text) : write_key(STDOUT_FILENO, text);
    OPENSSL_cleanse(text, sizeof(text));
    if (result == 0)
        return HF_EXIT_DONE;
    fprintf(stderr, "holdfast keygen: %s: %s%s\n", file ? file : "standard output",
            strerror(-result),
            result == -EEXIST ? "; a key is never overwritten, choose another name" : "");
    return HF_EXIT_FAILED;
}
