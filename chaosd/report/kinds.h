/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rows of table.c, one a file. */
#include "report/report.h"

extern const struct report_kind report_text, report_json, report_junit, report_html, report_markdown;
