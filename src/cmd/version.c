#include "cmd/cmd.h"
#include <curl/curl.h>
#include <getopt.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>

static const char usage[] = "usage: holdfast version\n\n"
                            "Prints the version and the libraries in use.\n";

int hf_cmd_version(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int option = getopt_long(argc, argv, "h", options, NULL);
    if (option == 'h') {
        fputs(usage, stdout);
        return HF_EXIT_DONE;
    }
    if (option != -1 || optind < argc) {
        fputs(usage, stderr);
        return HF_EXIT_USAGE;
    }
    printf("holdfast %s\n", HF_VERSION);
    printf("%s, libyaml %s, libmicrohttpd %s, jansson %s, libcurl %s\n",
           OpenSSL_version(OPENSSL_VERSION), yaml_get_version_string(), MHD_get_version(),
           jansson_version_str(), curl_version_info(CURLVERSION_NOW)->version);
    return HF_EXIT_DONE;
}
