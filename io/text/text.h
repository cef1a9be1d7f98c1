/*
 * text.h -- text <-> ids, by the text model that people have: SentencePiece, or byte pair merges (byte level)
 *
 *     a SentencePiece .model           tokenizer.json           vocab.json with merges.txt beside it
 *     tiktoken's file of ranks         Mistral's tekken.json    a folder that holds one of them
 *
 * What a file is, its content says.  Of a folder the first of tokenizer.json, tekken.json, vocab.json, *.tiktoken, tokenizer.model is
 * taken; a tokenizer.json that was made of a SentencePiece model gives way to the tokenizer.model beside it.
 *
 *     text_encode    SentencePiece: the ids of spm_encode, the model's own normalisation, a space put in front of the text
 *                    byte level: the ids of tokenizers and tiktoken; a space in front only where the file asks for one
 *     text_continue  the ids of text that follows other text: nothing put in front, no space dropped
 *
 * So text cut in front of its spaces is encode(first) continue(second) continue(third) ..., and decodes to
 * exactly what was cut.  prompt.h is built on this.
 *
 * Every id and every byte is text: "<s>" written in a caption is three characters, never the control symbol.
 * Bytes that are no UTF-8 become U+FFFD (SentencePiece), or stay what they are (byte level).  A Text does not change after
 * text_open: threads may share it.  Local.
 *
 * Tests   tests/io/text/test_text.c (golden ids of spm_encode, mixed scripts, hostile bytes, damaged models),
 *         tests/io/text/test_bpe.c (golden ids of tokenizers), tests/peers/tokenizers_ids.py
 */
#pragma once
#include "io/base/err.h"

typedef struct Text Text;

/* NULL: EXIT_IO where the file cannot be read, EXIT_DATA where it is over 64 MiB, no text model, or asks for what is not here. */
Text    *text_open(const char *path, Err *e);
void     text_close(Text *t);

const char *text_file(const Text *t);    /* the file that was opened: of a folder, the one in it */
int      text_size(const Text *t);       /* ids are 0 <= id < size */
int      text_bos(const Text *t);        /* -1 where the model has none; so text_eos */
int      text_eos(const Text *t);
int      text_newline(const Text *t);    /* the one id of "\n", or -1 where the model drops or changes line breaks */
int      text_symbol(const Text *t, const char *piece);      /* the id of a piece, as "<|im_end|>"; -1 where there is none */
uint64_t text_hash(const Text *t);       /* XXH64 of the file; byte level: of all files that decide ids, with BOS and EOS */

/* s (len bytes) -> ids; no BOS, no EOS.  Returns the number of ids; where that exceeds cap only cap were written.  -1 with
   EXIT_DATA, which quotes the text, where the model refuses it. */
int text_encode(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e);
int text_continue(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e);
/* Text that is ours, as a rendered template: byte level, the added tokens written in it ("<|im_start|>") are their ids, as
   tokenizers has it.  SentencePiece: text_encode. */
int text_encode_marked(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e);

/* ids -> text with a NUL behind it, cut at cap.  Ids outside the model and control symbols write nothing, and a space
   at the very beginning (the one that encode put there) is dropped.  Returns the length of the whole text in bytes. */
int text_decode(const Text *t, const int32_t *ids, int n, char *out, int cap);

/*
 * Trains a BPE model from a corpus of one sentence a line: ids unk 0, bos 1, eos 2, then the symbols ("a,b"; NULL: none),
 * then the 256 bytes, then pieces.  Symbols are control symbols: no text becomes them, and they write no text.
 * Text is taken as it is (identity normalisation, all spaces kept); a character outside the vocabulary is spelt in
 * bytes, so "\n" is one id, the byte 0x0A.  A corpus with little in it gives fewer pieces than `vocab`.  The same
 * corpus gives the same file: one thread, no sampling.  Written aside and renamed.
 * EXIT_DATA: the corpus has no text, or its characters alone exceed `vocab`;  EXIT_IO: a file cannot be read or written.
 */
/* Whether text_train may write a file of this name: not where it is one of another kind of text model. */
bool text_trainable(const char *model_path);
bool text_train(const char *corpus_path, int vocab, const char *symbols, const char *model_path, Err *e);
