/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign input: the first byte says the format, the rest is what a tool printed or wrote. */
#include "fuzz.h"
#include "history/event.h"
#include "load/external.h"

static void hold(bool truth) {
    if (!truth)
        abort();
}

/* What every sample promises, whatever it was made of. */
static void check_sample(const struct external_sample *s, void *arg) {
    (void)arg;
    hold(s->start_ns <= s->end_ns && s->reason < REASON_COUNT && memchr(s->target, 0, sizeof s->target));
    hold(s->good == (s->reason == REASON_NONE));
}

static void check_unreadable(size_t nth, const char *why, void *arg) {
    (void)arg;
    hold(nth > 0 && *why);
}

static void check_sla(const struct external_sla *s, void *arg) {
    (void)arg;
    hold(s->scenario && s->detail && *s->criterion);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char formats[] = {'j', 'h', 'k', 'r'};
    if (!size)
        return 0;
    const char *at = memchr(formats, data[0], sizeof formats);
    enum external_format f = (enum external_format)(EXTERNAL_JSONL + (at ? (size_t)(at - formats) : data[0] % sizeof formats));
    const char *text = (const char *)data + 1, *end = text + size - 1;
    char why[EXTERNAL_WHY] = "";
    if (f == EXTERNAL_RALLY) {
        const struct external_report r = {check_sample, check_unreadable, check_sla, NULL};
        if (!external_rally(text, (size_t)(end - text), &r, why))
            hold(*why);
        return 0;
    }
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((stop ? stop : end) - text);
        struct external_sample s;
        enum external_word word = external_line(f, text, len, &s, why);
        if (word == EXTERNAL_SAMPLE)
            check_sample(&s, NULL);
        else if (word == EXTERNAL_UNREADABLE)
            hold(memchr(why, 0, sizeof why) && *why);
        text += len + 1;
    }
    return 0;
}
