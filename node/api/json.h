/* json.h - values that answers to commands are made of (private to api). */
#ifndef API_JSON_H
#define API_JSON_H

#include <jansson.h>

#include "api/api.h"

struct rootdoc;

/* Any text from outside this program: another node's, a server's, one that was
 * cut within a character. What is no UTF-8 becomes U+FFFD; without that, one
 * bad byte takes the whole answer away. Never NULL. */
json_t *json_text(const char *text);
json_t *json_text_of(struct slice text);

/* The same for people to read: "***" for each citizen number in it, which a
 * node that judges otherwise may have let pass. */
json_t *json_shown(struct slice text);

json_t *json_code(uint64_t code);
json_t *json_u64(uint64_t v);
/* The log's id as "log" and its "origin". */
void json_set_log(json_t *object, const struct log_id *log);
/* This node. */
json_t *json_node(const struct api_env *env);
json_t *json_root(const struct rootdoc *doc);

#endif
