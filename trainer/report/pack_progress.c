#include "trainer/report/pack_progress.h"

#include <math.h>
#include <string.h>
#include <time.h>

static const double first_seconds = 0.2;

enum { LINE_BYTES = 256, TIME_BYTES = 32, ELSEWHERE_SECONDS = 10 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void pack_progress_init(struct pack_progress *progress, FILE *stream)
{
	*progress = (struct pack_progress){.split = ""};
	progress_init(&progress->line, stream, progress_terminal_width(stream));
	if (progress->line.width == 0)
		progress->line.next_seconds = now() + ELSEWHERE_SECONDS;
}

void pack_progress_show(void *context, const char *split, size_t done, size_t count, uint64_t bytes)
{
	struct pack_progress *progress = context;
	char text[LINE_BYTES], left[TIME_BYTES];
	double seconds = now(), rate;

	if (strcmp(split, progress->split) != 0) {
		progress->split = split;
		progress->start = seconds;
		progress->before = done - 1;
		/* a rate of the first image alone says nothing */
		progress->line.next_seconds = fmax(progress->line.next_seconds, seconds + first_seconds);
	}
	if (seconds < progress->line.next_seconds)
		return;
	rate = (double)(done - progress->before) / (seconds - progress->start + 1e-3);
	progress_format_time(left, sizeof(left), (double)(count - done) / rate);
	snprintf(text, sizeof(text), "%s  %zu/%zu images  %.1f MB  %.0f images/s  left %s", split, done, count, (double)bytes / 1e6,
		 rate, left);
	progress_text(&progress->line, text, seconds);
}

void pack_progress_end(struct pack_progress *progress)
{
	progress_break(&progress->line);
}
