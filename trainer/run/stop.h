/* The wish to stop: a signal sets it, at the next step all ranks agree on it, save and leave.
 *
 * SIGUSR1 and SIGTERM: save, leave with exit code 85 ("run me again"). SIGINT: the same, as a person's wish. A second SIGTERM or
 * SIGINT leaves at once and saves nothing; one within a quarter of a second of the first is the same signal, which came on two
 * ways (a launcher passes on what the batch system sends to it and to the ranks). */
#ifndef TRAINER_RUN_STOP_H
#define TRAINER_RUN_STOP_H

/* In increasing order of precedence when ranks differ. */
enum stop { STOP_NONE, STOP_REQUEUE, STOP_USER };

/* Installs the handlers. Called as the first thing in main, since a batch system may send a signal while MPI starts. */
void stop_install(void);

/* What signals have asked of this process so far. */
enum stop stop_wish(void);

#endif
