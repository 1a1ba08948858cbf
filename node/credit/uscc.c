#include "credit/uscc.h"

#include <string.h>

/* Value of a character in either alphabet; OUTSIDE if it has none. */
enum { OUTSIDE = 0xff, OUTER_BASE = 31, INNER_BASE = 11 };

static const char outer_alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
static const uint8_t outer_weights[USCC_LEN - 1] = {
    1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28};
static const uint8_t inner_weights[ORGCODE_LEN - 1] = {3, 7, 9, 10, 5, 8, 4, 2};

static const char *const rules[] = {
    [USCC_OK] = NULL,
    [USCC_LENGTH] = "uscc-length",
    [USCC_ALPHABET] = "uscc-alphabet",
    [USCC_CHECK] = "uscc-check",
    [USCC_INNER_CHECK] = "uscc-inner-check",
};

static unsigned inner_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10U : OUTSIDE;
}

/* The outer alphabet is the inner one without I O S V Z; its values plus 1, as
 * each record of each node is looked at. */
static const uint8_t outer_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
    ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12,
    ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16, ['G'] = 17, ['H'] = 18,
    ['J'] = 19, ['K'] = 20, ['L'] = 21, ['M'] = 22, ['N'] = 23, ['P'] = 24,
    ['Q'] = 25, ['R'] = 26, ['T'] = 27, ['U'] = 28, ['W'] = 29, ['X'] = 30,
    ['Y'] = 31};

static unsigned outer_value(uint8_t c)
{
    return outer_values[c] == 0 ? OUTSIDE : outer_values[c] - 1U;
}

/* '\0' if a character has no value. */
static uint8_t inner_check_char(const uint8_t body[ORGCODE_LEN - 1])
{
    unsigned sum = 0;
    for (size_t i = 0; i < ORGCODE_LEN - 1; i++) {
        unsigned v = inner_value(body[i]);
        if (v == OUTSIDE) {
            return '\0';
        }
        sum += v * inner_weights[i];
    }
    unsigned check = (INNER_BASE - sum % INNER_BASE) % INNER_BASE;
    return (uint8_t)(check == 10 ? 'X' : '0' + check);
}

static uint8_t outer_check_char(const uint8_t body[USCC_LEN - 1])
{
    unsigned sum = 0;
    for (size_t i = 0; i < USCC_LEN - 1; i++) {
        unsigned v = outer_value(body[i]);
        if (v == OUTSIDE) {
            return '\0';
        }
        sum += v * outer_weights[i];
    }
    /* A remainder of 0 gives 0, where the standard's text would say 31. */
    unsigned check = (OUTER_BASE - sum % OUTER_BASE) % OUTER_BASE;
    return (uint8_t)outer_alphabet[check];
}

enum uscc_result uscc_check(struct slice code)
{
    if (code.len != USCC_LEN) {
        return USCC_LENGTH;
    }
    uint8_t check = outer_check_char(code.data);
    if (check == '\0' || outer_value(code.data[USCC_LEN - 1]) == OUTSIDE) {
        return USCC_ALPHABET;
    }
    if (code.data[USCC_LEN - 1] != check) {
        return USCC_CHECK;
    }
    return orgcode_check(slice_of(code.data + 8, ORGCODE_LEN))
               ? USCC_OK
               : USCC_INNER_CHECK;
}

const char *uscc_rule(enum uscc_result result)
{
    return rules[result];
}

bool uscc_normalise(struct slice text, char *out, size_t max, size_t *len)
{
    size_t n = 0;
    /* Most are given as they are kept: no blank, hyphen or small letter. */
    while (n < text.len && n < max && text.data[n] >= '0' &&
           text.data[n] <= 'Z') {
        out[n] = (char)text.data[n];
        n++;
    }
    for (size_t i = n; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == ' ' || c == '\t' || c == '-') {
            continue;
        }
        if (n == max) {
            return false;
        }
        out[n++] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    *len = n;
    return true;
}

enum uscc_result uscc_read(struct slice text, char out[USCC_LEN + 1])
{
    size_t len = 0;
    bool fits = uscc_normalise(text, out, USCC_LEN, &len);
    out[len] = 0;
    return fits ? uscc_check(slice_of(out, len)) : USCC_LENGTH;
}

bool orgcode_check(struct slice code)
{
    if (code.len != ORGCODE_LEN) {
        return false;
    }
    uint8_t check = inner_check_char(code.data);
    return check != '\0' && code.data[ORGCODE_LEN - 1] == check;
}

bool uscc_make(char department, char category, const char *division,
               const char *body, char out[USCC_LEN + 1])
{
    if (strlen(division) != 6 || strlen(body) != ORGCODE_LEN - 1) {
        return false;
    }
    uint8_t code[USCC_LEN] = {(uint8_t)department, (uint8_t)category};
    memcpy(code + 2, division, 6);
    memcpy(code + 8, body, ORGCODE_LEN - 1);
    code[16] = inner_check_char(code + 8);
    code[17] = outer_check_char(code);
    memcpy(out, code, USCC_LEN);
    out[USCC_LEN] = '\0';
    return uscc_check(slice_of(code, USCC_LEN)) == USCC_OK;
}
