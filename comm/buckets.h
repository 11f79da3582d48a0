/* Gradients on their way: finished ranges of the flat gradient, from its back to its front, are summed over ranks in buckets.
 *
 *	buckets_begin(buckets);
 *	    buckets_ready(buckets, offset);               during the backward pass, whenever the finished range has grown
 *	while (buckets_next(&offset, &count, buckets))    in the same order
 *	    ... use reducer_total [offset, offset + count)
 *
 * With overlap a thread sums while the caller goes on computing; it sleeps when there is nothing to sum and while it waits.
 * Otherwise buckets_ready sums itself. The first bucket is small, so that communication begins early, and each next one twice as
 * large up to the limit. How the gradient is cut does not show in the bits. */
#ifndef COMM_BUCKETS_H
#define COMM_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/reduce.h"
#include "nn/core/status.h"

struct buckets;

/* For vectors of `floats` floats, as the reducer's; a bucket is sent when it has at least `most` floats. All ranks give the same.
 * Ownership: the caller's, ended by buckets_destroy before the reducer is; keeps a pointer to `reducer`. Not collective.
 * Errors: NN_ERR_MEMORY, also when no thread is to be had; *out is then NULL. */
enum nn_status buckets_create(struct buckets **out, struct reducer *reducer, size_t floats, size_t most, bool overlap);

/* Ends the thread, after the buckets that it has, and frees; NULL is allowed. */
void buckets_destroy(struct buckets *buckets);

/* Told when the sum of a bucket of `count` floats begins and when it has ended, by the thread that sums. */
typedef void (*bucket_watch_fn)(void *context, bool begins, size_t count);

/* Has `watch` told from the next step on. Not between buckets_begin and the end of a step. Not collective. */
void buckets_watch(struct buckets *buckets, bucket_watch_fn watch, void *context);

/* Begins a step. All buckets of the one before have been taken. Not collective. */
void buckets_begin(struct buckets *buckets);

/* The gradient is final from `offset` to its end. Ranks call this with the same offsets in the same order, 0 being the last.
 * Collective; with overlap it does not wait. */
void buckets_ready(struct buckets *buckets, size_t offset);

/* Waits for the next bucket's sum, [*offset, *offset + *count). False: there is none left in this step. */
bool buckets_next(size_t *offset, size_t *count, struct buckets *buckets);

#endif
