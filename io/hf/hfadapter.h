/*
 * hfadapter.h -- low-rank pairs as the peft library keeps them
 *
 *     adapter_config.json         rank, alpha, the modules beside which pairs stand, modules that are saved whole
 *     adapter_model.safetensors   base_model.model.model.language_model.layers.3.self_attn.q_proj.lora_A.weight   lora.decoder.3.attn.wq.a
 *                                 base_model.model.model.multi_modal_projector.linear_1.weight                    projector.0.w
 *
 * Names are those of the modules of today's transformers (5; 4.52 and later); a decoder alone has model.layers.3 ...  Those that older ones gave are read, too.
 * Local.
 * Errors  a configuration that asks for something else than plain pairs: EXIT_DATA
 * Source  peft: tuners/lora/config.py, utils/save_and_load.py
 * Tests   tests/io/hf/test_hfadapter.c, tests/launch/loraio.sh, tests/peers/check_lora.sh (peft itself)
 */
#pragma once
#include "io/base/err.h"
#include "io/hf/hfmap.h"

#define HFADAPTER_CONFIG  "adapter_config.json"
#define HFADAPTER_WEIGHTS "adapter_model.safetensors"

/* The file's name of our tensor, and the module beside which a pair stands, or "".  False: an adapter has no place for it. */
bool hfadapter_name(const char *ours, HfLayout layout, char name[ST_NAME], char module[ST_NAME]);
/* Our name of a tensor of the file; false: it is none that we know. */
bool hfadapter_ours(const char *name, char ours[PARAM_NAME]);

/* The text of adapter_config.json, to be freed.  layers: of the decoder; projector: it is saved whole. */
char *hfadapter_config(HfLayout layout, int rank, double alpha, char (*module)[ST_NAME], int modules, int layers, bool projector);
/* Reads rank and alpha out of one. */
bool hfadapter_read(const char *text, size_t bytes, const char *path, int *rank, double *alpha, Err *e);
