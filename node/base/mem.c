#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE_MAX = 16 << 20 };

static void *must(void *ptr, size_t len)
{
    if (ptr == NULL) {
        (void)fprintf(stderr, "creditnode: out of memory (%zu bytes)\n", len);
        abort();
    }
    return ptr;
}

void *mem_alloc(size_t len)
{
    return must(malloc(len > 0 ? len : 1), len);
}

void *mem_zalloc(size_t count, size_t size)
{
    return must(calloc(count > 0 ? count : 1, size > 0 ? size : 1),
                count * size);
}

void *mem_realloc(void *old, size_t len)
{
    return must(realloc(old, len > 0 ? len : 1), len);
}

void *mem_dup(const void *data, size_t len)
{
    void *copy = mem_alloc(len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_keep(size_t bytes)
{
    /* The library takes no larger threshold for single pieces. */
    size_t piece = bytes < PIECE_MAX ? bytes : PIECE_MAX;
    (void)mallopt(M_MMAP_THRESHOLD, (int)piece);
    (void)mallopt(M_TRIM_THRESHOLD, bytes < INT_MAX ? (int)bytes : INT_MAX);
}

/* ---- pages of the program and its libraries ---- */

struct pages {
    uintptr_t from;
    uintptr_t to;
};

static struct pages pages_of(const struct dl_phdr_info *object,
                             const ElfW(Phdr) * segment, uintptr_t page)
{
    uintptr_t from = object->dlpi_addr + segment->p_vaddr;
    uintptr_t to = from + segment->p_memsz;
    return (struct pages){from & ~(page - 1), (to + page - 1) & ~(page - 1)};
}

/* Such an object has addresses written into its code. */
static bool relocates_code(const struct dl_phdr_info *object)
{
    const ElfW(Phdr) *s = object->dlpi_phdr;
    size_t i = 0;
    while (i < object->dlpi_phnum && s[i].p_type != PT_DYNAMIC) {
        i++;
    }
    if (i == object->dlpi_phnum) {
        return false; /* linked statically */
    }
    uintptr_t at = object->dlpi_addr + s[i].p_vaddr;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): so the linker tells it */
    const ElfW(Dyn) *d = (const void *)at;
    for (; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_TEXTREL ||
            (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0)) {
            return true;
        }
    }
    return false;
}

/* Nothing ever wrote there, so that the file has every byte of it: not even
 * relocations, which are made in segments that are writable at first. */
static bool as_in_file(const struct dl_phdr_info *object, size_t which,
                       uintptr_t page)
{
    const ElfW(Phdr) *s = object->dlpi_phdr;
    if (s[which].p_type != PT_LOAD || (s[which].p_flags & PF_W) != 0) {
        return false;
    }
    struct pages p = pages_of(object, &s[which], page);
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        struct pages other = pages_of(object, &s[i], page);
        if (s[i].p_type == PT_LOAD && (s[i].p_flags & PF_W) != 0 &&
            other.from < p.to && p.from < other.to) {
            return false;
        }
    }
    return true;
}

static int unmap_code(struct dl_phdr_info *object, size_t size, void *ctx)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    bool *program = ctx; /* it comes first, and without a name */
    bool file = *program || object->dlpi_name[0] == '/';
    (void)size;
    *program = false;
    if (!file || relocates_code(object)) {
        return 0; /* go on */
    }
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (as_in_file(object, i, page)) {
            struct pages p = pages_of(object, &object->dlpi_phdr[i], page);
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): as above */
            (void)madvise((void *)p.from, p.to - p.from, MADV_DONTNEED);
        }
    }
    return 0;
}

void mem_give_back(void)
{
    bool program = true;
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(unmap_code, &program);
}

size_t mem_resident(void)
{
    char text[128];
    size_t pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    const char *second = strchr(text, ' ');
    pages = second != NULL ? strtoul(second, NULL, 10) : 0;
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void mem_wipe(void *ptr, size_t len)
{
    explicit_bzero(ptr, len);
}
