/* See archive_fixture.h. */
#include "tests/unit/artifact/archive_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define TAR_ROOM (4u * 1024 * 1024)

static void need(bool good)
{
    if (!good)
        abort();
}

static size_t length_of(const struct made_member *m)
{
    return m->len > 0 ? m->len : strlen(m->text);
}

struct made_archive made_zip(const struct made_member *members, size_t n)
{
    zip_error_t error;
    zip_stat_t stat;
    zip_source_t *out = zip_source_buffer_create(NULL, 0, 0, &error);
    need(out);
    zip_source_keep(out);
    zip_t *zip = zip_open_from_source(out, ZIP_CREATE | ZIP_TRUNCATE, &error);
    need(zip);
    for (size_t i = 0; i < n; i++) {
        zip_source_t *in = zip_source_buffer(zip, members[i].text, length_of(&members[i]), 0);
        zip_int64_t at = zip_file_add(zip, members[i].name, in, ZIP_FL_ENC_UTF_8);
        need(at >= 0);
        if (members[i].secret)
            need(zip_file_set_encryption(zip, (zip_uint64_t)at, ZIP_EM_AES_256, members[i].secret) == 0);
    }
    need(zip_close(zip) == 0);
    struct made_archive a = {0};
    if (n > 0) {
        need(zip_source_open(out) == 0 && zip_source_stat(out, &stat) == 0);
        a.len = (size_t)stat.size;
        a.bytes = malloc(a.len);
        need(a.bytes && zip_source_read(out, a.bytes, a.len) == (zip_int64_t)a.len);
        zip_source_close(out);
    }
    zip_source_free(out);
    return a;
}

struct made_archive made_tar_gz(const struct made_member *members, size_t n)
{
    struct made_archive a = {.bytes = malloc(TAR_ROOM)};
    struct archive *tar = archive_write_new();
    need(a.bytes && tar);
    archive_write_add_filter_gzip(tar);
    archive_write_set_format_pax_restricted(tar);
    need(archive_write_open_memory(tar, a.bytes, TAR_ROOM, &a.len) == ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *entry = archive_entry_new();
        bool is_file = !members[i].is_dir && !members[i].link;
        size_t len = is_file ? length_of(&members[i]) : 0;
        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_size(entry, (la_int64_t)len);
        archive_entry_set_filetype(entry, members[i].is_dir ? AE_IFDIR : members[i].link ? AE_IFLNK : AE_IFREG);
        if (members[i].link)
            archive_entry_set_symlink(entry, members[i].link);
        archive_entry_set_perm(entry, 0644);
        need(archive_write_header(tar, entry) == ARCHIVE_OK);
        if (len > 0)
            need(archive_write_data(tar, members[i].text, len) == (la_ssize_t)len);
        archive_entry_free(entry);
    }
    need(archive_write_close(tar) == ARCHIVE_OK);
    archive_write_free(tar);
    return a;
}

void made_free(struct made_archive *a)
{
    free(a->bytes);
    *a = (struct made_archive){0};
}
