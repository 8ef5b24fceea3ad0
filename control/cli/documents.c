/*
 * Why: several documents in a file are cut apart here, where YAML says that they end, because each is read alone and
 * within limits (yaml_json.h). Line numbers are moved back to those of the file. See documents.h.
 */
#include "control/cli/documents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/document_shape.h"
#include "control/common/conf_tree.h"
#include "control/common/file.h"

void rg_documents_init(struct rg_documents *documents)
{
    *documents = (struct rg_documents){0};
}

static void fini_document(struct rg_document *d)
{
    rg_yaml_json_fini(&d->yaml);
    if (d->places)
        rg_conf_tree_destroy(*d->places);
    free(d->places);
    free(d->file);
    free(d->text);
}

void rg_documents_fini(struct rg_documents *documents)
{
    for (unsigned i = 0; i < documents->n; i++)
        fini_document(&documents->list[i]);
    free(documents->list);
    rg_documents_init(documents);
}

/* ---- places ---- */

static void print_problems(const struct rg_document *d, struct rg_problems *problems)
{
    for (uint32_t i = 0; i < problems->errors.count; i++)
        problems->errors.list[i].mark.line += problems->errors.list[i].mark.line > 0 ? d->line : 0;
    rg_report_file(d->file, &problems->errors);
}

/* One component less: "a.b[1].c" to "a.b[1]" to "a.b" to "a" to "". */
static void shorten(char *path)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] != '.' && path[n - 1] != '[')
        n--;
    path[n > 0 ? n - 1 : 0] = '\0';
}

/* Where each node stands, which a JSON value does not know. NULL: no memory. */
static const struct rg_conf_tree *places_of(const struct rg_document *d)
{
    static const struct rg_conf_tree_limits limits = {RG_DOCUMENT_BYTES_MAX, RG_YAML_NODES_MAX};
    struct rg_conf_errors errors;
    if (!*d->places) {
        rg_conf_errors_init(&errors);
        rg_conf_tree_create(d->places, d->text, d->len, &limits, &errors);
        rg_conf_errors_fini(&errors);
    }
    return *d->places;
}

/* The tree refuses more than values do (anchors): then the document's beginning has to do. */
static struct rg_conf_mark mark_of(const struct rg_document *d, const char *path)
{
    struct rg_conf_mark mark = {0, 0};
    const struct rg_conf_tree *tree = places_of(d);
    char shorter[RG_PROBLEM_PATH_MAX];
    snprintf(shorter, sizeof(shorter), "%s", path);
    if (tree) {
        const struct rg_conf_node *node = NULL;
        while (shorter[0] && !(node = rg_conf_tree_find(tree, shorter)))
            shorten(shorter);
        node = node ? node : rg_conf_tree_root(tree);
        if (node)
            mark = node->key_mark.line > 0 ? node->key_mark : node->mark;
    }
    if (mark.line == 0)
        mark = (struct rg_conf_mark){1, 1};
    mark.line += d->line;
    return mark;
}

void rg_document_place(const struct rg_document *document, const char *path, char *buf, size_t len)
{
    struct rg_conf_mark mark = mark_of(document, path);
    snprintf(buf, len, "%s:%u:%u", document->file, mark.line, mark.col);
}

void rg_document_complain(const struct rg_document *document, const char *path, const char *got, const char *wanted,
                          const char *remedy)
{
    struct rg_conf_errors errors;
    rg_conf_errors_init(&errors);
    rg_conf_errors_add(&errors, mark_of(document, path), path, got, wanted, remedy);
    rg_report_file(document->file, &errors);
    rg_conf_errors_fini(&errors);
}

/* ---- documents of a text ---- */

static bool is_marker(const char *line, size_t len, const char *marker)
{
    return len >= 3 && memcmp(line, marker, 3) == 0 && (len == 3 || strchr(" \t\r", line[3]));
}

/* Blank lines and comments alone are no document. */
static bool is_empty(const char *text, size_t len)
{
    bool in_comment = false, at_start = true;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            in_comment = false;
            at_start = true;
        } else if (at_start && is_marker(text + i, strcspn(text + i, "\n"), "---")) {
            i += 2;
            at_start = false;
        } else if (text[i] == '#') {
            in_comment = true;
        } else if (!in_comment && !strchr(" \t\r", text[i])) {
            return false;
        }
    }
    return true;
}

static bool append(struct rg_documents *all, const struct rg_document *d)
{
    if (all->n == all->room) {
        unsigned room = all->room ? 2 * all->room : 16;
        struct rg_document *list = realloc(all->list, room * sizeof(*list));
        if (!list)
            return false;
        all->list = list;
        all->room = room;
    }
    all->list[all->n++] = *d;
    return true;
}

