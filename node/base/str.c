#include "base/str.h"

#include <string.h>

#include "base/mem.h"

static const char hex_digits[] = "0123456789abcdef";
static const char b64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void str_hex(const void *data, size_t len, char *out)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_digits[p[i] >> 4];
        out[2 * i + 1] = hex_digits[p[i] & 15];
    }
    out[2 * len] = 0;
}

static int hex_value(char c)
{
    int lower = c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c;
    const char *at = c != 0 ? strchr(hex_digits, lower) : NULL;
    return at != NULL ? (int)(at - hex_digits) : -1;
}

bool str_unhex(const char *text, void *out, size_t len)
{
    uint8_t *p = out;
    if (strlen(text) != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int hi = hex_value(text[2 * i]);
        int lo = hex_value(text[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return false;
        }
        p[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

void str_base64(struct slice data, struct buf *out)
{
    for (size_t i = 0; i < data.len; i += 3) {
        size_t n = data.len - i < 3 ? data.len - i : 3;
        uint32_t v = (uint32_t)data.data[i] << 16;
        v |= n > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
        v |= n > 2 ? data.data[i + 2] : 0;
        char quad[4] = {b64_digits[v >> 18], b64_digits[v >> 12 & 63],
                        b64_digits[v >> 6 & 63], b64_digits[v & 63]};
        memset(quad + 1 + n, '=', 3 - n);
        buf_put(out, quad, 4);
    }
}

static int b64_value(uint8_t c)
{
    const char *at = c != 0 ? strchr(b64_digits, c) : NULL;
    return at != NULL ? (int)(at - b64_digits) : -1;
}

/* Decodes one group of four; `last` allows padding. False if not canonical. */
static bool unbase64_quad(const uint8_t *q, bool last, struct buf *out)
{
    size_t n = 4;
    if (last && q[3] == '=') {
        n = q[2] == '=' ? 2 : 3;
    }
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        int d = i < n ? b64_value(q[i]) : 0;
        if (d < 0) {
            return false;
        }
        v = v << 6 | (uint32_t)d;
    }
    uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    for (size_t i = n - 1; i < 3; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    buf_put(out, bytes, n - 1);
    return true;
}

bool str_unbase64(struct slice text, struct buf *out)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        if (!unbase64_quad(text.data + i, i + 4 == text.len, out)) {
            return false;
        }
    }
    return true;
}

bool str_u64(struct slice text, uint64_t *out)
{
    uint64_t v = 0;
    if (text.len == 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.data[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

/* Length that the first byte announces, 0 if it can be none. */
static size_t utf8_announced(uint8_t first)
{
    static const uint8_t by_high_bits[16] = {1, 1, 1, 1, 1, 1, 1, 1,
                                             0, 0, 0, 0, 2, 2, 3, 4};
    return first < 0xf8 ? by_high_bits[first >> 4] : 0;
}

static bool is_scalar(uint32_t cp)
{
    return cp <= 0x10ffff && (cp < 0xd800 || cp >= 0xe000);
}

/* Length of the well-formed sequence at `p`, 0 if it is none. */
static size_t utf8_len(const uint8_t *p, size_t left, uint32_t *cp)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = utf8_announced(p[0]);
    if (n == 0 || n > left) {
        return 0;
    }
    uint32_t v = n == 1 ? p[0] : p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) {
            return 0;
        }
        v = v << 6 | (p[i] & 63);
    }
    if (v < smallest[n] || !is_scalar(v)) {
        return 0;
    }
    *cp = v;
    return n;
}

/* Bytes of ASCII without NUL at `p`, in steps of eight and then by ones. */
static size_t ascii_run(const uint8_t *p, size_t left)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t n = 0;
    for (uint64_t word; left - n >= sizeof word; n += sizeof word) {
        memcpy(&word, p + n, sizeof word);
        if (((word | (word - ones)) & (ones << 7)) != 0) {
            break;
        }
    }
    while (n < left && p[n] - 1U < 0x7f) {
        n++;
    }
    return n;
}

/* True for the three bytes of most Chinese characters: a first byte that
 * leaves neither surrogates nor forms that are too long. */
static bool is_plain_three(const uint8_t *p, size_t left)
{
    return left >= 3 && p[0] >= 0xe1 && p[0] <= 0xec && p[1] >> 6 == 2 &&
           p[2] >> 6 == 2;
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* The same of two such characters, by one look at the eight bytes at `p`. */
static bool are_plain_threes(const uint8_t *p)
{
    static const uint8_t kind[8] = {0xf0, 0xc0, 0xc0, 0xf0, 0xc0, 0xc0};
    static const uint8_t wanted[8] = {0xe0, 0x80, 0x80, 0xe0, 0x80, 0x80};
    static const uint8_t low[8] = {15, 0, 0, 15, 0, 0};
    static const uint8_t three[8] = {3, 0, 0, 3, 0, 0};
    static const uint8_t carry[8] = {16, 0, 0, 16, 0, 0};
    uint64_t word = word_at(p);
    uint64_t nibbles = word & word_at(low); /* of the first bytes: 1 to 12 */
    uint64_t under = nibbles + word_at(low);
    uint64_t over = nibbles + word_at(three);
    return (word & word_at(kind)) == word_at(wanted) &&
           ((under & ~over) & word_at(carry)) == word_at(carry);
}

bool str_next_line(struct slice *rest, struct slice *line)
{
    const uint8_t *end =
        rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    if (end == NULL) {
        return false;
    }
    *line = slice_of(rest->data, (size_t)(end - rest->data));
    *rest = slice_of(end + 1, rest->len - line->len - 1);
    return true;
}

/* Bytes at `p` that are well formed and not NUL, at least one character of
 * them, as many as one look tells; 0: none. */
static size_t valid_run(const uint8_t *p, size_t left)
{
    uint32_t cp = 0;
    if (left >= 8 && are_plain_threes(p)) {
        return 6;
    }
    if (is_plain_three(p, left)) {
        return 3;
    }
    size_t n = ascii_run(p, left);
    if (n == 0) {
        n = utf8_len(p, left, &cp);
        n = cp != 0 ? n : 0;
    }
    return n;
}

bool str_utf8_valid(struct slice data)
{
    size_t n = 1;
    for (size_t i = 0; n > 0 && i < data.len; i += n) {
        n = valid_run(data.data + i, data.len - i);
    }
    return n > 0;
}

size_t str_utf8_first(struct slice text)
{
    uint32_t cp = 0;
    size_t n = utf8_len(text.data, text.len, &cp);
    return cp != 0 ? n : 0;
}

/* ---- harmless text ---- */

/* What a terminal or a reader of lines acts on instead of showing it. */
static bool is_acted_on(uint32_t cp)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } ranges[] = {
        {0x0000, 0x001f}, /* C0 */
        {0x007f, 0x009f}, /* DEL and C1: U+009B begins a sequence as ESC [ */
        {0x061c, 0x061c}, /* marks that turn the direction … */
        {0x200e, 0x200f}, {0x2028, 0x202e}, /* … and separators of lines */
        {0x2066, 0x2069},
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (cp >= ranges[i].first && cp <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static bool is_printable_ascii(uint8_t c)
{
    return c >= 0x20 && c < 0x7f;
}

/* Length of the harmless character at `p`; 0: it is none. */
static size_t plain_len(const uint8_t *p, size_t left)
{
    uint32_t cp = 0;
    if (is_printable_ascii(p[0])) {
        return 1;
    }
    if (p[0] != 0xe2 && is_plain_three(p, left)) {
        return 3;
    }
    size_t n = p[0] < 0x80 ? 0 : utf8_len(p, left, &cp);
    return n > 0 && !is_acted_on(cp) ? n : 0;
}

bool str_is_plain(struct slice text)
{
    for (size_t i = 0, n; i < text.len; i += n) {
        n = plain_len(text.data + i, text.len - i);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

size_t str_tame(char *text, size_t len)
{
    const uint8_t *from = (const uint8_t *)text;
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = plain_len(from + i, len - i);
        if (n > 0) {
            memmove(text + out, text + i, n);
            out += n;
            i += n;
            continue;
        }
        n = utf8_len(from + i, len - i, &cp);
        text[out++] = '?';
        i += n > 0 ? n : 1;
    }
    return out;
}

void str_quotable(struct slice text, char *out, size_t size)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len > 0) {
        memcpy(out, text.data, len);
    }
    len = str_tame(out, len);
    out[len] = 0;
    for (char *at = out; (at = strchr(at, '"')) != NULL;) {
        *at = '\'';
    }
}

size_t str_utf8_count(struct slice data)
{
    size_t count = 0;
    for (size_t i = 0; i < data.len; i++) {
        count += data.data[i] >> 6 != 2;
    }
    return count;
}

static bool is_wide(uint32_t cp)
{
    return (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) ||
           (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) ||
           (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) ||
           (cp >= 0xffe0 && cp <= 0xffe6) || (cp >= 0x20000 && cp <= 0x3fffd);
}

size_t str_width(const char *utf8)
{
    struct slice s = slice_str(utf8);
    size_t width = 0;
    for (size_t i = 0; i < s.len;) {
        uint32_t cp = 0;
        size_t n = utf8_len(s.data + i, s.len - i, &cp);
        width += is_wide(cp) ? 2 : 1;
        i += n > 0 ? n : 1;
    }
    return width;
}
