#include "credit/division.h"

#include "base/mem.h"

static const struct {
    unsigned digits;
    enum tier tier;
    uint64_t unit; /* what one step of the last digit at this level is worth */
} levels[] = {
    {12, TIER_VILLAGE, 1},           {9, TIER_TOWNSHIP, 1000},
    {6, TIER_COUNTY, 1000000},       {4, TIER_CITY, 100000000},
    {2, TIER_PROVINCE, 10000000000}, {0, TIER_NATIONAL, 1000000000000},
};

/* City-level names of municipalities and of counties run by a province. */
static const uint16_t placeholders[] = {1101, 1201, 3101, 4190, 4290,
                                        4690, 5001, 5002, 6590};

/* Index of the finest level at which the code has a non-zero digit. */
static size_t level_of(uint64_t code)
{
    size_t i = 0;
    while (i < ARRAY_LEN(levels) - 1 && code % levels[i + 1].unit == 0) {
        i++;
    }
    return i;
}

unsigned division_digits(uint64_t code)
{
    return levels[level_of(code)].digits;
}

enum tier division_tier(uint64_t code)
{
    return levels[level_of(code)].tier;
}

bool division_is_placeholder(uint64_t code)
{
    if (division_tier(code) != TIER_CITY) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++) {
        if (code / 100000000 == placeholders[i]) {
            return true;
        }
    }
    return false;
}

uint64_t division_at(uint64_t code, enum tier tier)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (levels[i].tier == tier) {
            return code - code % levels[i].unit;
        }
    }
    return code;
}

uint64_t division_default_parent(uint64_t code)
{
    size_t i = level_of(code);
    uint64_t parent = code;
    do {
        i += i < ARRAY_LEN(levels) - 1;
        parent = code - code % levels[i].unit;
    } while (parent == code && parent != 0);
    return division_is_placeholder(parent) ? division_at(parent, TIER_PROVINCE)
                                           : parent;
}

bool division_is_below(uint64_t code, uint64_t ancestor)
{
    uint64_t unit = levels[level_of(ancestor)].unit;
    return code != ancestor && code / unit == ancestor / unit;
}
