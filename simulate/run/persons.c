#include <fts.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "run/rows.h"
#include "run/run.h"

enum {
    PIECE = 1 << 20, /* of a file, read at a time */
    OVERLAP = 64,    /* more than a number or a name has */
};

bool persons_has(const struct run *run, uint64_t number)
{
    uint64_t draw = rng_mix(number ^ run->conf->seed ^ UINT64_C(0x9e2507));
    return draw % 100 < run->conf->profile->persons;
}

/* Also one whose last digit is wrong: such rows are refused, and reported. */
static bool is_number(const char *at)
{
    size_t digits = strspn(at, "0123456789");
    return digits >= BENCH_CODE_LEN ||
           (digits == BENCH_CODE_LEN - 1 && at[digits] == 'X');
}

static bool number_inside(struct slice bytes)
{
    static const char digits[] = BENCH_PERSON_DIGITS;
    struct slice rest = bytes;
    const uint8_t *at;
    while ((at = memmem(rest.data, rest.len, digits, strlen(digits))) != NULL) {
        char number[BENCH_CODE_LEN + 1] = "";
        size_t left = rest.len - (size_t)(at - rest.data);
        memcpy(number, at, left < BENCH_CODE_LEN ? left : BENCH_CODE_LEN);
        if (is_number(number)) {
            return true;
        }
        rest = slice_of(at + 1, left - 1);
    }
    return false;
}

bool persons_inside(struct slice bytes)
{
    return bytes.len > 0 && (number_inside(bytes) ||
                             memmem(bytes.data, bytes.len, BENCH_PERSON_MARK,
                                    strlen(BENCH_PERSON_MARK)) != NULL);
}

static int add_text(const char *text, size_t len, void *to)
{
    buf_put(to, text, len);
    return 0;
}

bool persons_answered(const json_t *answer)
{
    struct buf text = BUF_INIT;
    if (answer != NULL) {
        (void)json_dump_callback(answer, add_text, &text, JSON_COMPACT);
    }
    bool inside = persons_inside(buf_slice(&text));
    buf_fini(&text);
    return inside;
}

/* ---- files ---- */

/* The end of a piece stands once more before the next. */
static bool inside_file(FILE *file, uint8_t *room)
{
    size_t kept = 0;
    size_t got;
    bool inside = false;
    while (!inside && (got = fread(room + kept, 1, PIECE - kept, file)) > 0) {
        size_t all = kept + got;
        inside = persons_inside(slice_of(room, all));
        kept = all < OVERLAP ? all : OVERLAP;
        memmove(room, room + all - kept, kept);
    }
    return inside;
}

/* Which node's folder it is in; that of the top, if in none. */
static const struct run_node *node_of(const struct run *run, const char *path)
{
    const struct run_node *n = &run->node[0];
    for (unsigned i = 0; i < run->nodes; i++) {
        size_t len = strlen(run->node[i].folder);
        if (strncmp(path, run->node[i].folder, len) == 0 && path[len] == '/') {
            n = &run->node[i];
        }
    }
    return n;
}

static void look_into(struct run *run, const char *path, uint8_t *room)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (inside_file(file, room)) {
        run_broken(run, node_of(run, path), "person",
                   "a person's number or name stands in clear in %.200s", path);
    }
    (void)fclose(file);
}

/* What was about to be entered. */
static bool is_input(const FTSENT *f)
{
    return strcmp(f->fts_name, "rows.csv") == 0 ||
           strcmp(f->fts_name, "twin.rows.csv") == 0;
}

void check_persons(struct run *run)
{
    char *const roots[] = {mem_strdup(run->conf->folder), NULL};
    uint8_t *room = mem_alloc(PIECE);
    unsigned folders = 0;
    /* A tree that was kept is only started: nothing was entered. */
    bool entered = !run->conf->kept && run->conf->profile->persons > 0;
    FTS *tree =
        entered ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    FTSENT *f;
    while (tree != NULL && run->invariant == NULL &&
           (f = fts_read(tree)) != NULL) {
        if (f->fts_info == FTS_F && !is_input(f)) {
            look_into(run, f->fts_path, room);
        } else if (f->fts_info == FTS_D && f->fts_level == 1) {
            run_progress(run, "looked through for persons", folders++);
        }
    }
    if (tree != NULL) {
        (void)fts_close(tree);
    }
    mem_free(room);
    mem_free(roots[0]);
}
