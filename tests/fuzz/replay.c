/* replay - runs a fuzz target once for each file of the folder named on the command line; fails when there is none. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 4 * 1024 * 1024 };

int main(int argc, char **argv)
{
	struct dirent *entry;
	int ran = 0;
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	uint8_t *input = malloc(INPUT_MAX);

	if (!dir || !input) {
		fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		FILE *f = fopen(path, "rb");
		if (!f)
			continue;
		size_t len = fread(input, 1, INPUT_MAX, f);
		fclose(f);
		/* in a block of its own length, so that a read past its end is seen */
		uint8_t *exact = malloc(len ? len : 1);
		if (!exact)
			return 2;
		memcpy(exact, input, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
		ran++;
	}
	closedir(dir);
	free(input);
	printf("%d inputs replayed\n", ran);
	return ran ? 0 : 1;
}
