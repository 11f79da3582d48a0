#include "tests/scale/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const profile_words[PROFILE_KINDS] = {"moments", "sums", "ready", "update"};

static enum nn_status read_event(struct profile *profile, const char *line, const char *path)
{
	struct profile_event event = {.kind = PROFILE_MOMENTS};
	char word[16];

	if (profile->count == PROFILE_EVENTS_MAX || sscanf(line, "%15s %zu %lf", word, &event.value, &event.seconds) != 3)
		return nn_error(NN_ERR_DATA, "%s: '%s' is no event", path, line);
	while (event.kind < PROFILE_KINDS && strcmp(word, profile_words[event.kind]) != 0)
		event.kind++;
	if (event.kind == PROFILE_KINDS)
		return nn_error(NN_ERR_DATA, "%s: '%s' is no event", path, line);
	profile->events[profile->count++] = event;
	return NN_OK;
}

enum nn_status profile_read(struct profile *profile, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[128];
	enum nn_status status = NN_OK;

	if (!file)
		return nn_error(NN_ERR_IO, "cannot open %s: %s", path, strerror(errno));
	profile->count = 0;
	if (!fgets(line, sizeof(line), file) ||
	    sscanf(line, "network %31s %zu %d", profile->network, &profile->parameters, &profile->max_channels) != 3)
		status = nn_error(NN_ERR_DATA, "%s does not begin with the network", path);
	while (status == NN_OK && fgets(line, sizeof(line), file))
		status = read_event(profile, line, path);
	if (status == NN_OK && profile->count == 0)
		status = nn_error(NN_ERR_DATA, "%s has no events", path);
	fclose(file);
	return status;
}

double profile_seconds(const struct profile *profile)
{
	double seconds = 0;

	for (int i = 0; i < profile->count; i++)
		seconds += profile->events[i].seconds;
	return seconds;
}
