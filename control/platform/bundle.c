/* See bundle.h. */
#include "control/platform/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <zip.h>

#define PACKED_FROM 16384 /* bytes; what is shorter is stored: to set the compressor up costs more than is saved */

/* ---- zip ---- */

static bool choose_method(zip_t *zip, zip_uint64_t at, size_t len)
{
    return zip_set_file_compression(zip, at, len < PACKED_FROM ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0) == 0;
}

/* Writes the one member; `out` gets the archive. libzip frees its sources with the archive, unless it refuses them. */
static int write_zip(zip_source_t *out, const char *name, struct rg_str content)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_t *zip = zip_open_from_source(out, ZIP_TRUNCATE, &error);
    zip_error_fini(&error);
    if (!zip)
        return -EIO;
    zip_source_keep(out); /* closing gives up the reference that open took */
    zip_source_t *member = zip_source_buffer(zip, content.ptr, content.len, 0);
    zip_int64_t at = member ? zip_file_add(zip, name, member, ZIP_FL_ENC_UTF_8) : -1;
    if (at < 0)
        zip_source_free(member);
    else if (choose_method(zip, (zip_uint64_t)at, content.len) && zip_close(zip) == 0)
        return 0;
    zip_discard(zip);
    return -EIO;
}

static int read_source(zip_source_t *source, char **ret, size_t *ret_len)
{
    zip_stat_t st;
    if (zip_source_open(source) < 0)
        return -EIO;
    int rc = zip_source_stat(source, &st) < 0 || !(st.valid & ZIP_STAT_SIZE) ? -EIO : 0;
    char *bytes = rc ? NULL : malloc(st.size + 1);
    if (!rc && !bytes)
        rc = -ENOMEM;
    if (!rc && zip_source_read(source, bytes, st.size) != (zip_int64_t)st.size)
        rc = -EIO;
    zip_source_close(source);
    if (rc) {
        free(bytes);
        return rc;
    }
    *ret = bytes;
    *ret_len = st.size;
    return 0;
}

int rg_bundle_zip(const char *name, struct rg_str content, char **ret, size_t *ret_len)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *out = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_error_fini(&error);
    if (!out)
        return -ENOMEM;
    int rc = write_zip(out, name, content);
    if (!rc)
        rc = read_source(out, ret, ret_len);
    zip_source_free(out);
    return rc;
}

/* ---- tar.gz ---- */

struct rg_bundle {
    struct archive *archive;
    char *bytes;
    size_t len, cap;
};

static la_ssize_t append(struct archive *archive, void *arg, const void *bytes, size_t len)
{
    struct rg_bundle *b = arg;
    if (b->len + len > b->cap) {
        size_t cap = (b->len + len) * 2 + 4096;
        char *more = realloc(b->bytes, cap);
        if (!more) {
            archive_set_error(archive, ENOMEM, "no memory");
            return -1;
        }
        b->bytes = more;
        b->cap = cap;
    }
    memcpy(b->bytes + b->len, bytes, len);
    b->len += len;
    return (la_ssize_t)len;
}

int rg_bundle_create(struct rg_bundle **ret)
{
    struct rg_bundle *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->archive = archive_write_new();
    if (!b->archive || archive_write_add_filter_gzip(b->archive) != ARCHIVE_OK ||
        archive_write_set_format_pax_restricted(b->archive) != ARCHIVE_OK ||
        archive_write_open(b->archive, b, NULL, append, NULL) != ARCHIVE_OK) {
        rg_bundle_destroy(b);
        return -ENOMEM;
    }
    *ret = b;
    return 0;
}

int rg_bundle_add(struct rg_bundle *bundle, const char *name, struct rg_str content)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return -ENOMEM;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)content.len);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    bool ok = archive_write_header(bundle->archive, entry) == ARCHIVE_OK &&
              archive_write_data(bundle->archive, content.ptr, content.len) == (la_ssize_t)content.len;
    archive_entry_free(entry);
    return ok ? 0 : -EIO;
}

int rg_bundle_finish(struct rg_bundle *bundle, char **ret, size_t *ret_len)
{
    int rc = archive_write_close(bundle->archive) == ARCHIVE_OK ? 0 : -EIO;
    if (!rc) {
        *ret = bundle->bytes;
        *ret_len = bundle->len;
        bundle->bytes = NULL;
        bundle->len = bundle->cap = 0;
    }
    rg_bundle_destroy(bundle);
    return rc;
}

void rg_bundle_destroy(struct rg_bundle *bundle)
{
    if (!bundle)
        return;
    archive_write_free(bundle->archive);
    free(bundle->bytes);
    free(bundle);
}
