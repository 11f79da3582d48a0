/* Who holds a run folder: the content of RUN/lock, one line of JSON that is padded to a fixed length. Private to run_lock*.c. */
#ifndef TRAINER_STATE_RUN_LOCK_HOLDER_H
#define TRAINER_STATE_RUN_LOCK_HOLDER_H

#include <stdbool.h>

enum { HOLDER_BYTES = 1024 };

struct holder {
	char id[33]; /* of this holding; no two are alike. "": the content was not readable */
	char host[256];
	char boot[64];	    /* the kernel's id of this boot */
	char namespace[64]; /* of process ids, which mean something only inside it */
	long long pid;
	char started[32];  /* when the process started, as the kernel counts; a process id may be used again */
	char job[64];	   /* Slurm's job id, or "" */
	long long restart; /* how often Slurm has started it again */
	long long beat;
};

enum holder_verdict { HOLDER_ALIVE, HOLDER_GONE, HOLDER_UNKNOWN };

/* This process. */
void holder_self(struct holder *holder);

/* text = the file's content. */
void holder_format(char text[HOLDER_BYTES + 1], const struct holder *holder);

/* The holder in the first `size` bytes of a file; with an id "" when they are none, as while a lock is being made. */
void holder_parse(struct holder *holder, const char *text, int size);

/* Whether the holder still runs, as far as `self` can tell without waiting. */
enum holder_verdict holder_judge(const struct holder *holder, const struct holder *self);

/* text = "process 123 on host a (Slurm job 7)". */
void holder_describe(char text[512], const struct holder *holder);

#endif
