/* The job's ranks: how many, on which nodes, in which order they hold the shards, and how they all end together.
 *
 * A rank is known by its number in the job (rank 0 reports). Its place is its position when ranks are sorted by node, then by rank
 * inside the node; shards are dealt by place, so that one node holds neighbouring shards.
 *
 * The ranks of a node meet in shared memory and sleep while they wait (comm/board.h); the first rank of each node speaks MPI with
 * the others. The thread that called comm_create calls everything here; one more thread may sum gradients meanwhile
 * (comm/buckets.h). */
#ifndef COMM_WORLD_H
#define COMM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/shards.h"
#include "nn/core/status.h"

struct comm;

/* Starts MPI and finds out who is where. `argc` and `argv` are main's; MPI may take its own arguments out.
 * Collective. Ownership: the caller's, ended by comm_destroy.
 * Errors: NN_ERR_USAGE when this MPI has no MPI_THREAD_FUNNELED, NN_ERR_MEMORY; *out is then NULL. From here on a failing MPI call
 * ends the job, as comm_abort does, with NN_ERR_PEER's exit code; so does a rank that waits here for longer than ten minutes. */
enum nn_status comm_create(struct comm **out, int *argc, char ***argv);

/* comm_create on made-up nodes: rank r is on node r % nodes, whatever machine it runs on. For tests of several nodes on one
 * machine. Collective. */
enum nn_status comm_create_on_nodes(struct comm **out, int *argc, char ***argv, int nodes);

/* Ends MPI and frees; NULL is allowed. Collective: a rank that is alone in an error calls comm_abort instead. */
void comm_destroy(struct comm *comm);

/* Prints `PROGRAM: error: message (rank N)` as one line on stderr and ends every rank with nn_exit_code(status).
 * Not collective: for an error that the other ranks do not know of. */
_Noreturn void comm_abort(const struct comm *comm, const char *program, enum nn_status status, const char *message);

/* This rank's number in the job, 0 .. comm_size - 1. */
int comm_rank(const struct comm *comm);

/* The number of ranks in the job. */
int comm_size(const struct comm *comm);

/* This rank's place when ranks are sorted by (node, rank); nodes come in the order of their lowest rank. */
int comm_order(const struct comm *comm);

/* The number of nodes in the job. */
int comm_nodes(const struct comm *comm);

/* The number of ranks on this rank's node. */
int comm_node_ranks(const struct comm *comm);

/* This rank's number on its node, 0 .. comm_node_ranks - 1. */
int comm_node_rank(const struct comm *comm);

/* The name of this rank's host. Valid until comm_destroy. */
const char *comm_host(const struct comm *comm);

/* text = the name and version of the MPI library, one line. Not collective. */
void comm_library(char *text, size_t size);

/* Whether MPI lets several threads of a rank call it at once. */
bool comm_threads(const struct comm *comm);

/* From now on a rank that has waited for others longer than `seconds` names them and ends the job, as comm_abort does, with
 * NN_ERR_PEER's exit code; 0 (as at first): never, unless a process of its own node has died, which is always noticed. Who waits
 * for other nodes first asks them whether they wait, too, and speaks 3 to 6 s later. Time in which this process was stopped
 * itself does not count. `advice`, which lives as long as comm, goes behind the message; NULL: nothing does. Not collective; the
 * same on all ranks makes sense. */
void comm_watch(struct comm *comm, double seconds, const char *advice);

/* The step that those messages name. Not collective. */
void comm_at_step(struct comm *comm, int64_t step);

/* From now on each collective first makes sure that all ranks are in the same one; at first so in debug builds only. A mismatch
 * ends the job, as comm_abort does, with NN_ERR_PEER's exit code, naming two ranks and what they called. The same on all ranks,
 * between the same two collectives of all threads. Not collective. */
void comm_compare_calls(struct comm *comm, bool on);

/* The name of a rank's host, shortened to 63 bytes. Valid until comm_destroy. */
const char *comm_host_of(const struct comm *comm, int rank);

/* The shards that this rank holds: place p of P has p * count / P .. (p + 1) * count / P - 1, none for some when P > count. */
struct shards comm_shards(const struct comm *comm, int count);

#endif
