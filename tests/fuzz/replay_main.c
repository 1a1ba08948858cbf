/* replay_main.c - runs a fuzz target once over each file of the folders named
 * on the command line, so that seeds and mended crashes are tested in every
 * build, without a fuzzer. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "fuzz/fuzz.h"

enum { INPUT_MAX = 4 << 20 };

static bool replay_file(const char *path)
{
    struct buf content = BUF_INIT;
    struct errmsg why;
    if (file_read(path, INPUT_MAX, &content, &why) != ERR_OK) {
        fprintf(stderr, "%s\n", why.text);
        return false;
    }
    /* A copy of exactly this length, so that a sanitizer sees the first byte
     * read past it. */
    uint8_t *input = mem_dup(content.data, content.len);
    printf("%s %zu bytes\n", path, content.len);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(input, content.len);
    mem_free(input);
    buf_fini(&content);
    return true;
}

/* The number of files replayed, or -1. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return -1;
    }
    int count = 0;
    const struct dirent *item;
    while (count >= 0 && (item = readdir(dir)) != NULL) {
        struct buf path = BUF_INIT;
        struct stat st;
        buf_putf(&path, "%s/%s", folder, item->d_name);
        if (stat(buf_cstr(&path), &st) == 0 && S_ISREG(st.st_mode)) {
            count = replay_file(buf_cstr(&path)) ? count + 1 : -1;
        }
        buf_fini(&path);
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);
        if (count < 0) {
            return 1;
        }
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1; /* no seeds is a mistyped folder */
}
