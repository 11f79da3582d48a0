#include "trainer/state/run_lock_holder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <jansson.h>

/* The first word of a file, or "". */
static void read_word(char *word, size_t size, const char *path)
{
	FILE *file = fopen(path, "re");
	size_t length = 0;

	if (file) {
		length = fread(word, 1, size - 1, file);
		fclose(file);
	}
	word[length] = '\0';
	word[strcspn(word, " \n")] = '\0';
}

/* State letter and start time of a process: fields 3 and 22 of /proc/PID/stat, behind a name that may hold anything. '\0': there
 * is no such process. */
static char process_state(char *started, size_t size, long long pid)
{
	char path[64], text[1024];
	const char *at;
	size_t length = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%lld/stat", pid);
	file = fopen(path, "re");
	started[0] = '\0';
	if (file) {
		length = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	text[length] = '\0';
	at = strrchr(text, ')');
	if (!at || strlen(at) < 3)
		return '\0';
	at += 2;
	text[0] = *at;
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (at)
		snprintf(started, size, "%.*s", (int)strcspn(at, " "), at);
	return text[0];
}

static void copy_variable(char *out, size_t size, const char *name)
{
	const char *value = getenv(name);

	snprintf(out, size, "%s", value ? value : "");
}

static void draw_id(char id[33])
{
	unsigned char bytes[16] = {0};

	/* without randomness the process id and the host still tell holders apart */
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
		long pid = (long)getpid();

		memcpy(bytes, &pid, sizeof(pid));
		gethostname((char *)bytes + sizeof(pid), sizeof(bytes) - sizeof(pid));
	}
	for (int i = 0; i < 16; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

void holder_self(struct holder *holder)
{
	char restart[32];
	ssize_t length;

	memset(holder, 0, sizeof(*holder));
	draw_id(holder->id);
	gethostname(holder->host, sizeof(holder->host) - 1);
	read_word(holder->boot, sizeof(holder->boot), "/proc/sys/kernel/random/boot_id");
	length = readlink("/proc/self/ns/pid", holder->namespace, sizeof(holder->namespace) - 1);
	holder->namespace[length < 0 ? 0 : length] = '\0';
	holder->pid = (long long)getpid();
	process_state(holder->started, sizeof(holder->started), holder->pid);
	copy_variable(holder->job, sizeof(holder->job), "SLURM_JOB_ID");
	copy_variable(restart, sizeof(restart), "SLURM_RESTART_COUNT");
	holder->restart = atoll(restart);
}

void holder_format(char text[HOLDER_BYTES + 1], const struct holder *holder)
{
	json_t *json =
	    json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:s}", "id", holder->id, "host", holder->host, "pid",
		      (json_int_t)holder->pid, "slurm_job", holder->job, "slurm_restart", (json_int_t)holder->restart, "beat",
		      (json_int_t)holder->beat, "boot", holder->boot, "namespace", holder->namespace, "started", holder->started);

	memset(text, ' ', HOLDER_BYTES);
	text[HOLDER_BYTES - 1] = '\n';
	text[HOLDER_BYTES] = '\0';
	json_dumpb(json, text, HOLDER_BYTES - 1, JSON_COMPACT);
	json_decref(json);
}

static void copy_text(char *out, size_t size, const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	snprintf(out, size, "%s", text ? text : "");
}

void holder_parse(struct holder *holder, const char *text, int size)
{
	json_t *json = json_loadb(text, (size_t)size, 0, NULL);

	memset(holder, 0, sizeof(*holder));
	copy_text(holder->id, sizeof(holder->id), json, "id");
	copy_text(holder->host, sizeof(holder->host), json, "host");
	copy_text(holder->boot, sizeof(holder->boot), json, "boot");
	copy_text(holder->namespace, sizeof(holder->namespace), json, "namespace");
	copy_text(holder->started, sizeof(holder->started), json, "started");
	copy_text(holder->job, sizeof(holder->job), json, "slurm_job");
	holder->pid = json_integer_value(json_object_get(json, "pid"));
	holder->restart = json_integer_value(json_object_get(json, "slurm_restart"));
	holder->beat = json_integer_value(json_object_get(json, "beat"));
	json_decref(json);
}

enum holder_verdict holder_judge(const struct holder *holder, const struct holder *self)
{
	char started[32];
	char state;

	if (!*holder->id)
		return HOLDER_UNKNOWN;
	if (*self->job && strcmp(holder->job, self->job) == 0 && holder->restart < self->restart)
		return HOLDER_GONE;
	if (!*self->boot || strcmp(holder->boot, self->boot) != 0 || strcmp(holder->namespace, self->namespace) != 0)
		return HOLDER_UNKNOWN;
	state = process_state(started, sizeof(started), holder->pid);
	return state == '\0' || state == 'Z' || state == 'X' || strcmp(started, holder->started) != 0 ? HOLDER_GONE : HOLDER_ALIVE;
}

void holder_describe(char text[512], const struct holder *holder)
{
	if (!*holder->id)
		snprintf(text, 512, "an unknown process");
	else if (*holder->job)
		snprintf(text, 512, "process %lld on host %.200s (Slurm job %.60s)", holder->pid, holder->host, holder->job);
	else
		snprintf(text, 512, "process %lld on host %.200s", holder->pid, holder->host);
}
