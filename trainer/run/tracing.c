/* --trace: every rank records what it does, and rank 0 writes it all into one file when training has ended well. */
#include <stdio.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/report/trace_file.h"
#include "trainer/run/internal.h"

/* What the end needs, allocated at the start. */
struct tracing {
	struct trace *trace;
	double origin;		       /* the moment that is 0 in the file, by this rank's clock */
	double loading[TRACE_LOADING]; /* when the batch of each of the loader's slots was begun */
	struct trace_event *received;  /* rank 0's, for one track of another rank */
	struct trace_file *file;       /* rank 0's */
};

static enum nn_status allocate(struct run *run)
{
	struct tracing *tracing;
	enum nn_status status = nn_alloc(&run->tracing, sizeof(*run->tracing));

	if (status != NN_OK)
		return status;
	tracing = run->tracing;
	status = trace_create(&tracing->trace, TRACE_EVENTS_MAX);
	if (status == NN_OK && run->master)
		status = nn_alloc(&tracing->received, TRACE_EVENTS_MAX * sizeof(*tracing->received));
	if (status == NN_OK && run->master)
		status = nn_alloc(&tracing->file, sizeof(*tracing->file));
	if (status == NN_OK && run->master)
		status = trace_file_check(run->options.trace);
	return status;
}

/* The ranks of a node have one clock, and take one moment of it; nodes' moments are as far apart as a barrier lets ranks go. */
static void align(struct run *run)
{
	int64_t *moments = run->all_ranks;
	int ranks = comm_size(run->comm), place = comm_order(run->comm);

	for (int i = 0; i < ranks; i++)
		moments[i] = 0;
	comm_barrier(run->comm);
	moments[place] = (int64_t)(run_seconds() * 1e9);
	comm_sum_int64(run->comm, moments, ranks);
	run->tracing->origin = (double)moments[place - comm_node_rank(run->comm)] * 1e-9;
}

enum nn_status tracing_begin(struct run *run)
{
	enum nn_status status;

	if (run->options.trace[0] == '\0')
		return NN_OK;
	status = comm_agree(run->comm, allocate(run));
	if (status != NN_OK)
		return status;
	align(run);
	run->trace = run->tracing->trace;
	if (comm_size(run->comm) > 1 && run->options.sync_bn != OPTION_SYNC_OFF)
		run->statistics.trace = run->trace;
	if (comm_size(run->comm) > 1)
		run->totals.trace = run->trace;
	run->statistics.kind = TRACE_SYNC_BN;
	run->totals.kind = TRACE_LOSS_SUM;
	return NN_OK;
}

void tracing_load(void *context, int slot, bool begins, size_t samples)
{
	struct tracing *tracing = context;
	double now = run_seconds();

	if (begins)
		tracing->loading[slot] = now;
	else
		trace_add(tracing->trace, TRACE_LOADER + (enum trace_track)slot, TRACE_LOAD, tracing->loading[slot], now,
			  (int64_t)samples);
}

/* Takes one track of a rank into the file. Collective; a file that has failed takes nothing more. */
static enum nn_status take_track(struct run *run, enum nn_status status, int from, enum trace_track track, double origin)
{
	struct tracing *tracing = run->tracing;
	const struct trace_event *events;
	int64_t count = (int64_t)trace_events(&events, tracing->trace, track);
	bool own = comm_rank(run->comm) == from;

	comm_broadcast(run->comm, &count, sizeof(count), from);
	comm_give(run->comm, tracing->received, events, (size_t)count * sizeof(*events), from);
	if (!run->master || status != NN_OK)
		return status;
	return trace_file_events(tracing->file, from, track, own ? events : tracing->received, (size_t)count, origin);
}

static enum nn_status take_rank(struct run *run, enum nn_status status, int from)
{
	double origin = run->tracing->origin;

	comm_broadcast(run->comm, &origin, sizeof(origin), from);
	if (run->master && status == NN_OK)
		status = trace_file_rank(run->tracing->file, from, comm_host_of(run->comm, from));
	for (int t = 0; t < TRACE_TRACKS; t++)
		status = take_track(run, status, from, (enum trace_track)t, origin);
	return status;
}

/* The last step that is whole in the timeline. */
static int64_t last_step(const struct trace *trace)
{
	const struct trace_event *events;
	size_t count = trace_events(&events, trace, TRACE_COMPUTE);

	while (count > 0 && events[count - 1].kind != TRACE_STEP)
		count--;
	return count > 0 ? events[count - 1].value : 0;
}

void tracing_end(struct run *run)
{
	struct tracing *tracing = run->tracing;
	enum nn_status status = NN_OK;

	if (!tracing)
		return;
	if (run->master)
		status = trace_file_open(tracing->file, run->options.trace);
	for (int r = 0; r < comm_size(run->comm); r++)
		status = take_rank(run, status, r);
	if (!run->master)
		return;
	status = trace_file_close(tracing->file, status);
	if (status != NN_OK)
		run_warn(run, "there is no trace: %s", nn_error_message());
	else if (trace_is_full(tracing->trace))
		run_warn(run, "%s ends with step %lld: %d events of a thread are kept", run->options.trace,
			 (long long)last_step(tracing->trace), TRACE_EVENTS_MAX);
	else
		run_note(run, "the trace is in %s", run->options.trace);
}

void tracing_release(struct run *run)
{
	struct tracing *tracing = run->tracing;

	if (!tracing)
		return;
	trace_destroy(tracing->trace);
	nn_free(tracing->received);
	nn_free(tracing->file);
	nn_free(tracing);
}
