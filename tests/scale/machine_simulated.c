/* Hosts of SimGrid: each node is two of its processes on one host, since threads cannot call its MPI. The even one computes and
 * exchanges statistics; the odd one stands for the communication thread and sums gradients. comm/ is linked as it is; what it calls
 * is wrapped here by the linker (-Wl,--wrap), to let time pass for what the simulation does not do:
 *
 *	message=S	a message sent or received takes S seconds of the leader's processor
 *	add=S		an addition of two floats of gradients
 *	merge=S		a merge of one channel's statistics
 *	burst=S		a link makes up for S seconds in which it had nothing to carry, as a token bucket does: sums then lose
 *			nothing by shorter naps
 *	nodes=N		the hosts stand for N nodes: messages to F - 1 others weigh as much as those to N - 1, and statistics take
 *			the rounds and messages of N nodes' plan. Every node does the same and the network between switches has
 *			the bandwidth of all nodes, so that a node's own link and processor are what it waits for. 0: as many as
 *			there are hosts
 */
#include "tests/scale/machine.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/additions.h"
#include "comm/board.h"
#include "comm/buckets.h"
#include "comm/doubling.h"
#include "comm/internal.h"
#include "comm/leaders.h"
#include "nn/core/alloc.h"

enum { PAYLOAD_MAX = 1 << 23 };
static const double queue_look = 20e-6; /* how often a message looks whether the line is free */

struct post {
	size_t offset, count; /* count 0: leave */
};

/* Gradients on a host's link. Between two hosts messages follow each other in one stream: one of statistics arrives after those of
 * gradients that were handed over before it. */
struct line {
	long begun, ended; /* messages, of both directions */
	int busy;
};

static struct {
	double message, add, merge, burst;
	int nodes;
	struct comm *comm;
	int helper;		   /* this process is the communication thread */
	int posted;		   /* buckets that are not summed yet */
	char *payload;		   /* what every message carries: nothing that is read */
	double weight;		   /* of a message's bytes; one of statistics counts for so many */
	struct doubling_plan plan; /* of an exchange among all nodes */
	struct line *lines;	   /* of all hosts, in memory that their processes share */
	struct line *line;	   /* of this one */
} machine;

