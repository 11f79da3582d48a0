#include "trainer/report/trace.h"

#include <assert.h>
#include <stdatomic.h>

#include "nn/core/alloc.h"

struct track {
	struct trace_event *events;
	_Atomic size_t count;
};

struct trace {
	size_t most;
	_Atomic bool full;
	struct track tracks[TRACE_TRACKS];
};

static const char *const track_names[TRACE_TRACKS] = {"compute", "gradient sums", "saver", "loader 0", "loader 1", "loader 2"};

static const struct {
	const char *name, *value;
} kinds[TRACE_KINDS] = {
    [TRACE_STEP] = {"step", "step"},
    [TRACE_DATA_WAIT] = {"data wait", NULL},
    [TRACE_AGREE] = {"agreement", NULL},
    [TRACE_FORWARD] = {"forward", NULL},
    [TRACE_LOSS] = {"loss", NULL},
    [TRACE_BACKWARD] = {"backward", NULL},
    [TRACE_GRADIENT_WAIT] = {"gradient wait", NULL},
    [TRACE_OPTIMIZER] = {"optimizer", "parameters"},
    [TRACE_SYNC_BN] = {"SyncBN", "channels"},
    [TRACE_LOSS_SUM] = {"loss sum", NULL},
    [TRACE_BUCKET] = {"bucket", "bytes"},
    [TRACE_EVALUATION] = {"evaluation", "step"},
    [TRACE_CHECKPOINT] = {"checkpoint", "step"},
    [TRACE_SAVE] = {"save", "step"},
    [TRACE_LOAD] = {"load batch", "samples"},
};

enum nn_status trace_create(struct trace **out, size_t most)
{
	struct trace *trace;
	enum nn_status status = nn_alloc(&trace, sizeof(*trace));

	*out = NULL;
	if (status != NN_OK)
		return status;
	trace->most = most;
	for (int t = 0; t < TRACE_TRACKS && status == NN_OK; t++)
		status = nn_alloc(&trace->tracks[t].events, most * sizeof(struct trace_event));
	if (status == NN_OK)
		*out = trace;
	else
		trace_destroy(trace);
	return status;
}

void trace_destroy(struct trace *trace)
{
	if (!trace)
		return;
	for (int t = 0; t < TRACE_TRACKS; t++)
		nn_free(trace->tracks[t].events);
	nn_free(trace);
}

void trace_add(struct trace *trace, enum trace_track track, enum trace_kind kind, double begin, double end, int64_t value)
{
	struct track *to;
	size_t at;

	if (!trace || atomic_load_explicit(&trace->full, memory_order_relaxed))
		return;
	assert(track < TRACE_TRACKS && kind < TRACE_KINDS);
	to = &trace->tracks[track];
	at = atomic_load_explicit(&to->count, memory_order_relaxed);
	if (at == trace->most) {
		atomic_store(&trace->full, true);
		return;
	}
	to->events[at] = (struct trace_event){.begin = begin, .end = end, .value = value, .kind = (int32_t)kind};
	/* A reader that sees the number sees the event. */
	atomic_store_explicit(&to->count, at + 1, memory_order_release);
}

bool trace_is_full(const struct trace *trace)
{
	return atomic_load(&trace->full);
}

size_t trace_events(const struct trace_event **events, const struct trace *trace, enum trace_track track)
{
	*events = trace->tracks[track].events;
	return atomic_load_explicit(&trace->tracks[track].count, memory_order_acquire);
}

const char *trace_track_name(enum trace_track track)
{
	return track_names[track];
}

const char *trace_kind_name(enum trace_kind kind)
{
	return kinds[kind].name;
}

const char *trace_value_name(enum trace_kind kind)
{
	return kinds[kind].value;
}
