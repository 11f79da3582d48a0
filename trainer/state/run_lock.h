/* One job at a time on a run folder: the file RUN/lock says who has it.
 *
 * Made for network file systems: no flock, no time stamps, only exclusive creation, rename, and content that changes. The holder
 * rewrites the file's counter every RUN_LOCK_BEAT_SECONDS. Who finds a lock takes it over
 * - at once when its process is gone (only a process of the same boot and process namespace can tell), or when it is from an
 *   earlier start of this same Slurm job, which Slurm has ended before it started the job anew;
 * - else when the counter has stood still for RUN_LOCK_STALE_SECONDS.
 * A holder that was taken over, after it stood still for so long, finds out in run_lock_check before it publishes anything. */
#ifndef TRAINER_STATE_RUN_LOCK_H
#define TRAINER_STATE_RUN_LOCK_H

#include "nn/core/status.h"

enum { RUN_LOCK_BEAT_SECONDS = 2, RUN_LOCK_STALE_SECONDS = 20 };

/* A held lock, with the thread that keeps its counter going. Opaque. */
struct run_lock;

/* Takes the lock of a run folder, which exists. Ownership: *out is the caller's, ended by run_lock_release; NULL on error.
 * Errors: NN_ERR_CHECKPOINT naming who has it, within about two beats; NN_ERR_IO when the folder cannot be written; NN_ERR_MEMORY.
 * Not collective: for rank 0. */
enum nn_status run_lock_acquire(struct run_lock **out, const char *run);

/* That the lock is still this job's; makes it again when somebody removed it. From any thread.
 * Errors: NN_ERR_CHECKPOINT naming who took it over; NN_ERR_IO when that cannot be found out. */
enum nn_status run_lock_check(struct run_lock *lock);

/* The same for what is written often: looks only when the lock was seen as this job's long ago. */
enum nn_status run_lock_confirm(struct run_lock *lock);

/* What tells this holder from every other, a word fit for the name of a file. Valid as long as the lock. */
const char *run_lock_id(const struct run_lock *lock);

/* Gives the lock back; NULL is allowed. */
void run_lock_release(struct run_lock *lock);

#endif
