/*
 * Why: what holds of any archive, and the zip of one artifact. See archive.h for owner and thread; archive_batch.c for
 * the tar.gz.
 */
#include "control/artifact/archive_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <zip.h>

#define READ_STEP 65536u

/* ---- What holds of any archive ---- */

void rg_archive_refuse(struct rg_problems *why, struct rg_str member, const char *got, const char *wanted,
                       const char *remedy)
{
    char path[RG_ARCHIVE_QUOTED];
    if (member.len == 0)
        snprintf(path, sizeof(path), "archive");
    else
        rg_conf_quote(member, path, sizeof(path));
    rg_problems_add(why, path, got, wanted, remedy);
}

static bool is_above(struct rg_str segment)
{
    return rg_str_eq(segment, RG_STR("..")) || rg_str_eq(segment, RG_STR("."));
}

/* Nothing is written to disk; whoever sends such names means harm all the same. */
static bool is_safe_name(struct rg_str name)
{
    size_t start = 0;
    if (name.len == 0 || name.len > RG_ARCHIVE_NAME_MAX || name.ptr[0] == '/')
        return false;
    for (size_t i = 0; i <= name.len; i++) {
        unsigned char c = i < name.len ? (unsigned char)name.ptr[i] : '/';
        if (c < 0x20 || c == 0x7f || c == '\\' || c == ':')
            return false;
        if (c != '/')
            continue;
        if (is_above((struct rg_str){name.ptr + start, i - start}))
            return false;
        start = i + 1;
    }
    return true;
}

bool rg_archive_check_name(struct rg_problems *why, struct rg_str name)
{
    if (is_safe_name(name))
        return true;
    rg_archive_refuse(why, name, "a name that leads out of the archive or holds odd bytes",
                      "a relative name without \"..\", backslash, colon and control bytes", NULL);
    return false;
}

bool rg_archive_is_yaml(struct rg_str name)
{
    static const struct rg_str ends[] = {{".yaml", 5}, {".yml", 4}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = ends[i].len;
        if (name.len > n && rg_str_eq_nocase((struct rg_str){name.ptr + name.len - n, n}, ends[i]))
            return true;
    }
    return false;
}

bool rg_archive_check_size(struct rg_problems *why, struct rg_str name, uint64_t unpacked, uint64_t packed)
{
    char got[96];
    if (unpacked > RG_ARCHIVE_UNPACKED_MAX) {
        snprintf(got, sizeof(got), "more than %u MiB unpacked", RG_ARCHIVE_UNPACKED_MAX >> 20);
        rg_archive_refuse(why, name, got, "an archive of definitions", "split the definition");
        return false;
    }
    if (unpacked <= RG_ARCHIVE_RATIO_FREE || unpacked - RG_ARCHIVE_RATIO_FREE <= packed * RG_ARCHIVE_RATIO_MAX)
        return true;
    snprintf(got, sizeof(got), "more than %u bytes unpacked from one byte", RG_ARCHIVE_RATIO_MAX);
    rg_archive_refuse(why, name, got, "an archive of definitions", "remove padding from the definition");
    return false;
}

/* ---- zip ---- */

static void refuse_zip(struct rg_problems *why, struct rg_str member, zip_error_t *error)
{
    char got[200];
    snprintf(got, sizeof(got), "bytes that can't be unpacked (%s)", zip_error_strerror(error));
    rg_archive_refuse(why, member, got, "a whole zip archive", NULL);
}

/* NULL: refused. The archive borrows the bytes. */
static zip_t *open_zip(const void *zip, size_t len, struct rg_problems *why)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_t *archive = NULL;
    zip_source_t *source = zip_source_buffer_create(zip, len, 0, &error);
    if (source)
        archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    if (!archive) {
        zip_source_free(source);
        refuse_zip(why, RG_STR_NONE, &error);
    }
    zip_error_fini(&error);
    return archive;
}

static bool check_member_count(zip_t *archive, struct rg_problems *why)
{
    zip_int64_t n = zip_get_num_entries(archive, 0);
    char got[64];
    if (n == 1)
        return true;
    snprintf(got, sizeof(got), n == 0 ? "no members" : "%lld members", (long long)n);
    rg_archive_refuse(why, RG_STR_NONE, got, "one .yaml file", "send one definition per archive");
    return false;
}

static bool check_stat(const zip_stat_t *stat, struct rg_str name, struct rg_problems *why)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (!rg_archive_check_name(why, name))
        return false;
    if (!rg_archive_is_yaml(name)) {
        rg_archive_refuse(why, name, "a file of another kind", "one .yaml file", NULL);
        return false;
    }
    if ((stat->valid & needed) != needed) {
        rg_archive_refuse(why, name, "a member without size or method", "a whole zip archive", NULL);
        return false;
    }
    if (stat->encryption_method != ZIP_EM_NONE) {
        rg_archive_refuse(why, name, "an encrypted member", "one without a password", NULL);
        return false;
    }
    if (stat->comp_method != ZIP_CM_STORE && stat->comp_method != ZIP_CM_DEFLATE) {
        rg_archive_refuse(why, name, "an unusual compression method", "deflate, or none", NULL);
        return false;
    }
    return rg_archive_check_size(why, name, stat->size, stat->comp_size);
}

/* What the directory claims is not believed: reading one byte beyond it is an error too. */
static int read_member(zip_file_t *file, const zip_stat_t *stat, struct rg_str name, char **ret_text,
                       struct rg_problems *why)
{
    size_t size = (size_t)stat->size, used = 0;
    char extra;
    char *text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    while (used < size) {
        size_t step = size - used < READ_STEP ? size - used : READ_STEP;
        zip_int64_t n = zip_fread(file, text + used, step);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    /* the checksum is compared when the end is read */
    if (used < size || zip_fread(file, &extra, 1) != 0) {
        zip_error_t *error = zip_file_get_error(file);
        if (zip_error_code_zip(error) != ZIP_ER_OK)
            refuse_zip(why, name, error);
        else
            rg_archive_refuse(why, name, "another length than the archive claims", "a whole zip archive", NULL);
        free(text);
        return -EINVAL;
    }
    text[size] = '\0';
    *ret_text = text;
    return 0;
}

static int unzip_only_member(zip_t *archive, char **ret_text, size_t *ret_len, struct rg_problems *why)
{
    zip_stat_t stat;
    if (zip_stat_index(archive, 0, ZIP_FL_ENC_RAW, &stat) < 0) {
        refuse_zip(why, RG_STR_NONE, zip_get_error(archive));
        return -EINVAL;
    }
    struct rg_str name = stat.valid & ZIP_STAT_NAME ? rg_str_of(stat.name) : RG_STR_NONE;
    if (!check_stat(&stat, name, why))
        return -EINVAL;
    zip_file_t *file = zip_fopen_index(archive, 0, 0);
    if (!file) {
        refuse_zip(why, name, zip_get_error(archive));
        return -EINVAL;
    }
    int rc = read_member(file, &stat, name, ret_text, why);
    zip_fclose(file);
    if (rc == 0)
        *ret_len = (size_t)stat.size;
    return rc;
}

int rg_archive_unzip(const void *zip, size_t len, char **ret_text, size_t *ret_len, struct rg_problems *why)
{
    zip_t *archive = open_zip(zip, len, why);
    if (!archive)
        return -EINVAL;
    int rc = check_member_count(archive, why) ? unzip_only_member(archive, ret_text, ret_len, why) : -EINVAL;
    zip_discard(archive);
    return rc;
}
