/* Intrusive doubly linked list with a head node. Thread: that of the owner. */
#ifndef RG_BASE_LIST_H
#define RG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct rg_list {
    struct rg_list *prev, *next;
};

#define RG_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void rg_list_init(struct rg_list *head)
{
    head->prev = head->next = head;
}

static inline bool rg_list_empty(const struct rg_list *head)
{
    return head->next == head;
}

static inline void rg_list_append(struct rg_list *head, struct rg_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void rg_list_prepend(struct rg_list *head, struct rg_list *node)
{
    rg_list_append(head->next, node);
}

/* Leaves the node linked to itself, so that removing it again does nothing. */
static inline void rg_list_remove(struct rg_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    rg_list_init(node);
}

#endif
