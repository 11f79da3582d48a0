/* How packing goes, for a person who watches: one line that is written over on a terminal, a line in 10 seconds elsewhere. */
#ifndef TRAINER_REPORT_PACK_PROGRESS_H
#define TRAINER_REPORT_PACK_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "trainer/report/progress.h"

struct pack_progress {
	struct progress line;
	const char *split; /* that is packed now */
	double start;	   /* when its first image was told of */
	size_t before;	   /* images that an earlier call had packed */
};

/* Ownership: the stream stays the caller's. */
void pack_progress_init(struct pack_progress *progress, FILE *stream);

/* `done` of the split's `count` images are packed, `bytes` of them by this call. For pack_options, with the progress as its
 * context. A stream that cannot be written is no reason to stop. */
void pack_progress_show(void *context, const char *split, size_t done, size_t count, uint64_t bytes);

/* Ends a line that is open. */
void pack_progress_end(struct pack_progress *progress);

#endif
