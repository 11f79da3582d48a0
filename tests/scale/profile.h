/* What one node does in a training step, as tests/scale/profile.c measured it: events, and the seconds computed before each.
 *
 *	network resnet50 25557032 2048	name, parameters, most channels of an exchange
 *	moments 64 0.0123		an exchange of statistics: channels
 *	sums 64 0.0123			another: of the loss, and in the backward pass
 *	ready 23508032 0.0045		the gradient is final from this offset on
 *	update 0 0.0300			the optimiser, over all parameters
 */
#ifndef TESTS_SCALE_PROFILE_H
#define TESTS_SCALE_PROFILE_H

#include <stddef.h>

#include "nn/core/status.h"

enum profile_kind { PROFILE_MOMENTS, PROFILE_SUMS, PROFILE_READY, PROFILE_UPDATE, PROFILE_KINDS };

enum { PROFILE_EVENTS_MAX = 4096 };

struct profile_event {
	enum profile_kind kind;
	size_t value;
	double seconds;
};

struct profile {
	char network[32];
	size_t parameters;
	int max_channels;
	int count;
	struct profile_event events[PROFILE_EVENTS_MAX];
};

extern const char *const profile_words[PROFILE_KINDS];

/* Errors: NN_ERR_IO, NN_ERR_DATA. */
enum nn_status profile_read(struct profile *profile, const char *path);

/* Seconds computed in a step. */
double profile_seconds(const struct profile *profile);

#endif
