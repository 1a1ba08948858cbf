/* metrics.h - the state of a node as metrics (private to node/). */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include <jansson.h>

#include "base/buf.h"

/* Appends the answer of `status` in the text format of Prometheus (0.0.4), as
 * the textfile collector of node_exporter reads it; NULL: the node gave none.
 * Labels are codes of offices and words of this program: no free text, and
 * nothing about persons. */
void metrics_put(json_t *status, struct buf *out);

#endif
