/* division.h - 12-digit division codes as names of nodes and territories.
 *
 * The code prefix gives only the default parent; the real one is data. Some
 * city-level codes are placeholders, such as 1101 "市辖区" of Beijing: names
 * without an authority or a node, so defaults step over them. Pure; any
 * thread. */
#ifndef CREDIT_DIVISION_H
#define CREDIT_DIVISION_H

#include "ident/ident.h"

/* 0 national, 2 province, 4 city, 6 county, 9 township, 12 village. */
unsigned division_digits(uint64_t code);
enum tier division_tier(uint64_t code);
/* True if the code is a name-space without an authority. */
bool division_is_placeholder(uint64_t code);
/* The code cut to the digits of `tier`: 341821100201 at TIER_CITY is
 * 341800000000. The code itself if it is not below that tier. */
uint64_t division_at(uint64_t code, enum tier tier);
/* The next code above that is not a placeholder; 0 above a province. */
uint64_t division_default_parent(uint64_t code);
/* True if `code` lies strictly inside `ancestor`. National (0) is above all;
 * equal is not below. */
bool division_is_below(uint64_t code, uint64_t ancestor);

#endif
