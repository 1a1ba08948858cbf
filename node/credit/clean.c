#include "credit/clean.h"

#include "base/str.h"
#include "credit/citizen.h"

bool clean_text(struct slice text, size_t min, size_t max)
{
    bool control = false;
    if (text.len < min || text.len > max || !str_utf8_valid(text)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        control |= text.data[i] < 0x20 || text.data[i] == 0x7f;
    }
    return !control && !citizen_is_inside(text);
}

const char *clean_fault(struct slice text)
{
    struct slice found;
    if (!str_is_plain(text)) {
        return "holds a control character or a line break";
    }
    return citizen_find(text, CITIZEN_NEW_OR_OLD, &found)
               ? "holds a citizen number"
               : NULL;
}
