/* call - one gRPC call as an app makes it.
 *
 *   call HOST:PORT FOLDER METHOD < REQUEST > REPLY
 *
 * FOLDER has ca.pem, app.pem and app.key. Request and reply are bytes. Status 1
 * and one line with the error if the call is refused. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/rpc.h"

enum { PATH_LEN = 4096, CALL_MS = 60000 };

static const struct tls_material *get_tls(void *ctx, uint64_t *generation)
{
    *generation = 1;
    return ctx;
}

static enum err load(const char *folder, struct tls_material *out,
                     struct errmsg *why)
{
    static const char *const names[] = {"ca.pem", "app.pem", "app.key"};
    char paths[ARRAY_LEN(names)][PATH_LEN];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(paths[i], PATH_LEN, "%s/%s", folder, names[i]);
    }
    return tls_material_load(out, paths[0], paths[1], paths[2], why);
}

static void read_request(struct buf *out)
{
    size_t n;
    do {
        n = fread(buf_reserve(out, PATH_LEN), 1, PATH_LEN, stdin);
        out->len += n;
    } while (n > 0);
}

static enum err call(char **argv, struct tls_material *material,
                     struct buf *reply, struct errmsg *why)
{
    struct rpc_conf conf = rpc_conf_default();
    struct rpc_tls tls = {.get = get_tls, .ctx = material};
    struct rpc *rpc = NULL;
    struct rpc_channel *channel = NULL;
    struct buf request = BUF_INIT;
    read_request(&request);
    enum err err = rpc_open(&rpc, &conf, why);
    if (err == ERR_OK) {
        err = rpc_channel_open(&channel, rpc, argv[1], &tls, NULL, why);
    }
    if (err == ERR_OK) {
        err = rpc_unary_wait(channel, argv[3], &request, CALL_MS, reply, why);
    }
    rpc_channel_close(&channel);
    rpc_close(&rpc);
    buf_fini(&request);
    return err;
}

int main(int argc, char **argv)
{
    struct tls_material material = {.ca_pem = NULL};
    struct buf reply = BUF_INIT;
    struct errmsg why = {""};
    if (argc != 4) {
        (void)fputs("usage: call HOST:PORT FOLDER METHOD\n", stderr);
        return 2;
    }
    log_set_level(LOG_ERROR);
    enum err err = load(argv[2], &material, &why);
    if (err == ERR_OK) {
        err = call(argv, &material, &reply, &why);
    }
    if (err == ERR_OK) {
        (void)fwrite(reply.data, 1, reply.len, stdout);
    } else {
        (void)fprintf(stderr, "%s: %s\n", err_name(err), why.text);
    }
    buf_fini(&reply);
    tls_material_fini(&material);
    return err == ERR_OK ? 0 : 1;
}