static bool is_new(const struct rg_documents *all, const struct rg_document *d)
{
    char first[600], got[RG_CLI_NAME_MAX + 700];
    for (unsigned i = 0; i < all->n; i++) {
        const struct rg_document *other = &all->list[i];
        if (other->kind != d->kind || strcmp(other->name, d->name) != 0)
            continue;
        rg_document_place(other, "", first, sizeof(first));
        snprintf(got, sizeof(got), "%s/%.*s again, first at %s", d->kind->name, (int)RG_CLI_NAME_MAX, d->name, first);
        rg_document_complain(d, "", got, "each thing described once", NULL);
        return false;
    }
    return true;
}

static bool take_document(struct rg_documents *all, const char *file, const char *text, size_t len, uint32_t line)
{
    struct rg_document d = {.file = strdup(file),
                            .text = strndup(text, len),
                            .len = len,
                            .line = line,
                            .places = calloc(1, sizeof(*d.places))};
    struct rg_problems problems;
    int r = d.file && d.text && d.places ? 0 : -ENOMEM;
    rg_problems_init(&problems);
    if (r == 0)
        r = rg_yaml_json((struct rg_str){d.text, d.len}, RG_DOCUMENT_BYTES_MAX, &d.yaml, &problems);
    if (r == -EINVAL)
        print_problems(&d, &problems);
    rg_problems_fini(&problems);
    if (r == 0 && (!rg_document_shape(&d) || !is_new(all, &d)))
        r = -EINVAL;
    if (r == 0 && all->n == RG_DOCUMENTS_MAX) {
        rg_cli_complain("%s: got more than %u documents in all, wanted fewer at a time", file, RG_DOCUMENTS_MAX);
        r = -EINVAL;
    }
    if (r == 0 && !append(all, &d))
        r = -ENOMEM;
    if (r == -ENOMEM)
        rg_cli_complain("%s: no memory", file);
    if (r < 0)
        fini_document(&d);
    return r == 0;
}

/* A document ends before a line that begins with "---", and after one that begins with "...". */
static bool take_text(struct rg_documents *all, const char *file, const char *text, size_t len)
{
    size_t start = 0, next;
    uint32_t start_line = 0, line = 0;
    bool ok = true, any = false;
    for (size_t at = 0;; at = next, line++) {
        size_t n = strcspn(text + at, "\n");
        bool is_last = at >= len, ends = !is_last && is_marker(text + at, n, "...");
        bool begins = !is_last && is_marker(text + at, n, "---");
        next = at + n + 1 < len ? at + n + 1 : len;
        if (!is_last && !ends && !(begins && at > start))
            continue;
        if (!is_empty(text + start, at - start)) {
            ok = take_document(all, file, text + start, at - start, start_line) && ok;
            any = true;
        }
        start = ends ? next : at;
        start_line = ends ? line + 1 : line;
        if (is_last)
            break;
    }
    if (!any)
        rg_cli_complain("%s: got no document, wanted at least one with a kind, such as RestApi", file);
    return any && ok;
}

/* ---- files ---- */

static bool read_open_file(struct rg_documents *all, const char *name, int fd)
{
    char *text = NULL;
    size_t len = 0;
    int r = rg_file_read_all(fd, RG_DOCUMENT_FILE_MAX, &text, &len);
    if (r < 0) {
        rg_cli_complain("can't read %s: %s", name, strerror(-r));
        return false;
    }
    bool ok = !memchr(text, '\0', len);
    if (!ok)
        rg_cli_complain("%s: got a NUL character, wanted text", name);
    else
        ok = take_text(all, name, text, len);
    free(text);
    return ok;
}

static bool read_file(struct rg_documents *all, const char *path)
{
    int fd = rg_file_open(AT_FDCWD, path, 0, RG_FILE_ANY);
    if (fd < 0) {
        rg_cli_complain("can't read %s: %s", path, strerror(-fd));
        return false;
    }
    bool ok = read_open_file(all, path, fd);
    close(fd);
    return ok;
}

static int is_yaml(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static bool read_directory(struct rg_documents *all, const char *path)
{
    struct dirent **entries = NULL;
    char *file;
    bool ok = true;
    int n = scandir(path, &entries, is_yaml, alphasort);
    if (n < 0) {
        rg_cli_complain("can't read %s: %s", path, strerror(errno));
        return false;
    }
    if (n == 0) {
        rg_cli_complain("%s: got no *.yaml or *.yml in this directory, wanted at least one", path);
        ok = false;
    }
    for (int i = 0; i < n; i++) {
        size_t len = strlen(path);
        if (asprintf(&file, "%s%s%s", path, len > 0 && path[len - 1] == '/' ? "" : "/", entries[i]->d_name) >= 0) {
            ok = read_file(all, file) && ok;
            free(file);
        } else {
            ok = false;
        }
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool rg_documents_read(struct rg_documents *documents, const char *path)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return read_open_file(documents, "standard input", STDIN_FILENO);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return read_directory(documents, path);
    return read_file(documents, path);
}
