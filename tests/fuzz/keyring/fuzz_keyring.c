/* Any bytes as a file of a keyring: the first says which one. The keyring opens
 * and works, or is refused with a reason; what it wrote it reads again. */
#include "store/keyring.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "fuzz/fuzz.h"

enum { SELF = 201, SECRET_LEN = 32 };

static char folder[] = "/tmp/fuzz-keyring-XXXXXX";
static const char *const names[] = {"secret", "own", "wraps", "learned"};
enum { NAMES = sizeof names / sizeof names[0] };

static void path_of(const char *name, char out[64])
{
    (void)snprintf(out, 64, "%s/%s", folder, name);
}

static void write_file(const char *name, struct slice text)
{
    char path[64];
    path_of(name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(write(fd, text.data, text.len) == (ssize_t)text.len);
    (void)close(fd);
}

static void remove_folder(void)
{
    (void)rmdir(folder);
}

static void make_folder(void)
{
    static bool there;
    if (!there) {
        FUZZ_CHECK(mkdtemp(folder) != NULL);
        FUZZ_CHECK(atexit(remove_folder) == 0);
        log_set_level(LOG_ERROR);
        there = true;
    }
}

static void remove_files(void)
{
    char path[64];
    for (size_t i = 0; i < NAMES; i++) {
        path_of(names[i], path);
        (void)unlink(path);
    }
    path_of("learned.bad", path);
    (void)unlink(path);
}

static bool open_it(struct keyring **out)
{
    struct errmsg why = {""};
    enum err err = keyring_open(out, folder, SUITE_INTL, SELF, NULL, &why);
    FUZZ_CHECK((err == ERR_OK) == (*out != NULL));
    FUZZ_CHECK(err == ERR_OK || why.text[0] != 0);
    FUZZ_CHECK(err == ERR_OK || err == ERR_CORRUPT || err == ERR_TOO_LARGE);
    return err == ERR_OK;
}

static void unseal(struct keyring *kr, struct slice sealed)
{
    struct buf plain = BUF_INIT;
    struct slice aad = slice_str("aad");
    FUZZ_CHECK(keyring_unseal(kr, SELF, aad, sealed, &plain) == ERR_OK);
    FUZZ_CHECK(slice_eq(buf_slice(&plain), slice_str("value")));
    buf_fini(&plain);
}

static void use(struct keyring *kr)
{
    struct keyring *again = NULL;
    struct buf sealed = BUF_INIT;
    struct errmsg why;
    FUZZ_CHECK(keyring_seal(kr, slice_str("aad"), slice_str("value"),
                            &sealed) == ERR_OK);
    unseal(kr, buf_slice(&sealed));
    FUZZ_CHECK(keyring_owe_again(kr, &why) == ERR_OK);
    FUZZ_CHECK(open_it(&again));
    unseal(again, buf_slice(&sealed));
    keyring_free(&again);
    buf_fini(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t secret[SECRET_LEN] = {7};
    struct keyring *kr = NULL;
    if (len == 0) {
        return 0;
    }
    make_folder();
    write_file("secret", slice_of(secret, sizeof secret));
    write_file(names[data[0] % NAMES], slice_of(data + 1, len - 1));
    if (open_it(&kr)) {
        use(kr);
    }
    keyring_free(&kr);
    remove_files();
    return 0;
}
