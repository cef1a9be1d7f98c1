#include "io/text/sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

/* Exported by the library, declared in none of its installed headers. */
namespace sentencepiece { namespace logging { void SetMinLogLevel(int level); } }

struct Sp {
    sentencepiece::SentencePieceProcessor p;
};

namespace {

constexpr int LOG_NOTHING = 4;        /* one above FATAL */

/* The library's messages are "file(line) [condition] words", often without words; `else_` stands for those. */
void say(char *why, size_t cap, const std::string &what, const char *else_ = "SentencePiece failed")
{
    const size_t end = what.find("] ");
    const std::string words = end == std::string::npos ? what : what.substr(end + 2);
    snprintf(why, cap, "%s", words.empty() ? else_ : words.c_str());
}

/* The trainer's own reader splits the path at commas. */
class Lines : public sentencepiece::SentenceIterator {
 public:
    explicit Lines(const char *path) : in_(path, std::ios::binary) { Next(); }
    bool done() const override { return !more_; }
    void Next() override
    {
        more_ = static_cast<bool>(std::getline(in_, line_));
        if (more_ && !line_.empty() && line_.back() == '\r')
            line_.pop_back();
    }
    const std::string &value() const override { return line_; }
    sentencepiece::util::Status status() const override { return sentencepiece::util::Status(); }

 private:
    std::ifstream in_;
    std::string   line_;
    bool          more_ = false;
};

}  // namespace

Sp *sp_load(const void *model, size_t bytes, char *why, size_t cap)
try {
    sentencepiece::logging::SetMinLogLevel(LOG_NOTHING);
    Sp *s = new Sp;
    const auto status = s->p.LoadFromSerializedProto(std::string(static_cast<const char *>(model), bytes));
    if (status.ok() && s->p.GetPieceSize() > 0)
        return s;
    say(why, cap, status.message(), "it cannot be parsed");
    delete s;
    return nullptr;
} catch (const std::exception &x) {
    say(why, cap, x.what());
    return nullptr;
} catch (...) {
    say(why, cap, "");
    return nullptr;
}

void sp_free(Sp *s) { delete s; }
int  sp_size(const Sp *s) { return s->p.GetPieceSize(); }
int  sp_bos(const Sp *s) { return s->p.bos_id(); }
int  sp_eos(const Sp *s) { return s->p.eos_id(); }

int sp_find(const Sp *s, const char *piece)
try {
    const int id = s->p.PieceToId(piece);
    return id >= 0 && id < s->p.GetPieceSize() && s->p.IdToPiece(id) == piece ? id : -1;
} catch (...) {
    return -1;
}

int sp_encode(const Sp *s, const char *text, size_t len, int32_t *ids, int cap, char *why, size_t why_cap)
try {
    std::vector<int> v;
    const auto status = s->p.Encode(std::string(text, len), &v);
    if (!status.ok()) {
        say(why, why_cap, status.message());
        return SP_REFUSES;
    }
    const int n = static_cast<int>(v.size());
    std::copy_n(v.begin(), std::min(n, std::max(cap, 0)), ids);
    return n;
} catch (...) {
    return SP_MEMORY;
}

int sp_decode(const Sp *s, const int32_t *ids, int n, char *out, int cap)
try {
    std::vector<int> known;
    std::copy_if(ids, ids + n, std::back_inserter(known), [s](int id) { return id >= 0 && id < s->p.GetPieceSize(); });
    std::string text;
    if (!s->p.Decode(known, &text).ok())
        text.clear();
    if (cap > 0) {
        const size_t k = std::min(text.size(), static_cast<size_t>(cap) - 1);
        memcpy(out, text.data(), k);
        out[k] = 0;
    }
    return static_cast<int>(text.size());
} catch (...) {
    return SP_MEMORY;
}

void *sp_train(const char *corpus_path, int vocab, const char *const *options, size_t *bytes, char *why, size_t cap)
try {
    sentencepiece::logging::SetMinLogLevel(LOG_NOTHING);
    Lines lines(corpus_path);
    std::string model;
    std::unordered_map<std::string, std::string> all = {
        {"vocab_size", std::to_string(vocab)}, {"hard_vocab_limit", "false"}, {"num_threads", "1"},
        {"max_sentence_length", "1048576"}, {"minloglevel", std::to_string(LOG_NOTHING)}};
    for (; options[0]; options += 2)
        all[options[0]] = options[1];
    const auto status = sentencepiece::SentencePieceTrainer::Train(all, &lines, &model);
    if (!status.ok()) {
        say(why, cap, status.message(), "there is no text to learn from");
        return nullptr;
    }
    void *copy = malloc(model.size());
    if (!copy)
        throw std::bad_alloc();
    memcpy(copy, model.data(), model.size());
    *bytes = model.size();
    return copy;
} catch (const std::exception &x) {
    say(why, cap, x.what());
    return nullptr;
} catch (...) {
    say(why, cap, "");
    return nullptr;
}
