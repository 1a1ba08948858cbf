/* conf_read.h - private to conf: from libconfig's tree to struct conf. */
#ifndef CONF_CONF_READ_H
#define CONF_CONF_READ_H

#include <libconfig.h>

#include "conf/conf_source.h"

/* One conf_load() under way. */
struct conf_read {
    struct conf *conf;
    struct conf_source source;
    config_t tree;
    const char *const *overrides;
    size_t overrides_count;
    struct conf_errors *errors;
};

struct conf_place conf_read_place(const struct conf_read *l,
                                  const config_setting_t *setting);
unsigned conf_read_length(const config_setting_t *setting);
void *conf_field(struct conf *conf, const struct conf_row *row);
/* Reports an option that does not exist; `list`: the list of the item it
 * stands in, or NULL. */
void conf_read_unknown(struct conf_read *l, struct conf_place place,
                       const char *name, const struct conf_list *list);
/* Sets the row's field and origin from an override, the file or the default.
 * Rows must be read in their order. */
void conf_read_row(struct conf_read *l, const struct conf_row *row);

#endif
