/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timestamp.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* "dddd-dd-ddTdd:dd:dd": d is a digit, T is a T or a space. */
static bool shaped(const char *p) {
    for (const char *shape = "dddd-dd-ddTdd:dd:dd"; *shape; shape++, p++) {
        bool fits = *shape == 'd' ? isdigit((unsigned char)*p) != 0 : *shape == 'T' ? *p == 'T' || *p == ' ' : *p == *shape;
        if (!fits)
            return false;
    }
    return true;
}

/* ".123", which may be missing, then "Z" or "+01:00", and no more. */
static bool tail_ok(const char *p) {
    if (*p == '.') {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0)
            return false;
        p += 1 + digits;
    }
    if (*p == 'Z')
        return p[1] == 0;
    int hours, minutes, len = 0;
    return (*p == '+' || *p == '-') && strspn(p + 1, "0123456789:") == 5 && p[6] == 0 &&
           sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &len) == 2 && len == 5 && hours < 24 && minutes < 60;
}

static int64_t zone_s(const char *p) {
    int hours, minutes;
    if ((*p == '+' || *p == '-') && (sscanf(p + 1, "%2d:%2d", &hours, &minutes) == 2 || sscanf(p + 1, "%2d%2d", &hours, &minutes) == 2))
        return (*p == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return 0;
}

bool timestamp_find(const char *line, int64_t *ret_wall_ns) {
    for (const char *p = line; (p = strpbrk(p, "0123456789")); p++) {
        if ((p > line && isdigit((unsigned char)p[-1])) || !shaped(p))
            continue;
        struct tm tm = {0};
        if (sscanf(p, "%4d-%2d-%2d%*c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
            continue;
        if (tm.tm_year < 1970 || tm.tm_year > 2200) /* what ns in 64 bits can hold, with room */
            continue;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        p += 19;
        int64_t fraction = 0, unit = 1000000000;
        if ((*p == '.' || *p == ',') && isdigit((unsigned char)p[1]))
            for (p++; isdigit((unsigned char)*p); p++)
                if (unit > 1)
                    fraction += (*p - '0') * (unit /= 10);
        *ret_wall_ns = ((int64_t)timegm(&tm) - zone_s(p)) * 1000000000 + fraction;
        return true;
    }
    return false;
}

bool timestamp_parse(const char *text, int64_t *ret_wall_ns) {
    if (!shaped(text) || text[10] != 'T' || !tail_ok(text + 19))
        return false;
    struct tm tm = {0}, same;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    same = tm;
    timegm(&same); /* a 30th of February becomes a day of March */
    bool day = same.tm_mon == tm.tm_mon && same.tm_mday == tm.tm_mday;
    bool time = same.tm_hour == tm.tm_hour && same.tm_min == tm.tm_min && same.tm_sec == tm.tm_sec;
    return day && time && timestamp_find(text, ret_wall_ns);
}

void timestamp_format(int64_t wall_ns, char out[TIMESTAMP_SIZE]) {
    const time_t at = wall_ns / 1000000000;
    struct tm tm;
    size_t len = gmtime_r(&at, &tm) ? strftime(out, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    snprintf(out + len, TIMESTAMP_SIZE - len, ".%06dZ", (int)(wall_ns % 1000000000 / 1000));
}
