/* The table of h1_chars.h, made by the preprocessor from one definition of each class. */
#include "datapath/http/h1_chars.h"

#define IN(c, lo, hi) ((c) >= (lo) && (c) <= (hi))
#define IS_DIGIT(c)   IN(c, '0', '9')
#define IS_ALPHA(c)   (IN(c, 'a', 'z') || IN(c, 'A', 'Z'))
#define IS_ALNUM(c)   (IS_DIGIT(c) || IS_ALPHA(c))
#define IS_HEX(c)     (IS_DIGIT(c) || IN(c, 'a', 'f') || IN(c, 'A', 'F'))

#define IS_TOKEN(c)                                                                                           \
    (IS_ALNUM(c) || (c) == '!' || IN(c, '#', '\'') || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || \
     (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_VALUE(c)      ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7f))
#define IS_UNRESERVED(c) (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')

/*
 * RFC 3986, and beside it what browsers send without escaping: "[]^`{|}" anywhere, '\' in a query. A '\' in a path is
 * refused because some origins take it for '/'; a fragment is never sent.
 */
#define IS_TARGET(c) (IN(c, 0x21, 0x7e) && (c) != '"' && (c) != '#' && (c) != '<' && (c) != '>' && (c) != '%')
#define IS_QUERY(c)  IS_TARGET(c)
#define IS_PATH(c)   (IS_TARGET(c) && (c) != '\\' && (c) != '.' && (c) != '?')

#define ONE(c)                                                                              \
    (uint8_t)((IS_TOKEN(c) ? RG_CHAR_TOKEN : 0) | (IS_VALUE(c) ? RG_CHAR_VALUE : 0) |       \
              (IS_PATH(c) ? RG_CHAR_PATH : 0) | (IS_QUERY(c) ? RG_CHAR_QUERY : 0) |         \
              (IS_UNRESERVED(c) ? RG_CHAR_UNRESERVED : 0) | (IS_HEX(c) ? RG_CHAR_HEX : 0) | \
              (IS_DIGIT(c) ? RG_CHAR_DIGIT : 0))
#define FOUR(c)    ONE(c), ONE((c) + 1), ONE((c) + 2), ONE((c) + 3)
#define SIXTEEN(c) FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)
#define QUARTER(c) SIXTEEN(c), SIXTEEN((c) + 16), SIXTEEN((c) + 32), SIXTEEN((c) + 48)

const uint8_t rg_char_classes[256] = {QUARTER(0), QUARTER(64), QUARTER(128), QUARTER(192)};
