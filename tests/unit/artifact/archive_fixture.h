/* Makes the archives that tests read, in memory. Thread: the test's. */
#ifndef RG_TESTS_CONTROL_ARCHIVE_FIXTURE_H
#define RG_TESTS_CONTROL_ARCHIVE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

struct made_member {
    const char *name;
    const char *text;
    size_t len;         /* 0: that of the text */
    const char *link;   /* tar: a symbolic link to this */
    const char *secret; /* zip: encrypted with this password */
    bool is_dir;        /* tar */
};

struct made_archive {
    unsigned char *bytes;
    size_t len;
};

struct made_archive made_zip(const struct made_member *members, size_t n);
struct made_archive made_tar_gz(const struct made_member *members, size_t n);
void made_free(struct made_archive *a);

#endif
