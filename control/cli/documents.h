/*
 * Files for `rgctl apply`: YAML with one or several documents, directories of such files, standard input. Each document
 * becomes a JSON value and keeps its place, so that whatever is wrong with it, here or on the gateway, is shown as
 * file:line:col.
 *
 * Owner: the list owns its documents. Thread: one.
 */
#ifndef RG_CLI_DOCUMENTS_H
#define RG_CLI_DOCUMENTS_H

#include "control/cli/kinds.h"
#include "control/common/yaml_json.h"

#define RG_DOCUMENTS_MAX      10000u
#define RG_DOCUMENT_FILE_MAX  (64u * 1024 * 1024)
#define RG_DOCUMENT_BYTES_MAX (16u * 1024 * 1024)

struct rg_document {
    const struct rg_cli_kind *kind;
    const char *name; /* of the thing it describes; a view into yaml */
    char *file;       /* as the operator wrote it, "standard input" for - */
    uint32_t line;    /* of the file, before the document's first */
    char *text;       /* a view into the file's text is not enough: it is gone by then */
    size_t len;
    struct rg_yaml_json yaml;
    struct rg_conf_tree **places; /* what it points to is made when the first place is asked for */
};

struct rg_documents {
    struct rg_document *list;
    unsigned n, room;
};

void rg_documents_init(struct rg_documents *documents);
void rg_documents_fini(struct rg_documents *documents);

/* A file, a directory (its *.yaml and *.yml in the order of their names) or "-". false: all that is wrong was
 * complained of; what could be read is there. */
bool rg_documents_read(struct rg_documents *documents, const char *path);

/*
 * "file:line:col" of a field ("spec.operations[1].path"), or of the nearest one around it that is in the document.
 * buf: any length; cut when too short.
 */
void rg_document_place(const struct rg_document *document, const char *path, char *buf, size_t len);

/* `file:line:col: path: got X, wanted Y; remedy` on standard error. */
void rg_document_complain(const struct rg_document *document, const char *path, const char *got, const char *wanted,
                          const char *remedy);

#endif
