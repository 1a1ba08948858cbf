/* raw_client.h - a client straight on the gRPC core, for what rpc.h cannot be
 * made to do: no certificate, compression, messages past the limit. */
#ifndef UNIT_RPC_RAW_CLIENT_H
#define UNIT_RPC_RAW_CLIENT_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "unit/rpc/fixture.h"

/* `leaf` NULL: no certificate. The server's name is not looked at. */
static grpc_channel_credentials *raw_creds(const char *ca, const char *leaf)
{
    char *ca_pem = read_pem(ca, "pem");
    grpc_tls_identity_pairs *pairs = NULL;
    if (leaf != NULL) {
        char *chain = read_pem(leaf, "pem");
        char *key = read_pem(leaf, "key");
        pairs = grpc_tls_identity_pairs_create();
        grpc_tls_identity_pairs_add_pair(pairs, key, chain);
        mem_free(chain);
        mem_free(key);
    }
    grpc_tls_certificate_provider *provider =
        grpc_tls_certificate_provider_static_data_create(ca_pem, pairs);
    grpc_tls_certificate_verifier *verifier =
        grpc_tls_certificate_verifier_no_op_create();
    grpc_tls_credentials_options *o = grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_certificate_provider(o, provider);
    grpc_tls_credentials_options_watch_root_certs(o);
    if (leaf != NULL) {
        grpc_tls_credentials_options_watch_identity_key_cert_pairs(o);
    }
    grpc_tls_credentials_options_set_certificate_verifier(o, verifier);
    grpc_tls_credentials_options_set_check_call_host(o, 0);
    grpc_channel_credentials *creds = grpc_tls_credentials_create(o);
    grpc_tls_certificate_verifier_release(verifier);
    grpc_tls_certificate_provider_release(provider);
    mem_free(ca_pem);
    return creds;
}

/* Who the last one was told to ask instead; "" if nobody. */
static char raw_writer[264];

static void keep_writer(const grpc_metadata_array *trailing)
{
    raw_writer[0] = 0;
    for (size_t i = 0; i < trailing->count; i++) {
        const grpc_metadata *md = &trailing->metadata[i];
        if (grpc_slice_str_cmp(md->key, "creditnode-writer") == 0) {
            (void)snprintf(raw_writer, sizeof raw_writer, "%.*s",
                           (int)GRPC_SLICE_LENGTH(md->value),
                           (const char *)GRPC_SLICE_START_PTR(md->value));
        }
    }
}

/* One unary call with `len` zero bytes; status text into `text`. */
static grpc_status_code raw_call(const char *target, const char *ca,
                                 const char *leaf, bool gzip, const char *path,
                                 size_t len, char text[512])
{
    grpc_init();
    char key[] = GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM;
    grpc_arg arg = {.type = GRPC_ARG_INTEGER,
                    .key = key,
                    .value.integer = gzip ? GRPC_COMPRESS_GZIP : 0};
    grpc_channel_args args = {1, &arg};
    grpc_channel_credentials *creds = raw_creds(ca, leaf);
    grpc_channel *channel = grpc_channel_create(target, creds, &args);
    grpc_completion_queue *cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_slice method = grpc_slice_from_copied_string(path);
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_millis(CALL_MS, GPR_TIMESPAN));
    grpc_call *call = grpc_channel_create_call(channel, NULL, 0, cq, method,
                                               NULL, until, NULL);
    grpc_slice body = grpc_slice_malloc(len);
    (void)memset(GRPC_SLICE_START_PTR(body), 0, len);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&body, 1);
    grpc_byte_buffer *reply = NULL;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_MESSAGE},
                      {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    ops[1].data.send_message.send_message = request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[4].data.recv_message.recv_message = &reply;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[5].data.recv_status_on_client.status = &status;
    ops[5].data.recv_status_on_client.status_details = &details;
    assert_int_equal(grpc_call_start_batch(call, ops, 6, call, NULL),
                     GRPC_CALL_OK);
    (void)grpc_completion_queue_pluck(cq, call,
                                      gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    size_t n = GRPC_SLICE_LENGTH(details);
    n = n < 511 ? n : 511;
    (void)memcpy(text, GRPC_SLICE_START_PTR(details), n);
    text[n] = 0;
    keep_writer(&trailing);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_byte_buffer_destroy(request);
    grpc_byte_buffer_destroy(reply);
    grpc_slice_unref(details);
    grpc_slice_unref(body);
    grpc_slice_unref(method);
    grpc_call_unref(call);
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_pluck(cq, NULL,
                                       gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
               .type != GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(cq);
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(creds);
    grpc_shutdown();
    return status;
}

#endif
