/* SPDX-License-Identifier: Apache-2.0 */
#include "base/units.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef unsigned __int128 u128;

/* mant / 10^scale; mant stays under NUMBER_LIMIT so that mant * the largest multiplier (8 * 2^40) fits 128 bits. */
struct number {
    u128 mant;
    unsigned scale;
};

enum { NUMBER_DIGITS = 24 };

struct unit {
    const char *name;
    int64_t mult; /* of the result's unit */
    int64_t div;  /* 0: 1 */
};

/* What a quantity is called and how it is written: every message is made of this. */
struct quantity {
    const char *noun;    /* "a duration" */
    const char *wanted;  /* "a number with a unit ..., such as 1m30s" */
    const char *suggest; /* appended to a number without unit; NULL: a bare number is right */
    const char *most;    /* the largest value */
    const char *finest;  /* the smallest step */
    int64_t max;
    bool round;          /* to the nearest step, where a quotient cannot be exact */
    bool any_case;
    const struct unit *units;
};

static const struct unit duration_units[] = {
    {.name = "ns", .mult = 1},
    {.name = "us", .mult = 1000},
    {.name = "\xc2\xb5s", .mult = 1000}, /* micro sign */
    {.name = "\xce\xbcs", .mult = 1000}, /* Greek mu */
    {.name = "ms", .mult = 1000000},
    {.name = "s", .mult = 1000000000},
    {.name = "m", .mult = INT64_C(60000000000)},
    {.name = "h", .mult = INT64_C(3600000000000)},
    {0},
};
static const struct unit rate_units[] = {
    {.name = "/s", .mult = 1000000},
    {.name = "/m", .mult = 1000000, .div = 60},
    {.name = "/h", .mult = 1000000, .div = 3600},
    {0},
};
static const struct unit percent_units[] = {{.name = "%", .mult = 10000}, {0}};

#define KI INT64_C(1024)
static const struct unit bandwidth_units[] = {
    {.name = "bit", .mult = 1},
    {.name = "kbit", .mult = 1000},
    {.name = "mbit", .mult = 1000000},
    {.name = "gbit", .mult = 1000000000},
    {.name = "tbit", .mult = INT64_C(1000000000000)},
    {.name = "kibit", .mult = KI},
    {.name = "mibit", .mult = KI * KI},
    {.name = "gibit", .mult = KI * KI * KI},
    {.name = "tibit", .mult = KI * KI * KI * KI},
    {.name = "bps", .mult = 8},
    {.name = "kbps", .mult = 8 * 1000},
    {.name = "mbps", .mult = 8 * 1000000},
    {.name = "gbps", .mult = 8 * INT64_C(1000000000)},
    {.name = "tbps", .mult = 8 * INT64_C(1000000000000)},
    {.name = "kibps", .mult = 8 * KI},
    {.name = "mibps", .mult = 8 * KI * KI},
    {.name = "gibps", .mult = 8 * KI * KI * KI},
    {.name = "tibps", .mult = 8 * KI * KI * KI * KI},
    {0},
};
static const struct unit byte_units[] = {
    {.name = "", .mult = 1},
    {.name = "B", .mult = 1},
    {.name = "KB", .mult = 1000},
    {.name = "kB", .mult = 1000},
    {.name = "MB", .mult = 1000000},
    {.name = "GB", .mult = 1000000000},
    {.name = "TB", .mult = INT64_C(1000000000000)},
    {.name = "Ki", .mult = KI},
    {.name = "Mi", .mult = KI * KI},
    {.name = "Gi", .mult = KI * KI * KI},
    {.name = "Ti", .mult = KI * KI * KI * KI},
    {.name = "KiB", .mult = KI},
    {.name = "MiB", .mult = KI * KI},
    {.name = "GiB", .mult = KI * KI * KI},
    {.name = "TiB", .mult = KI * KI * KI * KI},
    {0},
};

static const struct quantity duration = {
    .noun = "a duration",
    .wanted = "numbers with units (ns, us, ms, s, m, h), such as 1m30s or 250ms",
    .suggest = "s",
    .most = "10 years (87600h)",
    .finest = "1ns",
    .max = INT64_C(87600) * 3600 * 1000000000,
    .units = duration_units,
};
static const struct quantity rate = {
    .noun = "a rate",
    .wanted = "a number a second, minute or hour, such as 200/s, 12000/m or 3/h",
    .suggest = "/s",
    .most = "9223372036854/s",
    .finest = "0.000001/s",
    .max = INT64_MAX,
    .round = true,
    .units = rate_units,
};
static const struct quantity percent = {
    .noun = "a percentage",
    .wanted = "a number with %, such as 5% or 99.9%",
    .suggest = "%",
    .most = "100%",
    .finest = "0.0001%",
    .max = 1000000,
    .units = percent_units,
};
static const struct quantity bandwidth = {
    .noun = "a bandwidth",
    .wanted = "a number with a unit as tc writes it (kbit, mbit, gbit for bits, kbps, mbps for bytes), such as 10mbit",
    .suggest = "bit",
    .most = "9223372 tbit",
    .finest = "1bit",
    .max = INT64_MAX,
    .any_case = true,
    .units = bandwidth_units,
};
static const struct quantity bytes = {
    .noun = "a number of bytes",
    .wanted = "a number, with a unit (KiB, MiB, GiB, KB, MB, GB) or without, such as 64KiB",
    .most = "8388607 TiB",
    .finest = "1 byte",
    .max = INT64_MAX,
    .units = byte_units,
};

