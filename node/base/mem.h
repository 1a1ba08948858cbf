/* mem.h - memory that is there or ends the process.
 *
 * Exhaustion is not an error a caller can mend, so these never return NULL.
 * In return every size that comes from outside is bounded before it gets here.
 * Everything is freed with mem_free(). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t len) __attribute__((malloc, returns_nonnull));
/* Zeroed; aborts on overflow of count × size. */
void *mem_zalloc(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t len) __attribute__((returns_nonnull));
void *mem_dup(const void *data, size_t len) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));
/* NULL is allowed. */
void mem_free(void *ptr);
/* For the whole process, once, at its start: so much freed memory is kept for
 * the next use. What goes back to the system comes again as zeroed pages, each
 * by a fault; buffers of messages and batches would pay for that each time. */
void mem_keep(size_t bytes);
/* Gives back what only the past needed, such as a start: freed memory, and the
 * pages of the program and its libraries. Those stay in the page cache while
 * the machine has room for them and come again where they are run, a few at a
 * time, by a fault of a microsecond or two; from the disk if the room was
 * needed. Any thread; about a millisecond, more with a large heap. Nothing can
 * change by it but what a debugger wrote into code. */
void mem_give_back(void);
/* Bytes of this process in memory now, those shared with others too; 0: the
 * system does not tell. */
size_t mem_resident(void);
/* Overwrites secrets in a way the compiler keeps. */
void mem_wipe(void *ptr, size_t len);

#define MEM_NEW(type) ((type *)mem_zalloc(1, sizeof(type)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member)                                        \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
