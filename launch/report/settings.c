/* settings.c -- configurations: what differs between runs, what is not the default, and all of it (page.h) */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "launch/config/value.h"
#include "launch/markup.h"
#include "launch/report/page.h"

/* config.cfg as it lies there, key by key: older and newer versions have keys that this one does not know. */
typedef struct { char *key, *value; } Setting;
typedef struct { Setting *s; int n; } Settings;

static void add(Settings *all, const char *group, const char *name, size_t n_name, const char *value, size_t n_value)
{
    Setting *s = all->s = realloc(all->s, (size_t)(all->n + 1) * sizeof *all->s);
    CHECK(s, "no memory for %d settings", all->n + 1);
    s += all->n++;
    CHECK(asprintf(&s->key, "%s%.*s", group, (int)n_name, name) >= 0 && (s->value = strndup(value, n_value)), "no memory for a setting");
}

/* "name: {", "};" and "name = value;", one a line, as config_print writes them; what is none of them is passed over. */
static Settings settings_of(const char *text)
{
    Settings all = { 0 };
    char group[512] = "";
    for (const char *line = text, *end; line && *line; line = *end ? end + 1 : end) {
        end = strchrnul(line, '\n');
        line += strspn(line, " ");
        const size_t n = (size_t)(end - line), name = strcspn(line, ":=; \n");
        if (n >= 2 && !strncmp(line, "};", 2)) {
            group[strlen(group) ? strlen(group) - 1 : 0] = 0;
            char *dot = strrchr(group, '.');
            *(dot ? dot + 1 : group) = 0;
        } else if (n >= name + 3 && !strncmp(line + name, ": {", 3) && strlen(group) + name + 2 < sizeof group) {
            snprintf(group + strlen(group), sizeof group - strlen(group), "%.*s.", (int)name, line);
        } else if (n >= name + 4 && !strncmp(line + name, " = ", 3) && end[-1] == ';') {
            add(&all, group, line, name, line + name + 3, n - name - 4);
        }
    }
    return all;
}

static void settings_free(Settings *all)
{
    for (int i = 0; i < all->n; i++) {
        free(all->s[i].key);
        free(all->s[i].value);
    }
    free(all->s);
}

static const char *find(const Settings *all, const char *key)
{
    for (int i = 0; i < all->n; i++)
        if (!strcmp(all->s[i].key, key))
            return all->s[i].value;
    return NULL;
}

/* ---- tables ---- */

static bool differs(const Page *p, const Settings *all, const char *key)
{
    const char *first = NULL;
    bool seen = false;
    for (int i = 0; i < p->runs; i++) {
        const char *value = find(&all[i], key);
        if (!all[i].n)
            continue;
        if (seen && (!first != !value || (value && strcmp(first, value))))
            return true;
        first = value;
        seen = true;
    }
    return false;
}

static void value_cell(FILE *f, const char *value)
{
    fprintf(f, "<td class=\"l value\">");
    if (value)
        markup_text(f, value);
    else
        fprintf(f, "&#8211;");
    fprintf(f, "</td>");
}

/* Keys in the order of the run that has them first. */
static void differences(const Page *p, const Settings *all)
{
    int rows = 0;
    fprintf(p->f, "<div class=\"card scroll\"><table class=\"diff\"><caption>What differs</caption><thead><tr><th class=\"l\">key</th>");
    for (int i = 0; i < p->runs; i++) {
        fprintf(p->f, "<th class=\"l\">");
        page_run(p, i);
        fprintf(p->f, "</th>");
    }
    fprintf(p->f, "</tr></thead><tbody>\n");
    for (int i = 0; i < p->runs; i++)
        for (int k = 0; k < all[i].n; k++) {
            const char *key = all[i].s[k].key;
            bool told = !differs(p, all, key);
            for (int j = 0; j < i; j++)
                told |= find(&all[j], key) != NULL;
            if (told)
                continue;
            rows++;
            fprintf(p->f, "<tr><th class=\"l key\">");
            markup_text(p->f, key);
            fprintf(p->f, "</th>");
            for (int j = 0; j < p->runs; j++)
                value_cell(p->f, find(&all[j], key));
            fprintf(p->f, "</tr>\n");
        }
    fprintf(p->f, "</tbody></table>%s</div>\n", rows ? "" : "<p class=\"note\">Nothing.</p>");
}

/* Those that this version knows, and that are not its defaults. */
static void chosen(const Page *p, const Settings *all, const Config *defaults)
{
    char text[OPTION_TEXT];
    fprintf(p->f, "<div class=\"chosen\">");
    for (int k = 0; k < all->n; k++) {
        const Option *o = option_find(all->s[k].key);
        if (o)
            option_print(o, defaults, text);
        if (o && !strcmp(text, all->s[k].value))
            continue;
        fprintf(p->f, "<div><span>");
        markup_text(p->f, all->s[k].key);
        fprintf(p->f, "</span> <b>");
        markup_text(p->f, all->s[k].value);
        fprintf(p->f, "</b></div>\n");
    }
    fprintf(p->f, "</div>");
}

static void data_sets(const Page *p, int i)
{
    const json_t *sets = json_object_get(p->run[i].data, "sets");
    size_t k;
    json_t *set;
    json_array_foreach((json_t *)sets, k, set) {
        const char *hash = json_string_value(json_object_get(set, "set"));
        fprintf(p->f, "<p class=\"facts\"><span class=\"fact\">data set <b>");
        markup_text(p->f, hash ? hash : "?");
        fprintf(p->f, "</b></span>");
        static const char *const count[] = { "samples", "images", "tokens" };
        for (size_t c = 0; c < sizeof count / sizeof *count; c++)
            if (json_is_integer(json_object_get(set, count[c])))
                fprintf(p->f, "<span class=\"fact\">%s <b>%" PRId64 "</b></span>", count[c], (int64_t)json_integer_value(json_object_get(set, count[c])));
        fprintf(p->f, "</p>\n");
    }
}

void part_config(const Page *p)
{
    static Config defaults;
    static ErrList errs;
    Settings all[REPORT_RUNS];
    bool any = false;
    config_load(&defaults, NULL, NULL, 0, &errs);
    for (int i = 0; i < p->runs; i++) {
        all[i] = settings_of(p->run[i].config);
        any |= p->run[i].config || p->run[i].data;
    }
    if (any) {
        fprintf(p->f, "<section><h2>Configuration</h2>\n");
        if (p->runs > 1)
            differences(p, all);
        for (int i = 0; i < p->runs; i++) {
            fprintf(p->f, "<div class=\"card\"><p class=\"caption\">");
            page_run(p, i);
            fprintf(p->f, " %s</p>\n", all[i].n ? "What is not the default" : "There is no config.cfg that can be read");
            chosen(p, &all[i], &defaults);
            data_sets(p, i);
            if (p->run[i].config) {
                fprintf(p->f, "<details><summary>all of config.cfg</summary><pre>");
                markup_text(p->f, p->run[i].config);
                fprintf(p->f, "</pre></details>");
            }
            fprintf(p->f, "</div>\n");
        }
        fprintf(p->f, "</section>\n");
    }
    for (int i = 0; i < p->runs; i++)
        settings_free(&all[i]);
}
