/*
 * control.url: where the control plane is. http and ws, https and wss mean the same place: there are requests and a
 * WebSocket to it. Pure. Thread: any.
 */
#ifndef RG_OPTIONS_CONTROL_URL_H
#define RG_OPTIONS_CONTROL_URL_H

#include "datapath/base/str.h"

#define RG_CONTROL_URL_WANTED \
    "a URL like wss://platform.example:9243 (wss, https, ws or http; no user, query or fragment)"

struct rg_control_url { /* views into the text */
    bool tls;
    bool loopback;      /* 127.0.0.0/8, [::1] or localhost */
    struct rg_str host; /* with its port, if one was given */
    struct rg_str path; /* "" or "/x", without a slash at the end */
};

bool rg_control_url_parse(struct rg_str text, struct rg_control_url *ret);

#endif
