#include "trainer/report/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512, TERMINAL_PERIOD_MS = 100, PLAIN_PERIOD_MS = 10000 };

/* Appends to the text in buffer as much as fits. */
__attribute__((format(printf, 3, 4))) static void add(char *buffer, size_t size, const char *format, ...)
{
	size_t used = strlen(buffer);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(buffer + used, size - used, format, arguments);
	va_end(arguments);
}

void progress_format_time(char *buffer, size_t size, double seconds)
{
	long long whole = llround(seconds);

	if (whole >= 3600)
		snprintf(buffer, size, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(buffer, size, "%lld:%02lld", whole / 60, whole % 60);
}

void progress_format(char *buffer, size_t size, const struct progress_state *state)
{
	char left[32];

	if (size == 0)
		return;
	buffer[0] = '\0';
	add(buffer, size, "epoch %d", state->epoch);
	if (state->epochs > 0)
		add(buffer, size, "/%d", state->epochs);
	add(buffer, size, "  step %lld", (long long)state->step);
	if (state->steps > 0)
		add(buffer, size, "/%lld", (long long)state->steps);
	if (isfinite(state->images_per_second))
		add(buffer, size, "  %.1f images/s", state->images_per_second);
	add(buffer, size, "  loss %.4f", state->loss);
	if (isfinite(state->train_error))
		add(buffer, size, "  error %.2f %%", state->train_error);
	if (isfinite(state->val_error))
		add(buffer, size, "  validation %.2f %%", state->val_error);
	if (isfinite(state->lr))
		add(buffer, size, "  lr %.4g", state->lr);
	if (isfinite(state->seconds_left) && state->seconds_left >= 0) {
		progress_format_time(left, sizeof(left), state->seconds_left);
		add(buffer, size, "  left %s", left);
	}
}

/* mpirun gives its ranks a terminal without a size, whatever its own output is. Then the output of the program that started this
 * one tells whether a person watches. */
static int launcher_width(void)
{
	char path[64];
	struct winsize window = {0};
	int output, width = 0;

	snprintf(path, sizeof(path), "/proc/%ld/fd/1", (long)getppid());
	output = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (output < 0)
		return 0;
	if (isatty(output) && ioctl(output, TIOCGWINSZ, &window) == 0)
		width = window.ws_col;
	close(output);
	return width;
}

int progress_terminal_width(FILE *stream)
{
	struct winsize window;

	if (!isatty(fileno(stream)))
		return 0;
	if (ioctl(fileno(stream), TIOCGWINSZ, &window) != 0 || window.ws_col == 0)
		return launcher_width();
	return window.ws_col;
}

void progress_init(struct progress *progress, FILE *stream, int width)
{
	*progress = (struct progress){.stream = stream, .width = width};
}

static enum nn_status flush(struct progress *progress)
{
	if (fflush(progress->stream) == 0 && !ferror(progress->stream))
		return NN_OK;
	clearerr(progress->stream);
	return nn_error(NN_ERR_IO, "cannot show progress on standard output: %s", strerror(errno));
}

/* Writes over the line before; the last column stays free, where some terminals would begin a new line. */
static void rewrite(struct progress *progress, char text[LINE_MAX_BYTES])
{
	int length;

	if (progress->width <= LINE_MAX_BYTES)
		text[progress->width - 1] = '\0';
	length = (int)strlen(text);
	fprintf(progress->stream, "\r%s%*s", text, progress->shown > length ? progress->shown - length : 0, "");
	progress->shown = length;
}

enum nn_status progress_text(struct progress *progress, const char *line, double seconds)
{
	char text[LINE_MAX_BYTES];

	snprintf(text, sizeof(text), "%s", line);
	if (progress->width > 0)
		rewrite(progress, text);
	else
		fprintf(progress->stream, "%s\n", text);
	progress->next_seconds = seconds + (progress->width > 0 ? TERMINAL_PERIOD_MS : PLAIN_PERIOD_MS) / 1000.0;
	return flush(progress);
}

static enum nn_status show(struct progress *progress, const struct progress_state *state, double seconds)
{
	char text[LINE_MAX_BYTES];

	progress_format(text, sizeof(text), state);
	return progress_text(progress, text, seconds);
}

enum nn_status progress_step(struct progress *progress, const struct progress_state *state, double seconds)
{
	return seconds < progress->next_seconds ? NN_OK : show(progress, state, seconds);
}

enum nn_status progress_epoch(struct progress *progress, const struct progress_state *state, double seconds)
{
	return show(progress, state, seconds);
}

enum nn_status progress_break(struct progress *progress)
{
	if (progress->shown == 0)
		return NN_OK;
	progress->shown = 0;
	fputc('\n', progress->stream);
	return flush(progress);
}