/* The linker's names for what it wraps. */
int __real_MPI_Isend(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __real_MPI_Irecv(void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
void __real_reducer_sum(struct reducer *, size_t, size_t);
bool __real_buckets_next(size_t *, size_t *, struct buckets *);
int __wrap_MPI_Isend(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __wrap_MPI_Irecv(void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
int __wrap_MPI_Testall(int, MPI_Request *, int *, MPI_Status *);
void __wrap_reducer_sum(struct reducer *, size_t, size_t);
bool __wrap_buckets_next(size_t *, size_t *, struct buckets *);
enum nn_status __real_doubling_init(struct doubling *, struct comm *, enum channel, int, int, size_t, const char *);
enum nn_status __wrap_doubling_init(struct doubling *, struct comm *, enum channel, int, int, size_t, const char *);
void *__wrap_doubling_run(struct doubling *, const struct doubling_values *);
void __wrap_doubling_begin(struct doubling *, const struct doubling_values *);
void *__wrap_doubling_finish(struct doubling *, const struct doubling_values *);
void __wrap_statistics_merge(double *, const double *, int, enum merge);
void __wrap_additions_run(const struct addition *, int, float *const *, size_t, size_t, bool);

static enum nn_status read_model(char *const *model)
{
	machine.nodes = machine.comm->nodes;
	for (; *model; model++) {
		double value;

		if (sscanf(*model, "message=%lf", &value) == 1)
			machine.message = value;
		else if (sscanf(*model, "add=%lf", &value) == 1)
			machine.add = value;
		else if (sscanf(*model, "merge=%lf", &value) == 1)
			machine.merge = value;
		else if (sscanf(*model, "burst=%lf", &value) == 1)
			machine.burst = value;
		else if (sscanf(*model, "nodes=%lf", &value) == 1)
			machine.nodes = value > 0 ? (int)value : machine.nodes;
		else
			return nn_error(NN_ERR_USAGE, "'%s' says nothing about the machine", *model);
	}
	return NN_OK;
}

/* What comm_create would find: one rank on each node. */
static enum nn_status describe(struct comm *comm, int rank, int size)
{
	int hosts = size / 2;
	enum nn_status status = nn_alloc(&comm->node_firsts, sizeof(int) * ((size_t)hosts + 1));

	for (int c = 0; c < CHANNEL_COUNT && status == NN_OK; c++) {
		status = nn_alloc(&comm->requests[c], sizeof(MPI_Request) * 2 * (size_t)hosts);
		if (status == NN_OK)
			status = nn_alloc(&comm->request_nodes[c], sizeof(int) * 2 * (size_t)hosts);
		comm->leaders[c] = MPI_COMM_NULL;
	}
	if (status == NN_OK)
		status = nn_alloc(&comm->board, sizeof(struct board) + sizeof(struct board_member));
	if (status != NN_OK)
		return status;
	for (int k = 0; k <= hosts; k++)
		comm->node_firsts[k] = k;
	comm->world = MPI_COMM_WORLD;
	comm->node = MPI_COMM_SELF;
	comm->rank = rank;
	comm->place = comm->node_index = rank / 2;
	comm->size = comm->nodes = hosts;
	comm->node_ranks = 1;
	MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &comm->leaders[rank % 2 ? CHANNEL_GRADIENT : CHANNEL_MAIN]);
	return NN_OK;
}

enum nn_status machine_create(struct comm **out, int *argc, char ***argv, char *const *model)
{
	double others, hosts;
	int rank, size;
	enum nn_status status = nn_alloc(&machine.comm, sizeof(*machine.comm));

	*out = NULL;
	if (status != NN_OK)
		return status;
	MPI_Init(argc, argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	machine.helper = rank % 2;
	status = describe(machine.comm, rank, size);
	*out = machine.comm;
	if (status == NN_OK)
		status = read_model(model);
	machine.payload = SMPI_SHARED_MALLOC(PAYLOAD_MAX);
	machine.lines = SMPI_SHARED_MALLOC(sizeof(struct line) * (size_t)machine.comm->nodes);
	machine.line = &machine.lines[machine.comm->place];
	others = machine.nodes - 1;
	hosts = machine.comm->nodes;
	machine.weight = machine.helper ? others / machine.nodes / ((hosts - 1) / hosts) : 1;
	return status;
}

void machine_destroy(struct comm *comm)
{
	struct post leave = {0, 0};

	if (!comm)
		return;
	if (!machine.helper)
		MPI_Send(&leave, sizeof(leave), MPI_BYTE, 2 * comm->place + 1, 0, MPI_COMM_WORLD);
	MPI_Barrier(MPI_COMM_WORLD);
	doubling_plan_release(&machine.plan);
	SMPI_SHARED_FREE(machine.payload);
	SMPI_SHARED_FREE(machine.lines);
	MPI_Finalize();
}

bool machine_helps(struct comm *comm, struct reducer *reducer)
{
	struct post post;

	while (machine.helper) {
		MPI_Recv(&post, sizeof(post), MPI_BYTE, 2 * comm->place, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		if (post.count == 0)
			return true;
		__real_reducer_sum(reducer, post.offset, post.count);
		MPI_Send(&post, sizeof(post), MPI_BYTE, 2 * comm->place, 0, MPI_COMM_WORLD);
	}
	return false;
}

void __wrap_reducer_sum(struct reducer *reducer, size_t offset, size_t count)
{
	struct post post = {offset, count};

	(void)reducer;
	MPI_Send(&post, sizeof(post), MPI_BYTE, 2 * machine.comm->place + 1, 0, MPI_COMM_WORLD);
	machine.posted++;
}

bool __wrap_buckets_next(size_t *offset, size_t *count, struct buckets *buckets)
{
	struct post post;

	if (machine.posted > 0) {
		MPI_Recv(&post, sizeof(post), MPI_BYTE, 2 * machine.comm->place + 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		machine.posted--;
	}
	return __real_buckets_next(offset, count, buckets);
}

void machine_compute(double seconds)
{
	struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	if (seconds > 0)
		nanosleep(&time, NULL);
}

double machine_now(void)
{
	return MPI_Wtime();
}

void machine_barrier(struct comm *comm)
{
	MPI_Barrier(comm->leaders[CHANNEL_MAIN]);
}

double machine_max(struct comm *comm, double value)
{
	double most;

	MPI_Allreduce(&value, &most, 1, MPI_DOUBLE, MPI_MAX, comm->leaders[CHANNEL_MAIN]);
	return most;
}

int machine_nodes(const struct comm *comm)
{
	(void)comm;
	return machine.nodes;
}

static int weighed(int count, MPI_Datatype type)
{
	int size;

	MPI_Type_size(type, &size);
	return (int)(count * size * machine.weight);
}

int __wrap_MPI_Isend(const void *from, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
	(void)from;
	machine.line->begun += machine.helper;
	return __real_MPI_Isend(machine.payload, weighed(count, type), MPI_BYTE, to, tag, comm, request);
}

int __wrap_MPI_Irecv(void *into, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request)
{
	(void)into;
	machine.line->begun += machine.helper;
	return __real_MPI_Irecv(machine.payload, weighed(count, type), MPI_BYTE, from, tag, comm, request);
}

/* Waits for the gradients that are under way on this host's link. */
static void queue(void)
{
	long begun = machine.line->begun;

	while (machine.line->busy && machine.line->ended < begun)
		machine_compute(queue_look);
}

/* leaders_wait tests, for some time, and naps until all is done: here it waits at once, then sleeps to the end of the nap that it
 * would be in. */
static void finish_nap(double waited)
{
	enum channel channel = machine.helper ? CHANNEL_GRADIENT : CHANNEL_MAIN;
	double slept = machine.helper ? 0 : (double)board_spin_ns(machine.comm) * 1e-9;
	int naps = 0;

	for (; slept < waited; naps++)
		slept += (double)leaders_nap_ns(machine.comm, channel, naps) * 1e-9;
	if (naps == 0)
		return;
	if (!machine.helper || slept - waited > machine.burst)
		machine_compute(slept - waited);
	leaders_choose_nap(machine.comm, channel, naps);
}

int __wrap_MPI_Testall(int count, MPI_Request *requests, int *done, MPI_Status *statuses)
{
	double start = MPI_Wtime();
	long ended = 0;
	double messages = machine.helper ? (double)count * (machine.nodes - 1) / (machine.comm->nodes - 1) : count * machine.weight;

	machine_compute(messages * machine.message);
	machine.line->busy += machine.helper; /* what the processor does not keep up with does not queue */
	for (int i = 0; i < count; i++)
		ended += machine.helper && requests[i] != MPI_REQUEST_NULL;
	MPI_Waitall(count, requests, statuses);
	machine.line->busy -= machine.helper;
	machine.line->ended += ended;
	*done = 1;
	finish_nap(MPI_Wtime() - start - messages * machine.message);
	return MPI_SUCCESS;
}

enum nn_status __wrap_doubling_init(struct doubling *doubling, struct comm *comm, enum channel channel, int shard_count, int group,
				    size_t most_bytes, const char *what)
{
	int *firsts;
	enum nn_status status = __real_doubling_init(doubling, comm, channel, shard_count, group, most_bytes, what);

	if (channel == CHANNEL_GRADIENT)
		return status; /* gradients are summed pairwise here, between two nodes by comm/reduce_pair.c */
	if (status == NN_OK)
		status = nn_alloc(&firsts, sizeof(*firsts) * ((size_t)machine.nodes + 1));
	if (status != NN_OK)
		return status;
	for (int k = 0; k <= machine.nodes; k++)
		firsts[k] = k;
	status = doubling_plan_init(&machine.plan, firsts, machine.nodes, comm->place, machine.nodes, group);
	nn_free(firsts);
	return status;
}

static int messages_in(const struct doubling_plan *plan, int round)
{
	int messages = 0;

	for (int i = 0; i < plan->message_count; i++)
		messages += plan->messages[i].round == round;
	return messages;
}

/* The rounds of the plan for all nodes, with its messages; when there are not so many hosts they are those between hosts, weighed,
 * for a node's link does not care to whom. */
void *__wrap_doubling_run(struct doubling *doubling, const struct doubling_values *values)
{
	const struct doubling_plan *plan = &doubling->plan;

	for (int round = 0; round < machine.plan.rounds; round++) {
		int among_hosts = round % plan->rounds;

		queue();
		machine.weight = (double)messages_in(&machine.plan, round) / messages_in(plan, among_hosts);
		doubling_round(doubling, values, among_hosts);
	}
	return (char *)values->slots + values->bytes * (size_t)plan->result;
}

/* In halves, everything is done in the second one. */
void __wrap_doubling_begin(struct doubling *doubling, const struct doubling_values *values)
{
	(void)doubling, (void)values;
}

void *__wrap_doubling_finish(struct doubling *doubling, const struct doubling_values *values)
{
	return __wrap_doubling_run(doubling, values);
}

/* Each message that came is merged once. */
void __wrap_statistics_merge(double *into, const double *from, int channels, enum merge merge)
{
	(void)into, (void)from, (void)merge;
	machine_compute(machine.merge * channels * machine.weight);
}

void __wrap_additions_run(const struct addition *additions, int planned, float *const *rows, size_t offset, size_t count, bool bf16)
{
	(void)additions, (void)planned, (void)rows, (void)offset, (void)bf16;
	machine_compute(machine.add * (double)count * machine.comm->nodes / machine.nodes * (machine.nodes - 1));
}
