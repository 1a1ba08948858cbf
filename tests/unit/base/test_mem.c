/* Memory: zeroed, never NULL, wiped on request; pages of code are given back
 * and come again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <link.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static void nothing_is_still_an_address(void **state)
{
    (void)state;
    void *a = mem_alloc(0);
    void *z = mem_zalloc(0, 8);
    void *d = mem_dup("", 0);
    assert_non_null(a);
    assert_non_null(z);
    assert_non_null(d);
    a = mem_realloc(a, 0);
    assert_non_null(a);
    mem_free(a);
    mem_free(z);
    mem_free(d);
    mem_free(NULL);
}

static void zalloc_zeroes_the_whole_array(void **state)
{
    (void)state;
    static const uint8_t zeros[24];
    uint8_t *p = mem_zalloc(3, 8);
    assert_memory_equal(p, zeros, 24);
    mem_free(p);
}

static void copies_are_independent(void **state)
{
    (void)state;
    char text[] = "village";
    char *copy = mem_strdup(text);
    uint8_t *part = mem_dup(text + 1, 3);
    text[0] = text[1] = 'X';
    assert_string_equal(copy, "village");
    assert_memory_equal(part, "ill", 3);
    mem_free(copy);
    mem_free(part);
}

static void wipe_clears_every_byte(void **state)
{
    (void)state;
    static const uint8_t zeros[16];
    uint8_t secret[17];
    memset(secret, 0xa5, sizeof secret);
    mem_wipe(secret, 16);
    assert_memory_equal(secret, zeros, 16);
    assert_int_equal(secret[16], 0xa5);
}

static void zalloc_ends_the_process_on_overflow(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        volatile size_t count = SIZE_MAX / 2;
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        mem_free(mem_zalloc(count, 8));
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- pages of code ---- */

/* Written once by the linker, and read-only since. */
static const struct {
    void *(*copy)(const void *data, size_t len);
    const char *text;
} written_at_the_start[] = {{mem_dup, "village"}, {mem_dup, "township"}};
static char written_later[] = "before";

/* Reads every page that only the file can have written; adds their bytes. What
 * a sanitizer puts between constants is read too. */
__attribute__((no_sanitize("address"))) static int
touch(struct dl_phdr_info *object, size_t size, void *ctx)
{
    size_t *bytes = ctx;
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *s = &object->dlpi_phdr[i];
        const volatile char *at =
            (const char *)(object->dlpi_addr + s->p_vaddr);
        if (s->p_type != PT_LOAD || (s->p_flags & PF_W) != 0 ||
            strstr(object->dlpi_name, "vdso") != NULL) {
            continue;
        }
        for (size_t n = 0; n < s->p_memsz; n += 1024) {
            (void)at[n];
        }
        *bytes += s->p_memsz;
    }
    return 0;
}

static void code_is_given_back_and_runs_on(void **state)
{
    size_t bytes = 0;
    (void)state;
    memcpy(written_later, "behind", sizeof written_later);
    for (unsigned round = 0; round < 2; round++) {
        bytes = 0;
        (void)dl_iterate_phdr(touch, &bytes);
        assert_true(bytes > 1 << 20);
        size_t before = mem_resident();
        mem_give_back();
        size_t after = mem_resident();
        assert_true(before >= bytes);
        assert_true(after < before - bytes / 2);
    }
    for (size_t i = 0; i < ARRAY_LEN(written_at_the_start); i++) {
        const char *text = written_at_the_start[i].text;
        char *copy = written_at_the_start[i].copy(text, strlen(text) + 1);
        assert_string_equal(copy, i == 0 ? "village" : "township");
        mem_free(copy);
    }
    assert_string_equal(written_later, "behind");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_still_an_address),
        cmocka_unit_test(zalloc_zeroes_the_whole_array),
        cmocka_unit_test(copies_are_independent),
        cmocka_unit_test(wipe_clears_every_byte),
        cmocka_unit_test(zalloc_ends_the_process_on_overflow),
        cmocka_unit_test(code_is_given_back_and_runs_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
