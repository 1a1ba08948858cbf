/* between.h - what the library between a node and libc is told (between.c). */
#ifndef RUN_BETWEEN_H
#define RUN_BETWEEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum between_disk {
    BETWEEN_DISK_GOOD,
    BETWEEN_DISK_FULL,
    BETWEEN_DISK_READ_ONLY,
};

/* In a file that both have mapped. Zeros: nothing is spoiled. */
struct between {
    _Atomic int64_t clock_ms; /* added to the wall clock */
    _Atomic uint32_t disk;    /* enum between_disk */
};

#endif
