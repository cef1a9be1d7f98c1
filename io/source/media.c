#include "io/source/media.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

typedef enum { NOTHING, PICTURE, ADDRESS, BYTES, VIDEO, SOUND, PERHAPS } Kind;

static const struct { const char *key; Kind kind; } table[] = {
    { "image", PICTURE },       { "images", PICTURE },       { "image_path", PICTURE },     { "image_paths", PICTURE },
    { "image_file", PICTURE },  { "image_files", PICTURE },  { "image_name", PICTURE },     { "image_names", PICTURE },
    { "image_list", PICTURE },  { "image_filename", PICTURE }, { "image_file_name", PICTURE }, { "img", PICTURE },
    { "imgs", PICTURE },        { "img_path", PICTURE },     { "img_paths", PICTURE },      { "picture", PICTURE },
    { "pictures", PICTURE },    { "picture_path", PICTURE }, { "photo", PICTURE },          { "photos", PICTURE },
    { "file_name", PICTURE },   { "file_names", PICTURE },   { "filename", PICTURE },       { "image_url", ADDRESS },
    { "image_urls", ADDRESS },  { "img_url", ADDRESS },      { "image_base64", BYTES },     { "image_base64_str", BYTES },
    { "image_bytes", BYTES },   { "image_data", BYTES },     { "video", VIDEO },            { "videos", VIDEO },
    { "video_path", VIDEO },    { "video_paths", VIDEO },    { "video_file", VIDEO },       { "video_files", VIDEO },
    { "video_url", VIDEO },     { "video_urls", VIDEO },     { "frames", VIDEO },           { "video_frames", VIDEO },
    { "audio", SOUND },         { "audios", SOUND },         { "audio_path", SOUND },       { "audio_paths", SOUND },
    { "audio_file", SOUND },    { "audio_files", SOUND },    { "audio_url", SOUND },        { "audio_urls", SOUND },
    { "input_audio", SOUND },   { "sound", SOUND },          { "sounds", SOUND },           { "speech", SOUND },
};
static const char *const words[] = { "image", "img", "picture", "photo", "frame", "video", "audio", "sound", "speech" };
static const char *const endings[] = { ".jpg", ".jpeg", ".png",  ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".jp2", ".avif", ".heic",
                                       ".mp4", ".mov",  ".webm", ".mkv",  ".avi", ".mp3", ".wav", ".flac", ".ogg", ".m4a" };
#define COUNT(x) ((int)(sizeof(x) / sizeof *(x)))

static Kind kind_of(const char *key, int64_t n)
{
    char low[64];
    for (int k = 0; k < COUNT(table); k++)
        if ((int64_t)strlen(table[k].key) == n && !strncasecmp(table[k].key, key, (size_t)n))
            return table[k].kind;
    snprintf(low, sizeof low, "%.*s", (int)min64(n, (int64_t)sizeof low - 1), key);
    for (int k = 0; k < COUNT(words); k++)
        if (strcasestr(low, words[k]))
            return PERHAPS;
    return NOTHING;
}

bool media_key(const char *key, int64_t n) { return kind_of(key, n) != NOTHING; }

/* Does it look like a file's name, or is one among what it holds? */
static bool looks_like_file(const json_t *j, int depth)
{
    size_t i;
    const char *key;
    json_t *x;
    if (json_is_string(j)) {
        const char *s = json_string_value(j);
        const size_t n = strlen(s);
        for (int k = 0; k < COUNT(endings); k++)
            if (n > strlen(endings[k]) && !strcasecmp(s + n - strlen(endings[k]), endings[k]))
                return true;
        return !strncmp(s, "data:", 5);
    }
    if (depth > 2)
        return false;
    json_array_foreach(j, i, x)
        if (looks_like_file(x, depth + 1))
            return true;
    json_object_foreach((json_t *)j, key, x)
        if (looks_like_file(x, depth + 1))
            return true;
    return false;
}

static bool refuse(Kind kind, const char *key, const json_t *value, Err *e)
{
    static const char *const says[] = { [BYTES] = "a picture written into the record", [VIDEO] = "a video", [SOUND] = "a sound" };
    if (kind == PERHAPS && !looks_like_file(value, 0))
        return true;
    if (json_is_string(value))
        err_got(e, "%.200s", json_string_value(value));
    if (kind == PERHAPS)
        return err_set(e, EXIT_DATA, "", "pictures are read from \"image\" or \"images\"",
                       "\"%.80s\" looks like the name of a picture or another medium, but is no key that asvr reads", key);
    return err_set(e, EXIT_DATA, "", kind == BYTES ? "write it to a file" : "", "\"%.80s\" names %s, which asvr does not read", key, says[kind]);
}

