/* date.h - calendar days as numbers yyyymmdd, 0 for none.
 *
 * Days of decisions and of expiry are days in China (UTC+8, no daylight
 * saving since 1992). Pure; any thread. */
#ifndef CREDIT_DATE_H
#define CREDIT_DATE_H

#include "base/buf.h"

/* How an open end is written in a record; its envelope says 0. */
#define DATE_OPEN_END 99991231U

enum date_form {
    DATE_DAY,   /* *out is the day */
    DATE_NONE,  /* empty, or a null date of a spreadsheet or database */
    DATE_OPEN,  /* without end: 9999-9-9, 长期 …; *out is DATE_OPEN_END */
    DATE_MONTH, /* year and month only; *out is its first day */
    DATE_BAD,
};

/* A day of the Gregorian calendar from 1800-01-01 to 9999-12-31. */
bool date_is_valid(uint32_t date);
/* Reads 2018-07-27, 2018-7-27, 2018/7/27, 2018.7.27, 2018年7月27日, 20180727,
 * each with or without a time of day behind it, and the forms of
 * enum date_form. *out is 0 unless said above. */
enum date_form date_parse(struct slice text, uint32_t *out);
/* The day in China at `at_ms` since 1970 UTC. */
uint32_t date_from_ms(int64_t at_ms);
/* `date` must be valid; the result is 0 outside the valid range. */
uint32_t date_add_days(uint32_t date, int32_t days);
/* yyyy-mm-dd into `out`; empty for 0. */
void date_format(uint32_t date, char out[11]);

#endif
