/* descriptors.h - what proto/ declares, for those who ask by reflection.
 *
 * A google.protobuf.FileDescriptorSet of all its files, made by the build. */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

#include <stddef.h>

extern const unsigned char proto_descriptors[];
extern const size_t proto_descriptors_len;

#endif
