/* test_shared_bytes.c - messages that share what gRPC read at once. */
#include "rpc/rpc_private.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { HALF = 512 };

/* One thread is done first. Relaxed, so that only gRPC's count of references
 * orders the two, as between the poller and a worker. */
static atomic_bool first_is_done;

static unsigned sum_and_give_up(grpc_byte_buffer *bytes)
{
    grpc_slice flat = rpc_bytes_flatten(bytes);
    struct slice view = rpc_slice_view(&flat);
    unsigned sum = 0;
    for (size_t i = 0; i < view.len; i++) {
        sum += view.data[i];
    }
    rpc_slice_done(flat);
    return sum;
}

static void *first_reader(void *bytes)
{
    unsigned sum = sum_and_give_up(bytes);
    atomic_store_explicit(&first_is_done, true, memory_order_relaxed);
    return (void *)(uintptr_t)sum;
}

/* Fails in a build with ThreadSanitizer if the last to go is not told of. */
static void test_the_last_of_two_frees_what_both_read(void **state)
{
    (void)state;
    grpc_slice whole = grpc_slice_malloc_large(2 * HALF);
    memset(whole.data.refcounted.bytes, 1, HALF);
    memset(whole.data.refcounted.bytes + HALF, 2, HALF);
    grpc_slice parts[2] = {grpc_slice_sub(whole, 0, HALF),
                           grpc_slice_sub(whole, HALF, 2 * HALF)};
    grpc_byte_buffer *messages[2];
    for (size_t i = 0; i < 2; i++) {
        messages[i] = grpc_raw_byte_buffer_create(&parts[i], 1);
        grpc_slice_unref(parts[i]);
    }
    grpc_slice_unref(whole);
    atomic_store(&first_is_done, false);

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, first_reader, messages[0]),
                     0);
    while (!atomic_load_explicit(&first_is_done, memory_order_relaxed)) {
    }
    assert_int_equal(sum_and_give_up(messages[1]), 2 * HALF);
    void *sum = NULL;
    assert_int_equal(pthread_join(thread, &sum), 0);
    assert_int_equal((uintptr_t)sum, HALF);
}

static void test_nothing_is_given_up(void **state)
{
    (void)state;
    rpc_bytes_done(NULL);
    rpc_slice_done(rpc_bytes_flatten(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_of_two_frees_what_both_read),
        cmocka_unit_test(test_nothing_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
