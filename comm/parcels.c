#include "comm/parcels.h"

#include <assert.h>

#include "comm/leaders.h"
#include "nn/core/alloc.h"
#include "nn/core/bf16.h"

enum nn_status parcels_init(struct parcels *parcels, struct comm *comm, const char *what, bool bf16, size_t most, size_t floats)
{
	enum nn_status status;

	*parcels = (struct parcels){.comm = comm, .what = what, .bf16 = bf16, .most = (int)most, .room = floats};
	status = nn_alloc(&parcels->requests, sizeof(MPI_Request) * most);
	if (status == NN_OK)
		status = nn_alloc(&parcels->nodes, sizeof(*parcels->nodes) * most);
	if (status == NN_OK && bf16)
		status = nn_alloc(&parcels->narrowed, sizeof(*parcels->narrowed) * floats);
	if (status == NN_OK && bf16)
		status = nn_alloc(&parcels->landings, sizeof(*parcels->landings) * most);
	return status;
}

void parcels_release(struct parcels *parcels)
{
	nn_free(parcels->requests);
	nn_free(parcels->nodes);
	nn_free(parcels->narrowed);
	nn_free(parcels->landings);
}

static uint16_t *take_room(struct parcels *parcels, size_t count)
{
	uint16_t *room = parcels->narrowed + parcels->used;

	parcels->used += count;
	assert(parcels->used <= parcels->room);
	return room;
}

/* Values that are bf16 already, without rounding. */
static const uint16_t *narrow(struct parcels *parcels, const float *from, size_t count)
{
	uint16_t *to;

	if (from == parcels->last && count == parcels->last_count)
		return parcels->last_narrowed;
	to = take_room(parcels, count);
	for (size_t i = 0; i < count; i++)
		to[i] = bf16_from_float(from[i]);
	parcels->last = from;
	parcels->last_count = count;
	parcels->last_narrowed = to;
	return to;
}

static MPI_Request *next_request(struct parcels *parcels, int node)
{
	assert(parcels->made < parcels->most);
	parcels->nodes[parcels->made] = node;
	if (parcels->bf16)
		parcels->landings[parcels->made].count = 0;
	return &parcels->requests[parcels->made++];
}

void parcels_send(struct parcels *parcels, const float *from, size_t count, int node)
{
	MPI_Comm leaders = parcels->comm->leaders[CHANNEL_GRADIENT];
	MPI_Request *request;

	if (count == 0)
		return;
	request = next_request(parcels, node);
	comm_check(parcels->comm,
		   parcels->bf16 ? MPI_Isend(narrow(parcels, from, count), (int)count, MPI_UINT16_T, node, 0, leaders, request)
				 : MPI_Isend(from, (int)count, MPI_FLOAT, node, 0, leaders, request),
		   "MPI_Isend");
}

void parcels_receive(struct parcels *parcels, float *into, size_t count, int node)
{
	MPI_Comm leaders = parcels->comm->leaders[CHANNEL_GRADIENT];
	MPI_Request *request;
	uint16_t *room;

	if (count == 0)
		return;
	request = next_request(parcels, node);
	if (parcels->bf16) {
		room = take_room(parcels, count);
		parcels->landings[parcels->made - 1] = (struct landing){into, room, count};
		comm_check(parcels->comm, MPI_Irecv(room, (int)count, MPI_UINT16_T, node, 0, leaders, request), "MPI_Irecv");
	} else {
		comm_check(parcels->comm, MPI_Irecv(into, (int)count, MPI_FLOAT, node, 0, leaders, request), "MPI_Irecv");
	}
}

/* Waits for `count` messages from number `first` on. */
static void finish(struct parcels *parcels, int first, int count)
{
	leaders_wait(parcels->comm, CHANNEL_GRADIENT, count, parcels->requests + first, parcels->nodes + first, parcels->what);
	for (int i = first; parcels->bf16 && i < first + count; i++) {
		struct landing *landing = &parcels->landings[i];

		for (size_t k = 0; k < landing->count; k++)
			landing->into[k] = bf16_to_float(landing->from[k]);
		landing->count = 0;
	}
}

void parcels_wait_last(struct parcels *parcels)
{
	if (parcels->made > 0)
		finish(parcels, parcels->made - 1, 1);
}

void parcels_wait(struct parcels *parcels)
{
	finish(parcels, 0, parcels->made);
	parcels->made = 0;
	parcels->used = 0;
	parcels->last = NULL;
}