bool media_add(Media *m, const json_t *j, Err *e)
{
    const int n = json_is_array(j) ? (int)min64((int64_t)json_array_size(j), INT32_MAX) : 1;
    if (n > MEDIA_PICTURES - m->n) {
        err_got(e, "%d", m->n + n);
        return err_set(e, EXIT_DATA, "", "", "more than %d pictures", MEDIA_PICTURES);
    }
    for (int i = 0; i < n; i++, m->n++)
        if (!picture_read(&m->ref[m->n], m->root, json_is_array(j) ? json_array_get(j, (size_t)i) : j, m->kept, e))
            return false;
    return true;
}

static bool same(const Media *a, const Media *b)
{
    for (int i = 0; i < a->n && i < b->n; i++)
        if (!picture_same(&a->ref[i], &b->ref[i]))
            return false;
    return a->n == b->n;
}

static bool is_address(const json_t *j)
{
    const char *s = json_string_value(json_is_array(j) ? json_array_get(j, 0) : j);
    return s && (!strncasecmp(s, "http://", 7) || !strncasecmp(s, "https://", 8));
}

/* The pictures of one key; they are the same as those of the key before it, `first`. */
static bool add_key(Media *m, const char **first, const char *key, const json_t *value, Err *e)
{
    Media own = { .root = m->root, .kept = m->kept };
    if (!media_add(&own, value, e))
        return false;
    if (!*first) {
        memcpy(m->ref, own.ref, sizeof m->ref);
        m->n = own.n;
        *first = key;
    } else if (!same(m, &own)) {
        return err_set(e, EXIT_DATA, "", "", "\"%.80s\" and \"%.80s\" name different pictures", *first, key);
    }
    return true;
}

/* Is it the end of a longer path under a key that is read, "1.jpg" beside "train2017/1.jpg"; with `equal`, also all of it? */
static bool is_tail(const json_t *j, const json_t *record, bool equal)
{
    const char *s = json_string_value(j), *key;
    json_t *other;
    json_object_foreach((json_t *)record, key, other) {
        const char *whole = json_string_value(other);
        const size_t n = s ? strlen(s) : 0, m = whole ? strlen(whole) : 0;
        const bool end = n > 0 && (m > n ? whole[m - n - 1] == '/' : equal && m == n);
        if (end && !strcmp(whole + m - n, s) && kind_of(key, (int64_t)strlen(key)) == PICTURE)
            return true;
    }
    return false;
}

bool media_record(Media *m, const json_t *record, Err *e)
{
    const char *first = m->n ? "content" : NULL, *key, *address = NULL;
    json_t *value;
    if (m->n && m->n != m->parts)
        return err_set(e, EXIT_DATA, "", "", "some parts of the turns name their pictures and others do not");
    json_object_foreach((json_t *)record, key, value) {
        const Kind kind = kind_of(key, (int64_t)strlen(key));
        if (kind == NOTHING || picture_none(value) || ((kind == PICTURE || kind == PERHAPS) && is_tail(value, record, kind == PERHAPS)))
            continue;
        if (kind == ADDRESS && is_address(value))
            address = key;
        else if (kind <= ADDRESS ? !add_key(m, &first, key, value, e) : !refuse(kind, key, value, e))
            return false;
    }
    if (address && !first && !add_key(m, &first, address, json_object_get(record, address), e))
        return false;
    if (m->parts > m->n) {
        err_expected(e, "%d, one for each part of type image", m->parts);
        err_got(e, "%d", m->n);
        return err_set(e, EXIT_DATA, "", "", "parts of the turns are pictures that the record does not name");
    }
    return true;
}

bool media_none(const json_t *object, const char *what, Err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        const Kind kind = kind_of(key, (int64_t)strlen(key));
        if (kind == NOTHING || picture_none(value))
            continue;
        if (kind <= ADDRESS)
            return err_set(e, EXIT_DATA, "", "name it in the record, and write \"<image>\" where it stands", "%s names a picture (\"%.80s\")", what, key);
        if (!refuse(kind, key, value, e))
            return false;
    }
    return true;
}
