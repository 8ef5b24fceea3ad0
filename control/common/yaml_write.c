/*
 * Why: libyaml's emitter decides how a string may be written, but not whether a plain one would be taken for a number,
 * a date or a truth value; that is decided here. Thread: any.
 */
#include "control/common/yaml_write.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "datapath/base/ascii.h"

#define DEPTH_MAX 512 /* of values that programs make; deeper ones are refused like a lack of memory */

/* YAML 1.1 reads these as truth values or as nothing. */
static bool is_word_with_a_meaning(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* Numbers and dates begin with a digit, a sign or a dot; merge keys and the like with a sign: never plain. */
static bool is_plainly_text(const char *text)
{
    char first = text[0];
    return (rg_is_letter(first) || first == '/' || first == '_') && !is_word_with_a_meaning(text);
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len, bool plain, yaml_scalar_style_t style)
{
    yaml_event_t event;
    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)len, plain, 1, style) &&
           yaml_emitter_emit(emitter, &event);
}

static bool emit_string(yaml_emitter_t *emitter, const char *text, size_t len)
{
    bool is_text = is_plainly_text(text);
    yaml_scalar_style_t style = memchr(text, '\n', len) ? YAML_LITERAL_SCALAR_STYLE
                                : is_text               ? YAML_PLAIN_SCALAR_STYLE
                                                        : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    return emit_scalar(emitter, text, len, is_text, style);
}

static bool emit_number(yaml_emitter_t *emitter, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    bool ok = text && emit_scalar(emitter, text, strlen(text), true, YAML_PLAIN_SCALAR_STYLE);
    free(text);
    return ok;
}

static bool emit(yaml_emitter_t *emitter, const json_t *value, unsigned depth);

static bool emit_object(yaml_emitter_t *emitter, const json_t *object, unsigned depth)
{
    json_t *members = (json_t *)(uintptr_t)object; /* iterating changes nothing */
    yaml_event_t event;
    if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
        !yaml_emitter_emit(emitter, &event))
        return false;
    for (void *i = json_object_iter(members); i; i = json_object_iter_next(members, i)) {
        const char *key = json_object_iter_key(i);
        if (!emit_string(emitter, key, strlen(key)) || !emit(emitter, json_object_iter_value(i), depth + 1))
            return false;
    }
    return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *array, unsigned depth)
{
    yaml_event_t event;
    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) ||
        !yaml_emitter_emit(emitter, &event))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!emit(emitter, json_array_get(array, i), depth + 1))
            return false;
    return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static bool emit(yaml_emitter_t *emitter, const json_t *value, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return emit_object(emitter, value, depth);
    case JSON_ARRAY:
        return emit_array(emitter, value, depth);
    case JSON_STRING:
        return emit_string(emitter, json_string_value(value), json_string_length(value));
    case JSON_TRUE:
        return emit_scalar(emitter, "true", 4, true, YAML_PLAIN_SCALAR_STYLE);
    case JSON_FALSE:
        return emit_scalar(emitter, "false", 5, true, YAML_PLAIN_SCALAR_STYLE);
    case JSON_NULL:
        return emit_scalar(emitter, "null", 4, true, YAML_PLAIN_SCALAR_STYLE);
    default:
        return emit_number(emitter, value);
    }
}

static bool emit_document(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;
    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(emitter, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) && yaml_emitter_emit(emitter, &event) &&
           emit(emitter, value, 0) && yaml_document_end_event_initialize(&event, 1) &&
           yaml_emitter_emit(emitter, &event) && yaml_stream_end_event_initialize(&event) &&
           yaml_emitter_emit(emitter, &event) && yaml_emitter_flush(emitter);
}

static int append(void *to, unsigned char *bytes, size_t n)
{
    return fwrite(bytes, 1, n, to) == n;
}

int rg_yaml_write(const json_t *value, char **ret, size_t *ret_len)
{
    char *text = NULL;
    size_t len = 0;
    yaml_emitter_t emitter;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -ENOMEM;
    bool ok = yaml_emitter_initialize(&emitter);
    if (ok) {
        yaml_emitter_set_output(&emitter, append, out);
        yaml_emitter_set_unicode(&emitter, 1);
        yaml_emitter_set_width(&emitter, -1);
        ok = emit_document(&emitter, value);
        yaml_emitter_delete(&emitter);
    }
    ok = fclose(out) == 0 && ok;
    if (!ok) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    *ret_len = len;
    return 0;
}
