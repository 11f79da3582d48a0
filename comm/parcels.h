/* Floats on their way between the first ranks of nodes, or half as many bytes: with bf16 every value is one already, and travels as
 * one. Messages between two nodes come in the order in which they are sent; nobody waits before parcels_wait. */
#ifndef COMM_PARCELS_H
#define COMM_PARCELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/internal.h"
#include "nn/core/status.h"

/* Bf16 that will have come, and where they belong as floats; count 0: none. */
struct landing {
	float *into;
	const uint16_t *from;
	size_t count;
};

struct parcels {
	struct comm *comm;
	const char *what; /* for the watchdog */
	bool bf16;
	int most; /* requests at once */
	int made;
	MPI_Request *requests;
	int *nodes; /* whom each is about */

	/* bf16 only */
	size_t room, used; /* values in `narrowed` */
	uint16_t *narrowed;
	struct landing *landings; /* by request */
	const float *last;	  /* what was narrowed last, for the next node that gets the same */
	size_t last_count;
	const uint16_t *last_narrowed;
};

/* For up to `most` messages of `floats` floats in all between two waits; what is sent to several nodes in a row counts once. A
 * zeroed struct before. Ownership: the caller's, freed by parcels_release, also after an error. Errors: NN_ERR_MEMORY. Not
 * collective. */
enum nn_status parcels_init(struct parcels *parcels, struct comm *comm, const char *what, bool bf16, size_t most, size_t floats);
void parcels_release(struct parcels *parcels);

/* Begins to send or receive; nothing when count is 0. The memory is not to be touched before it has been waited for. */
void parcels_send(struct parcels *parcels, const float *from, size_t count, int node);
void parcels_receive(struct parcels *parcels, float *into, size_t count, int node);

/* Waits for the last message that was begun. */
void parcels_wait_last(struct parcels *parcels);

/* Waits for all of them. Errors: none; a failing MPI call, or the watchdog, ends the job. */
void parcels_wait(struct parcels *parcels);

#endif