const char *text_clip(const char *s, char out[CLIP_SIZE]) {
    size_t len = strlen(s);
    if (len < CLIP_SIZE) {
        memcpy(out, s, len + 1);
        return out;
    }
    size_t n = CLIP_SIZE - sizeof "...";
    while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    memcpy(out, s, n);
    memcpy(out + n, "...", sizeof "...");
    return out;
}

/* Digits with at most one point between digits; moves *s behind them. -EINVAL: none here, -ERANGE: too many. */
static int scan_number(const char **s, struct number *ret) {
    struct number n = {0};
    unsigned digits = 0;
    bool point = false;
    const char *p = *s;
    for (;; p++) {
        if (*p == '.' && !point && p > *s && isdigit((unsigned char)p[1])) {
            point = true;
            continue;
        }
        if (!isdigit((unsigned char)*p))
            break;
        if (n.mant && ++digits > NUMBER_DIGITS)
            return -ERANGE;
        n.mant = n.mant * 10 + (unsigned)(*p - '0');
        if (point && ++n.scale > NUMBER_DIGITS)
            return -EDOM;
    }
    if (p == *s)
        return -EINVAL;
    *s = p;
    *ret = n;
    return 0;
}

/* The unit that the text begins with and that ends where the unit's letters end; NULL: none. */
static const struct unit *scan_unit(const char **s, const struct quantity *q) {
    size_t len = 0;
    while ((*s)[len] && !isdigit((unsigned char)(*s)[len]) && (*s)[len] != '.')
        len++;
    for (const struct unit *u = q->units; u->name; u++) {
        if (strlen(u->name) == len && (q->any_case ? strncasecmp(u->name, *s, len) : strncmp(u->name, *s, len)) == 0) {
            *s += len;
            return u;
        }
    }
    return NULL;
}

static int scale_number(const struct number *n, const struct unit *u, const struct quantity *q, int64_t *ret) {
    u128 div = u->div ? (u128)u->div : 1;
    for (unsigned i = 0; i < n->scale; i++)
        div *= 10;
    u128 v = n->mant * (u128)u->mult;
    u128 whole = v / div, rest = v % div;
    if (rest && !q->round)
        return -EDOM;
    if (rest * 2 >= div)
        whole++;
    if (n->mant && !whole)
        return -EDOM;
    if (whole > (u128)q->max)
        return -ERANGE;
    *ret = (int64_t)whole;
    return 0;
}

static int fail(const struct quantity *q, const char *s, int rc, struct error *err) {
    char clip[CLIP_SIZE];
    text_clip(s, clip);
    struct number n;
    const char *end = s;
    if (rc == -ERANGE)
        return error_set(err, rc, "\"%s\" is too large for %s: at most %s", clip, q->noun, q->most);
    if (rc == -EDOM)
        return error_set(err, -EINVAL, "\"%s\" is too fine for %s: the smallest step is %s", clip, q->noun, q->finest);
    if (!*s)
        return error_set(err, -EINVAL, "an empty text is not %s: expected %s", q->noun, q->wanted);
    if (*s == '-')
        return error_set(err, -EINVAL, "\"%s\" is not %s: it cannot be negative", clip, q->noun);
    if (q->suggest && scan_number(&end, &n) == 0 && !*end)
        return error_set(err, -EINVAL, "\"%s\" is not %s, its unit is missing: say \"%s%s\"", clip, q->noun, clip, q->suggest);
    return error_set(err, -EINVAL, "\"%s\" is not %s: expected %s", clip, q->noun, q->wanted);
}

static int parse_quantity(const struct quantity *q, const char *s, int64_t *ret, struct error *err) {
    struct number n;
    const char *p = s;
    int64_t v;
    int rc = scan_number(&p, &n);
    if (rc < 0)
        return fail(q, s, rc, err);
    const struct unit *u = scan_unit(&p, q);
    if (!u || *p)
        return fail(q, s, -EINVAL, err);
    rc = scale_number(&n, u, q, &v);
    if (rc < 0)
        return fail(q, s, rc, err);
    *ret = v;
    return 0;
}

