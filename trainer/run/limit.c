#include "trainer/run/internal.h"

/* Another step, or the rest of one and its save, may take twice as long as any before. */
static bool time_is_short(const struct run *run)
{
	double left = run->options.time_limit - (run_seconds() - run->clock.start);

	return left < 2 * run->clock.step_longest + 1.5 * run->clock.save + 1;
}

enum stop run_stop_wish(const struct run *run)
{
	enum stop wish = stop_wish();

	/* At least one step, so that a job which is started again and again comes to its end. */
	if (wish == STOP_NONE && run->master && run->options.time_limit > 0 && run->position.step > run->first_step &&
	    time_is_short(run))
		return STOP_REQUEUE;
	return wish;
}
