/* amount.h - sums of money: 万元 in files, integer fen (0.01 yuan) inside.
 *
 * 1 万元 = 1,000,000 fen, so the six decimals a file may carry are exact.
 * Pure; any thread. */
#ifndef CREDIT_AMOUNT_H
#define CREDIT_AMOUNT_H

#include "base/buf.h"

/* Reads a decimal number of 万元: digits, with or without thousands
 * separators, at most 6 decimals, and "万元" or "(万元)" behind it. False for
 * anything else, a sign, or a sum over INT64_MAX fen. */
MUST_USE bool amount_parse_wan(struct slice text, int64_t *fen);
/* Appends yuan with two decimals: 123456 fen is "1234.56". */
void amount_format_yuan(int64_t fen, struct buf *out);

#endif
