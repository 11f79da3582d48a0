/* Between nodes: the first rank of each speaks MPI for all of its ranks. Waiting is testing now and then, asleep in between. */
#ifndef COMM_LEADERS_H
#define COMM_LEADERS_H

#include "comm/internal.h"

/* Waits until all requests are done. nodes[i] is the node that request i is about; NULL: no one in particular. `what` names the
 * collective for the watchdog. */
void leaders_wait(struct comm *comm, enum channel channel, int count, MPI_Request *requests, const int *nodes, const char *what);

/* Every leader's block to every other: that of node k lies at all + begins[k] and has begins[k + 1] - begins[k] bytes. One message
 * for each pair of nodes and direction. Collective over the leaders. */
void leaders_gather(struct comm *comm, enum channel channel, void *all, const size_t *begins, const char *what);

/* Waits for an operation on comm->world that every rank of the job has just begun. */
void comm_finish(struct comm *comm, MPI_Request *request, const char *what);

/* How waiting sleeps, for who simulates it: nanoseconds of the nap after `naps` others, and what a wait of so many says about the
 * next. */
long leaders_nap_ns(const struct comm *comm, enum channel channel, int naps);
void leaders_choose_nap(struct comm *comm, enum channel channel, int naps);

#endif
