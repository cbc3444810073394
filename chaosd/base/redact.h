/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Secrets' values, known once to the whole process so that no text leaves it with one: error texts, progress, log lines that are
 * quoted. What a program writes into its own log is its own. */

void redact_learn(const char *value); /* borrowed for the process's life; the empty string is ignored */
char *redact(char *text);             /* every value found becomes asterisks, in place; returns text */
