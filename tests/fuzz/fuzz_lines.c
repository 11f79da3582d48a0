/* metrics.jsonl when a run is resumed: the file is cut back to whole lines. The input: 4 bytes for where to cut, then the file. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/targets.h"
#include "trainer/report/lines.h"
#include "trainer/state/bytes.h"

enum { HEAD = 4 };

/* The last place up to `keep` behind a newline. */
static size_t cut(const uint8_t *bytes, size_t size, size_t keep)
{
	size_t end = keep < size ? keep : size;

	while (end > 0 && bytes[end - 1] != '\n')
		end--;
	return end;
}

/* What the file must hold: its first `kept` bytes and the line that was added. */
static void check_file(int file, const uint8_t *bytes, size_t kept)
{
	struct stat info;
	uint8_t *content = malloc(kept + 3);

	FUZZ_CHECK(content && fstat(file, &info) == 0 && info.st_size == (off_t)kept + 3);
	FUZZ_CHECK(pread(file, content, kept + 3, 0) == (ssize_t)kept + 3);
	FUZZ_CHECK(kept == 0 || memcmp(content, bytes, kept) == 0);
	FUZZ_CHECK(memcmp(content + kept, "{}\n", 3) == 0);
	free(content);
}

void fuzz_lines(const uint8_t *bytes, size_t size)
{
	char path[FUZZ_PATH];
	struct lines lines;
	size_t keep;
	int file;

	if (size < HEAD)
		return;
	keep = load_le32(bytes);
	file = fuzz_file(path, bytes + HEAD, size - HEAD);
	FUZZ_CHECK(lines_open(&lines, path, (int64_t)keep) == NN_OK);
	FUZZ_CHECK(lines_append(&lines, "{}\n", 3) == NN_OK);
	FUZZ_CHECK(lines_close(&lines) == NN_OK);
	check_file(file, bytes + HEAD, cut(bytes + HEAD, size - HEAD, keep));
	close(file);
}
