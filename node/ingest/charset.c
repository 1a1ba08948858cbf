#include "ingest/charset.h"

#include <iconv.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct charset_converter {
    enum charset charset;
    iconv_t iconv; /* GB18030 only */
    struct buf text;
};

static const char *const names[] = {
    [CHARSET_ASCII] = "ASCII",
    [CHARSET_UTF8] = "UTF-8",
    [CHARSET_GB18030] = "GB18030",
    [CHARSET_UTF16] = "UTF-16",
};

static const struct {
    const char *bytes;
    size_t len;
    enum charset charset;
} marks[] = {
    {"\xef\xbb\xbf", 3, CHARSET_UTF8},
    {"\x84\x31\x95\x33", 4, CHARSET_GB18030},
    {"\xff\xfe", 2, CHARSET_UTF16},
    {"\xfe\xff", 2, CHARSET_UTF16},
};

const char *charset_name(enum charset charset)
{
    return names[charset];
}

enum charset charset_by_bom(struct slice start, size_t *bom)
{
    *bom = 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (start.len >= marks[i].len &&
            memcmp(start.data, marks[i].bytes, marks[i].len) == 0) {
            *bom = marks[i].len;
            return marks[i].charset;
        }
    }
    return CHARSET_ASCII;
}

static bool is_ascii(struct slice s)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < s.len; i++) {
        seen |= s.data[i];
    }
    return seen < 0x80;
}

/* Length of the well-formed UTF-8 character of several bytes at `s`; 0: none.
 */
static size_t wide_char(struct slice s)
{
    uint8_t lead = s.data[0];
    size_t len = lead >= 0xf0 ? 4 : (lead >= 0xe0 ? 3 : 2);
    return s.len >= len && str_utf8_valid(slice_of(s.data, len)) ? len : 0;
}

enum charset charset_detect(struct slice sample)
{
    enum { GOOD_PER_BAD = 4, CUT_MAX = 3 };
    size_t good = 0;
    size_t bad = 0;
    for (size_t i = 0; i < sample.len;) {
        struct slice at = slice_of(sample.data + i, sample.len - i);
        size_t len = at.data[0] < 0x80 ? 1 : wide_char(at);
        good += len > 1;
        bad += len == 0 && at.len > CUT_MAX;
        i += len > 0 ? len : 1;
    }
    if (good + bad == 0) {
        return is_ascii(sample) ? CHARSET_ASCII : CHARSET_GB18030;
    }
    return bad * GOOD_PER_BAD <= good ? CHARSET_UTF8 : CHARSET_GB18030;
}

enum err charset_open(struct charset_converter **out, enum charset charset,
                      struct errmsg *why)
{
    iconv_t cd = NULL;
    if (charset == CHARSET_UTF16) {
        return err_set(why, ERR_UNSUPPORTED,
                       "the file is UTF-16: save it as UTF-8 or GB18030");
    }
    if (charset == CHARSET_GB18030) {
        cd = iconv_open("UTF-8", "GB18030");
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): its error value */
        if (cd == (iconv_t)-1) {
            return err_set(why, ERR_UNSUPPORTED,
                           "this system cannot convert GB18030: save the file "
                           "as UTF-8");
        }
    }
    *out = MEM_NEW(struct charset_converter);
    (*out)->charset = charset;
    (*out)->iconv = cd;
    return ERR_OK;
}

void charset_close(struct charset_converter **converter)
{
    struct charset_converter *c = *converter;
    *converter = NULL;
    if (c == NULL) {
        return;
    }
    if (c->charset == CHARSET_GB18030) {
        (void)iconv_close(c->iconv);
    }
    buf_fini(&c->text);
    mem_free(c);
}

static enum err convert(struct charset_converter *c, struct slice raw)
{
    /* A character of 1, 2 or 4 bytes becomes at most 1, 3 or 4. */
    size_t room = raw.len * 2;
    /* iconv does not write to it.
     * NOLINTNEXTLINE(performance-no-int-to-ptr): the cast drops const */
    char *from = (char *)(uintptr_t)raw.data;
    size_t left = raw.len;
    buf_clear(&c->text);
    char *to = (char *)buf_reserve(&c->text, room + 1);
    char *start = to;
    (void)iconv(c->iconv, NULL, NULL, NULL, NULL);
    if (iconv(c->iconv, &from, &left, &to, &room) == (size_t)-1) {
        return ERR_INVALID;
    }
    c->text.len = (size_t)(to - start);
    return ERR_OK;
}

enum err charset_to_utf8(struct charset_converter *converter, struct slice raw,
                         struct slice *out)
{
    *out = raw;
    if (converter->charset == CHARSET_GB18030 && !is_ascii(raw)) {
        enum err err = convert(converter, raw);
        if (err != ERR_OK) {
            return err;
        }
        *out = buf_slice(&converter->text);
    }
    return str_utf8_valid(*out) ? ERR_OK : ERR_INVALID;
}
