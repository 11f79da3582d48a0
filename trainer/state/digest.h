/* XXH3-128 digests, written as 32 lower-case hexadecimal digits (canonical, big-endian form) and a zero byte. */
#ifndef TRAINER_STATE_DIGEST_H
#define TRAINER_STATE_DIGEST_H

#include <stddef.h>

#include "nn/core/status.h"
#include "trainer/state/tensor_entry.h"

enum { DIGEST_CHARS = 33 };

/* The digest of a network's weights: equal digests mean equal bits.
 * Over the F32 entries in byte order of their names: the name's bytes, each dimension of the shape as little-endian int64, the
 * values as little-endian fp32 in the file's order, whatever the order in memory. I64 entries are skipped.
 * Errors: NN_ERR_MEMORY. */
enum nn_status digest_weights(char out[DIGEST_CHARS], const struct tensor_entry *entries, int count);

/* The digest of a file's bytes. Errors: NN_ERR_IO when it cannot be read, NN_ERR_MEMORY. */
enum nn_status digest_file(char out[DIGEST_CHARS], const char *path);

/* A digest of bytes that come in pieces. Opaque. */
struct digest;

/* Ownership: *out is the caller's, ended by digest_destroy (NULL is allowed). Errors: NN_ERR_MEMORY. */
enum nn_status digest_create(struct digest **out);
void digest_destroy(struct digest *digest);

/* Begins anew. */
void digest_restart(struct digest *digest);
void digest_update(struct digest *digest, const void *bytes, size_t size);

/* out = the digest of all pieces since the beginning. */
void digest_result(char out[DIGEST_CHARS], const struct digest *digest);

/* The digest of bytes in memory. */
void digest_bytes(char out[DIGEST_CHARS], const void *bytes, size_t size);

#endif
