/* Why: the tar.gz of several deployments, read from memory in one pass. See archive.h for owner and thread. */
#include "control/artifact/archive_parts.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>

#include "control/common/kinds.h"

#define BLOCK 65536u

struct batch {
    struct archive *archive;
    struct rg_problems *why;
    uint64_t packed; /* bytes of the whole archive */
    char *text;      /* of the member at hand; grows, is used again for the next */
    size_t used, room;
};

static int refuse_broken(struct batch *b, struct rg_str member)
{
    char got[256];
    const char *error = archive_error_string(b->archive);
    snprintf(got, sizeof(got), "bytes that can't be unpacked (%.150s)", error ? error : "broken");
    rg_archive_refuse(b->why, member, got, "a whole tar.gz archive", NULL);
    return -EINVAL;
}

/* Of the whole stream so far, headers and padding included: thousands of empty members are a bomb as well. */
static bool is_within_limits(struct batch *b, struct rg_str member)
{
    la_int64_t unpacked = archive_filter_bytes(b->archive, 0);
    return rg_archive_check_size(b->why, member, unpacked > 0 ? (uint64_t)unpacked : 0, b->packed);
}

static int make_room(struct batch *b, size_t n)
{
    if (b->room - b->used > n)
        return 0;
    size_t room = b->used + n + BLOCK;
    char *text = realloc(b->text, room);
    if (!text)
        return -ENOMEM;
    b->text = text;
    b->room = room;
    return 0;
}

static int read_text(struct batch *b, struct rg_str member)
{
    b->used = 0;
    for (;;) {
        int rc = make_room(b, BLOCK);
        if (rc < 0)
            return rc;
        la_ssize_t n = archive_read_data(b->archive, b->text + b->used, BLOCK);
        if (n < 0)
            return refuse_broken(b, member);
        b->used += (size_t)n;
        if (!is_within_limits(b, member))
            return -EINVAL;
        if (n == 0)
            break;
    }
    b->text[b->used] = '\0';
    return 0;
}

static bool split_at(struct rg_str text, char c, struct rg_str *before, struct rg_str *after)
{
    const char *at = memchr(text.ptr, c, text.len);
    if (!at)
        return false;
    *before = (struct rg_str){text.ptr, (size_t)(at - text.ptr)};
    *after = (struct rg_str){at + 1, text.len - before->len - 1};
    return true;
}

/* Some kinds are written with a dash themselves; of one that nobody knows, it ends at the first. */
static size_t kind_len(struct rg_str name)
{
    size_t longest = 0;
    for (int i = 0; i < RG_KINDS; i++) {
        struct rg_str file = rg_str_of(rg_kind_info((enum rg_kind)i)->file);
        bool is_it = name.len > file.len && memcmp(name.ptr, file.ptr, file.len) == 0 && name.ptr[file.len] == '-';
        longest = is_it && file.len > longest ? file.len : longest;
    }
    const char *dash = memchr(name.ptr, '-', name.len);
    return longest > 0 ? longest : dash ? (size_t)(dash - name.ptr) : 0;
}

/* "DEPLOYMENT/KIND-ARTIFACT.yaml" */
static bool split_name(struct rg_str name, struct rg_archive_member *ret)
{
    struct rg_str file;
    if (!split_at(name, '/', &ret->deployment, &file) || memchr(file.ptr, '/', file.len) || !rg_archive_is_yaml(file))
        return false;
    while (file.len > 0 && file.ptr[file.len - 1] != '.')
        file.len--;
    file.len--;
    size_t kind = kind_len(file);
    if (kind == 0 || kind + 1 >= file.len || ret->deployment.len == 0)
        return false;
    ret->kind = (struct rg_str){file.ptr, kind};
    ret->artifact = (struct rg_str){file.ptr + kind + 1, file.len - kind - 1};
    return true;
}

static int check_entry(struct batch *b, struct archive_entry *entry, struct rg_str name)
{
    if (!rg_archive_check_name(b->why, name))
        return -EINVAL;
    if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) || archive_entry_filetype(entry) != AE_IFREG) {
        rg_archive_refuse(b->why, name, "a link or a special file", "a regular file", NULL);
        return -EINVAL;
    }
    if (archive_entry_sparse_count(entry) > 0) {
        rg_archive_refuse(b->why, name, "a file with holes", "a regular file", NULL);
        return -EINVAL;
    }
    return 0;
}

static int deliver(struct batch *b, struct archive_entry *entry,
                   int (*each)(void *owner, const struct rg_archive_member *member), void *owner)
{
    const char *pathname = archive_entry_pathname(entry);
    struct rg_str name = pathname ? rg_str_of(pathname) : RG_STR("");
    struct rg_archive_member member;
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return rg_archive_check_name(b->why, name) ? 0 : -EINVAL;
    int rc = check_entry(b, entry, name);
    if (rc < 0)
        return rc;
    if (!split_name(name, &member)) {
        rg_archive_refuse(b->why, name, "a name of another form", "DEPLOYMENT/KIND-ARTIFACT.yaml", NULL);
        return -EINVAL;
    }
    rc = read_text(b, name);
    if (rc < 0)
        return rc;
    member.text = (struct rg_str){b->text, b->used};
    return each(owner, &member);
}

static int deliver_all(struct batch *b, int (*each)(void *owner, const struct rg_archive_member *member), void *owner)
{
    for (unsigned n = 0;; n++) {
        struct archive_entry *entry;
        int rc = archive_read_next_header(b->archive, &entry);
        if (rc == ARCHIVE_EOF)
            return 0;
        if (rc != ARCHIVE_OK)
            return refuse_broken(b, RG_STR_NONE);
        if (n == RG_ARCHIVE_MEMBERS_MAX) {
            rg_archive_refuse(b->why, RG_STR_NONE, "too many members", "at most 1000", "ask for fewer deployments");
            return -EINVAL;
        }
        if (!is_within_limits(b, RG_STR_NONE))
            return -EINVAL;
        rc = deliver(b, entry, each, owner);
        if (rc != 0)
            return rc;
    }
}

int rg_archive_unbatch(const void *tar_gz, size_t len, int (*each)(void *owner, const struct rg_archive_member *member),
                       void *owner, struct rg_problems *why)
{
    struct batch b = {.archive = archive_read_new(), .why = why, .packed = len};
    if (!b.archive)
        return -ENOMEM;
    archive_read_support_filter_gzip(b.archive);
    archive_read_support_format_tar(b.archive);
    int rc = archive_read_open_memory(b.archive, tar_gz, len) == ARCHIVE_OK ? deliver_all(&b, each, owner)
                                                                            : refuse_broken(&b, RG_STR_NONE);
    free(b.text);
    archive_read_free(b.archive);
    return rc;
}
