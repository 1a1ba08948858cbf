/* Any bytes as a configuration: it is taken, or refused with a reason that
 * names the place; what is taken, printed and read again is the same. */
#include "conf/conf.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"

static char folder[] = "/tmp/fuzz-conf-XXXXXX";

static void write_file(const char *name, struct slice text)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(write(fd, text.data, text.len) == (ssize_t)text.len);
    (void)close(fd);
}

/* Files that a configuration names must exist, and a key be private: beside it
 * there is one, called "key". */
static void make_folder(void)
{
    static bool there;
    if (!there) {
        FUZZ_CHECK(mkdtemp(folder) != NULL);
        write_file("key", slice_str("key"));
        there = true;
    }
}

static struct conf *load(struct slice text)
{
    struct conf_errors *errors = MEM_NEW(struct conf_errors);
    struct conf *conf = NULL;
    char path[64];
    write_file("node.cfg", text);
    (void)snprintf(path, sizeof path, "%s/node.cfg", folder);
    enum err err = conf_load(&conf, path, NULL, 0, errors);
    FUZZ_CHECK((err == ERR_OK) == (conf != NULL));
    FUZZ_CHECK(err == ERR_OK ||
               (errors->count > 0 && errors->at[0].text[0] != 0));
    mem_free(errors);
    return conf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    make_folder();
    /* Other files are none of this input's. */
    if (memmem(data, len, "@include", 8) != NULL) {
        return 0;
    }
    struct conf *conf = load(slice_of(data, len));
    if (conf == NULL) {
        return 0;
    }
    struct buf once = BUF_INIT;
    struct buf twice = BUF_INIT;
    conf_print(conf, CONF_FORM_FILE, false, &once);
    struct conf *again = load(buf_slice(&once));
    FUZZ_CHECK(again != NULL);
    conf_print(again, CONF_FORM_FILE, false, &twice);
    FUZZ_CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
    conf_free(&conf);
    conf_free(&again);
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
