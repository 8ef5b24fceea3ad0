/* Runs a fuzz target once over each file of the given folders (its corpus): the fuzz target as an ordinary test. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t cap = 1u << 20;
    char *all = malloc(cap);
    if (!all) {
        fclose(f);
        return -1;
    }
    size_t len = fread(all, 1, cap, f);
    fclose(f);

    /* An exact copy, so that a sanitizer sees a read beyond the end. */
    uint8_t *data = malloc(len ? len : 1);
    if (data) {
        memcpy(data, all, len);
        LLVMFuzzerTestOneInput(data, len);
    }
    int rc = data ? 0 : -1;
    free(data);
    free(all);
    return rc;
}

static int replay_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int n = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        if (replay_file(file) < 0) {
            n = -1;
            break;
        }
        n++;
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i]);
        if (n <= 0) {
            fprintf(stderr, "%s: no corpus replayed\n", argv[i]);
            return 1;
        }
        printf("%s: %d inputs\n", argv[i], n);
    }
    return argc > 1 ? 0 : 2;
}
