/* bench-backend --ports 3001,3002 [--body BYTES]: the benchmark's application alone, for use by
 * hand. */
#include "backend.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"ports", required_argument, NULL, 'p'}, {"body", required_argument, NULL, 'b'}, {0}};
    static struct bench_backend backends[BENCH_BACKENDS_MAX];
    const char *ports = "";
    size_t body_size = BENCH_BODY_SIZE_DEFAULT;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p') {
            ports = optarg;
        } else if (option == 'b') {
            body_size = bench_number("body", optarg, BENCH_BODY_SIZE_MIN, BENCH_BODY_SIZE_MAX);
        } else {
            return 2;
        }
    }
    struct bench_loop loop;
    bench_loop_init(&loop);
    if (bench_backends_open(backends, &loop, ports, body_size) == 0) {
        fprintf(stderr, "usage: bench-backend --ports PORT,PORT,... [--body BYTES]\n");
        return 2;
    }
    for (;;) {
        bench_loop_once(&loop, -1);
    }
}
