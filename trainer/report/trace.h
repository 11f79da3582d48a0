/* What a rank did when: events for a timeline, kept in memory while the program runs.
 *
 * Each track has one writer at a time, so recording takes no lock, and its memory is there from the beginning. When a track is
 * full, nothing more is recorded on any: what is kept is the beginning of the run, whole. Times are seconds of one clock of the
 * caller's. */
#ifndef TRAINER_REPORT_TRACE_H
#define TRAINER_REPORT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"

enum {
	TRACE_EVENTS_MAX = 1 << 16, /* of a track: 440 steps of resnet50, 2 MiB */
	TRACE_LOADING = 3,	    /* batches that a loader may be filling at once, each on a track of its own */
};

enum trace_track { TRACE_COMPUTE, TRACE_GRADIENTS, TRACE_SAVER, TRACE_LOADER, TRACE_TRACKS = TRACE_LOADER + TRACE_LOADING };

enum trace_kind {
	TRACE_STEP,
	TRACE_DATA_WAIT,
	TRACE_AGREE,
	TRACE_FORWARD,
	TRACE_LOSS,
	TRACE_BACKWARD,
	TRACE_GRADIENT_WAIT,
	TRACE_OPTIMIZER,
	TRACE_SYNC_BN,
	TRACE_LOSS_SUM,
	TRACE_BUCKET,
	TRACE_EVALUATION,
	TRACE_CHECKPOINT,
	TRACE_SAVE,
	TRACE_LOAD,
	TRACE_KINDS,
};

struct trace_event {
	double begin, end; /* seconds */
	int64_t value;	   /* what it means depends on the kind: trace_value_name */
	int32_t kind;
	int32_t unused;
};

struct trace; /* opaque */

/* `most`: events that a track keeps. Ownership: trace_destroy. Errors: NN_ERR_MEMORY. */
enum nn_status trace_create(struct trace **out, size_t most);

/* NULL is allowed. */
void trace_destroy(struct trace *trace);

/* Records an event; nothing when `trace` is NULL, so that a caller need not ask. By the track's one writer. */
void trace_add(struct trace *trace, enum trace_track track, enum trace_kind kind, double begin, double end, int64_t value);

/* Whether events were left out. */
bool trace_is_full(const struct trace *trace);

/* The events of a track so far, also while its writer goes on. *events is the trace's. */
size_t trace_events(const struct trace_event **events, const struct trace *trace, enum trace_track track);

/* Names for people: of a track, of what happens, and of the event's value (NULL: it has none). */
const char *trace_track_name(enum trace_track track);
const char *trace_kind_name(enum trace_kind kind);
const char *trace_value_name(enum trace_kind kind);

#endif
