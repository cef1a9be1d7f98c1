#include "io/scenes/stamps.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the folders of a stamp collection hold; "" = nothing that its name tells apart from the rest.  The first
   row whose folder begins the path counts; other folders give their own name. */
static const struct { const char *folder, *category; } folders[] = {
    { "animals/", "animal" }, { "plants/flowers/flower", "" }, { "plants/", "plant" }, { "food/", "food" },
    { "people/cartoon/", "" }, { "people/toys/", "" }, { "people/body_parts/", "" }, { "people/", "person" },
    { "vehicles/7spoke", "" }, { "vehicles/wheel", "" }, { "vehicles/locomotive/cartoon/trainSign", "" },
    { "vehicles/", "vehicle" }, { "clothes/button", "" }, { "clothes/", "clothing" }, { "household/", "household" }, { "sports/", "sport" },
    { "hobbies/music/", "instrument" }, { "hobbies/", "" }, { "town/houses/", "building" }, { "town/", "" },
    { "symbols/", "" }, { "seasonal/", "" }, { "medical/", "" }, { "military/", "" }, { "naturalforces/", "" },
    { "space/", "" }
};

enum { NAME_LONGEST = 18 };

static void category_of(char *category, size_t room, const char *below)
{
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (!strncmp(below, folders[i].folder, strlen(folders[i].folder))) {
            snprintf(category, room, "%s", folders[i].category);
            return;
        }
    const char *slash = strchr(below, '/');
    snprintf(category, room, "%.*s", slash ? (int)(slash - below) : 5, slash ? below : "thing");
    for (char *c = category; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

/* Scenes speak of sizes and of the background's color themselves. */
static const char *skip_words(const char *s)
{
    static const char *const skipped[] = {
        "a ", "an ", "the ", "large ", "big ", "small ", "little ", "red ", "orange ", "yellow ", "green ", "blue ",
        "purple ", "pink ", "brown ", "gray ", "white ", "black ", "silver ", "golden ", "colorful ", "toy ", "old ", "huge "
    };
    for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++)
        if (!strncmp(s, skipped[i], strlen(skipped[i])))
            return skip_words(s + strlen(skipped[i]));
    return s;
}

/* "A red hat!" -> "hat".  The number of words, 0 when it makes no short name in the singular. */
static int name_of(char *name, int room, const char *caption)
{
    char low[64];
    int  n = 0, words = 1;
    for (; *caption && !strchr(".!;:(\r\n", *caption) && n < (int)sizeof low - 1; caption++)
        low[n++] = (char)tolower((unsigned char)*caption);
    while (n > 0 && low[n - 1] == ' ')
        n--;
    low[n] = 0;
    const char *s = skip_words(low);
    n = (int)strlen(s);
    if (n < 2 || n >= room || n > NAME_LONGEST)
        return 0;
    for (int i = 0; i < n; i++) {
        if (s[i] != ' ' && !(s[i] >= 'a' && s[i] <= 'z'))
            return 0;
        words += s[i] == ' ';
    }
    const char last = s[n - 1], before = s[n - 2];
    if (words > 2 || (last == 's' && before != 's' && before != 'u' && before != 'i'))      /* glass, bus, iris */
        return 0;
    memcpy(name, s, (size_t)n + 1);
    return words;
}

static char *join(const char *a, const char *b)
{
    char *s = NULL;
    CHECK(asprintf(&s, "%s%s", a, b) >= 0, "no memory for a path");
    return s;
}

static void find_add(Stamps *f, const char *path)
{
    char caption[256] = "";
    char *text = join(path, "");
    memcpy(text + strlen(text) - 3, "txt", 3);
    FILE *file = fopen(text, "r");
    free(text);
    if (!file)
        return;
    const bool read = fgets(caption, sizeof caption, file) != NULL;
    fclose(file);
    if (!read)
        return;

    char letter;
    if (strstr(path, "/uppercase/") && sscanf(caption, "The letter %c.", &letter) == 1 && letter >= 'A' && letter <= 'Z' &&
        strlen(caption) <= strlen("The letter X.\r\n")) {
        char **slot = &f->letter[letter - 'A'];
        *slot = *slot ? *slot : join(path, "");
        return;
    }
    Stamp found = { 0 };
    category_of(found.category, sizeof found.category, path + strlen(f->folder) + 1);
    found.words = name_of(found.name, sizeof found.name, caption);
    if (!found.words || !found.category[0])
        return;
    if (f->n == f->room) {
        f->room = f->room ? 2 * f->room : 256;
        f->at = realloc(f->at, (size_t)f->room * sizeof *f->at);
        CHECK(f->at, "no memory for %d cut-outs", f->room);
    }
    found.path = join(path, "");
    f->at[f->n++] = found;
}

static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int visible(const struct dirent *d) { return d->d_name[0] != '.'; }

/* Everything below dir; false when dir is not a folder that can be read. */
static bool find_below(Stamps *f, const char *dir)
{
    struct dirent **entry;
    const int n = scandir(dir, &entry, visible, by_bytes);
    if (n < 0)
        return false;
    for (int i = 0; i < n; i++) {
        char *slash = join(dir, "/"), *path = join(slash, entry[i]->d_name);
        const size_t len = strlen(path);
        if (len > 4 && !strcmp(path + len - 4, ".png"))
            find_add(f, path);
        else if (!strchr(entry[i]->d_name, '.'))
            find_below(f, path);
        free(slash), free(path), free(entry[i]);
    }
    free(entry);
    return true;
}

void stamps_free(Stamps *f)
{
    for (int i = 0; i < f->n; i++)
        free(f->at[i].path);
    for (int l = 0; l < LETTERS; l++)
        free(f->letter[l]);
    free(f->at);
}

/* By category; within one the plainest names first. */
static int by_name(const void *a, const void *b)
{
    const Stamp *x = a, *y = b;
    const int category = strcmp(x->category, y->category);
    if (category)
        return category;
    if (x->words != y->words)
        return x->words - y->words;
    const size_t lx = strlen(x->name), ly = strlen(y->name);
    return lx != ly ? (lx < ly ? -1 : 1) : strcmp(x->path, y->path);
}

bool stamps_find(Stamps *f, const char *folder)
{
    *f = (Stamps){ .folder = folder };
    const bool ok = find_below(f, folder);
    if (f->n)
        qsort(f->at, (size_t)f->n, sizeof *f->at, by_name);
    return ok;
}