int parse_duration(const char *s, int64_t *ret_ns, struct error *err) {
    int64_t sum = 0;
    const char *p = s;
    if (strcmp(s, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    do {
        struct number n;
        int64_t v;
        int rc = scan_number(&p, &n);
        if (rc < 0)
            return fail(&duration, s, rc, err);
        const struct unit *u = scan_unit(&p, &duration);
        if (!u)
            return fail(&duration, s, -EINVAL, err);
        rc = scale_number(&n, u, &duration, &v);
        if (rc < 0)
            return fail(&duration, s, rc, err);
        sum += v; /* both are at most 10 years: no overflow */
        if (sum > duration.max)
            return fail(&duration, s, -ERANGE, err);
    } while (*p);
    *ret_ns = sum;
    return 0;
}

int parse_rate(const char *s, int64_t *ret_micro_per_s, struct error *err) {
    return parse_quantity(&rate, s, ret_micro_per_s, err);
}

int parse_percent(const char *s, int64_t *ret_ppm, struct error *err) {
    return parse_quantity(&percent, s, ret_ppm, err);
}

int parse_bandwidth(const char *s, int64_t *ret_bits_per_s, struct error *err) {
    return parse_quantity(&bandwidth, s, ret_bits_per_s, err);
}

int parse_bytes(const char *s, int64_t *ret_bytes, struct error *err) {
    return parse_quantity(&bytes, s, ret_bytes, err);
}

int parse_int(const char *s, int64_t *ret, struct error *err) {
    char clip[CLIP_SIZE], *end;
    const char *digits = s + (*s == '-');
    if (!isdigit((unsigned char)*digits))
        return error_set(err, -EINVAL, "\"%s\" is not a whole number", text_clip(s, clip));
    errno = 0;
    intmax_t v = strtoimax(s, &end, 10);
    if (*end)
        return error_set(err, -EINVAL, "\"%s\" is not a whole number", text_clip(s, clip));
    if (errno == ERANGE || v > INT64_MAX || v < INT64_MIN)
        return error_set(err, -ERANGE, "\"%s\" is too large for a whole number", text_clip(s, clip));
    *ret = v;
    return 0;
}

/* whole.fraction without trailing zeros, the fraction being rest / unit and unit a power of ten. */
static size_t put_decimal(char *out, size_t size, uint64_t v, uint64_t unit, const char *suffix) {
    char frac[24] = "";
    uint64_t rest = v % unit;
    if (rest) {
        int width = 0;
        for (uint64_t u = unit; u > 1; u /= 10)
            width++;
        int n = snprintf(frac, sizeof frac, ".%0*" PRIu64, width, rest);
        while (frac[n - 1] == '0')
            frac[--n] = '\0';
    }
    int n = snprintf(out, size, "%" PRIu64 "%s%s", v / unit, frac, suffix);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

void format_duration(int64_t ns, char *out, size_t size) {
    static const struct {
        uint64_t unit;
        const char *suffix;
    } small[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "us"}, {1, "ns"}};
    char text[64];
    size_t n = 0;
    uint64_t v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    const uint64_t minute = UINT64_C(60000000000), hour = 60 * minute;
    if (ns < 0)
        text[n++] = '-';
    if (v >= hour)
        n += put_decimal(text + n, sizeof text - n, v / hour, 1, "h");
    v %= hour;
    if (v >= minute)
        n += put_decimal(text + n, sizeof text - n, v / minute, 1, "m");
    v %= minute;
    for (size_t i = 0; v && i < ARRAY_SIZE(small); i++) {
        if (v >= small[i].unit) {
            n += put_decimal(text + n, sizeof text - n, v, small[i].unit, small[i].suffix);
            break;
        }
    }
    snprintf(out, size, "%s", ns == 0 ? "0" : text);
}

enum { WORD_MAX = 64 };

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment distance (Damerau-Levenshtein with adjacent swaps), letters' case aside. */
static size_t edit_distance(const char *a, size_t la, const char *b, size_t lb) {
    size_t rows[3][WORD_MAX + 1];
    size_t *two = rows[0], *one = rows[1], *cur = rows[2];
    for (size_t j = 0; j <= lb; j++)
        one[j] = j;
    for (size_t i = 1; i <= la; i++) {
        cur[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t d = min_size(min_size(one[j], cur[j - 1]) + 1, one[j - 1] + !same_letter(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
                d = min_size(d, two[j - 2] + 1);
            cur[j] = d;
        }
        size_t *t = two;
        two = one;
        one = cur;
        cur = t;
    }
    return one[lb];
}

const char *did_you_mean(const char *word, const char *const *names) {
    size_t len = strlen(word), best = WORD_MAX;
    const char *found = NULL;
    if (len == 0 || len > WORD_MAX)
        return NULL;
    for (; *names; names++) {
        size_t nl = strlen(*names);
        if (nl == 0 || nl > WORD_MAX)
            continue;
        size_t d = edit_distance(word, len, *names, nl);
        size_t most = len / 3 > 1 ? len / 3 : 1;
        if (d <= most && d < len && d < best) {
            best = d;
            found = *names;
        }
    }
    return found;
}
