#include "trainer/run/stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { SAME_SIGNAL_MS = 250 };

static volatile sig_atomic_t wish = STOP_NONE;
static volatile sig_atomic_t first_ms = -1; /* when the first SIGTERM or SIGINT came, in milliseconds; wraps after 12 days */

static int now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)((now.tv_sec * 1000 + now.tv_nsec / 1000000) & (INT32_MAX >> 1));
}

static void on_signal(int number)
{
	int saved_errno = errno;

	if (number != SIGUSR1) {
		int now = now_ms();

		if (first_ms >= 0 && now - first_ms > SAME_SIGNAL_MS)
			_exit(128 + number);
		if (first_ms < 0)
			first_ms = now;
	}
	if (number == SIGINT)
		wish = STOP_USER;
	else if (wish == STOP_NONE)
		wish = STOP_REQUEUE;
	errno = saved_errno;
}

void stop_install(void)
{
	static const int numbers[] = {SIGUSR1, SIGTERM, SIGINT};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&action.sa_mask, numbers[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	/* a file size limit is then an error like any other */
	signal(SIGXFSZ, SIG_IGN);
}

enum stop stop_wish(void)
{
	return (enum stop)wish;
}
